/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#define RESULT_BLOCK 8192

struct backend {
    const char *name;
    int (*open)(struct mf_store **out, struct mf_loop *l,
                const struct mf_store_config *cfg, struct mf_err *err);
};

static const struct backend backends[] = {
    {"sqlite", mf_store_sqlite_open},
    {"postgres", mf_store_pg_open},
};

int mf_store_open(struct mf_store **out, struct mf_loop *l,
                  const struct mf_store_config *cfg, struct mf_err *err)
{
    struct mf_slice wanted = mf_slice_str(cfg->backend);

    for (size_t i = 0; i < mf_countof(backends); i++) {
        if (mf_slice_is(wanted, backends[i].name)) {
            return backends[i].open(out, l, cfg, err);
        }
    }
    return mf_err_set(err, MF_EINVAL,
                      "store.backend is `%.*s`: no such store; choose `sqlite` or "
                      "`postgres`",
                      (int)mf_min(wanted.n, (size_t)64),
                      wanted.p == NULL ? "" : wanted.p);
}

int mf_store_submit(struct mf_store *s, struct mf_store_req *req)
{
    int rc;

    req->err = (struct mf_err){0};
    req->store = s;
    req->rc = 0;
    mf_arena_init(&req->arena, RESULT_BLOCK); /* takes nothing yet */
    rc = s->ops->submit(s, req);
    MF_DEBUG_ASSERT(rc == 0 || req->arena.head == NULL);
    return rc;
}

void mf_store_req_fini(struct mf_store_req *req)
{
    mf_arena_fini(&req->arena);
}

/* A store that is on this machine's disk is there. */
void mf_store_health(const struct mf_store *s, struct mf_store_health *out)
{
    *out = (struct mf_store_health){.is_up = true};
    if (s->ops->health != NULL) {
        s->ops->health(s, out);
    }
}

void mf_store_close(struct mf_store *s, mf_store_closed_fn closed, void *arg)
{
    s->ops->close(s, closed, arg);
}
