/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/away.h"

bool mf_store_is_away(const struct mf_store *s, int rc)
{
    struct mf_store_health h;

    if (s == NULL || !s->info.is_remote || rc == MF_ENOTFOUND) {
        return false;
    }
    if (rc == MF_EUNAVAILABLE || rc == MF_ETIMEOUT) {
        return true;
    }
    mf_store_health(s, &h);
    return !h.is_up;
}
