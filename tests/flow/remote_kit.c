/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/remote_kit.h"

#include <string.h>

#define NODE 7

static struct mf_store *current;
static const char *shared_dir;
static bool is_away, is_shared;

/* NOLINTBEGIN(readability-identifier-naming): the linker's words */
int __real_mf_store_open(struct mf_store **out, struct mf_loop *l,
                         const struct mf_store_config *cfg, struct mf_err *err);
int __wrap_mf_store_open(struct mf_store **out, struct mf_loop *l,
                         const struct mf_store_config *cfg, struct mf_err *err);

int __wrap_mf_store_open(struct mf_store **out, struct mf_loop *l,
                         const struct mf_store_config *cfg, struct mf_err *err)
{
    struct mf_store_config near_cfg = *cfg;
    struct mf_store *near;
    int rc;

    mf_loop_assert(l);
    near_cfg.dir = shared_dir == NULL ? cfg->dir : shared_dir;
    rc = __real_mf_store_open(&near, l, &near_cfg, err);
    if (rc < 0) {
        return rc;
    }
    current = mf_far_store_open(near, NODE);
    mf_far_store_cut(current, is_away);
    current->info.is_shared = is_shared;
    *out = current;
    return 0;
}

/* NOLINTEND(readability-identifier-naming) */

void remote_open(struct kit *k, const char *const *settings)
{
    is_away = is_shared = false;
    shared_dir = NULL;
    kit_open(k, NULL, settings);
}

void remote_close(struct kit *k)
{
    kit_close(k);
    current = NULL;
}

void remote_cut_next(bool is_cut)
{
    is_away = is_cut;
}

void remote_share(bool is_on)
{
    is_shared = is_on;
}

void remote_cut(bool is_cut)
{
    is_away = is_cut;
    mf_far_store_cut(current, is_cut);
}

struct mf_store *remote_store(void)
{
    return current;
}

void remote_store_dir(const char *dir)
{
    shared_dir = dir;
}
