/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scope: on whose behalf a call is made. Made only where a request is authenticated;
 * every verb of the engine asks for one, so that none can be written without it.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   never
 */
#ifndef MF_ENGINE_SCOPE_H
#define MF_ENGINE_SCOPE_H

#include "base/base.h"
#include "base/id.h"

struct mf_scope {
    bool is_admin;        /* everything */
    struct mf_id user_id; /* else: this user's things only */
};

MF_ANY struct mf_scope mf_scope_admin(void);
MF_ANY struct mf_scope mf_scope_of_user(const struct mf_id *user_id);
/* Whether a thing that belongs to `user_id` is the scope's. */
MF_ANY bool mf_scope_covers(const struct mf_scope *s, struct mf_slice user_id);

#endif
