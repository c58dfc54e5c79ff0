/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsn_mask: a libpq connection string (URI or keywords) with `***` where a password
 * stands. What libpq would refuse is hidden too: better too much than a secret.
 *
 * Owns:    nothing
 * Thread:  any (pure)
 * Limits:  none
 * Fails:   MF_ENOMEM in the buffer
 */
#ifndef MF_CONF_DSN_MASK_H
#define MF_CONF_DSN_MASK_H

#include "base/base.h"
#include "base/str.h"

MF_ANY void mf_conf_mask_dsn(struct mf_slice dsn, struct mf_buf *out);

#endif
