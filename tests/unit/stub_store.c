/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/stub_store.h"

#include "lib/mf_test.h"

#include <string.h>

static int submit(struct mf_store *base, struct mf_store_req *req)
{
    struct stub_store *s = mf_container_of(base, struct stub_store, base);

    if (s->submit_rc < 0) {
        return s->submit_rc;
    }
    MF_CHECK(s->n < STUB_MAX);
    s->reqs[s->n++] = req;
    return 0;
}

static const struct mf_store_ops ops = {.name = "stub", .submit = submit};

void stub_open(struct stub_store *s, struct mf_loop *l)
{
    memset(s, 0, sizeof(*s));
    s->base.ops = &ops;
    s->base.loop = l;
}

void stub_answer(struct stub_store *s, size_t i, int rc)
{
    struct mf_store_req *req = s->reqs[i];

    MF_CHECK(req != NULL);
    s->reqs[i] = NULL;
    req->done(req, rc);
}
