/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scope.h"

struct mf_scope mf_scope_admin(void)
{
    return (struct mf_scope){.is_admin = true};
}

struct mf_scope mf_scope_of_user(const struct mf_id *user_id)
{
    return (struct mf_scope){.is_admin = false, .user_id = *user_id};
}

bool mf_scope_covers(const struct mf_scope *s, struct mf_slice user_id)
{
    return s->is_admin ||
           (s->user_id.n > 0 && mf_slice_eq(mf_id_slice(&s->user_id), user_id));
}
