/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/service_desk.h"

const struct mf_service_config plain_service = {
    .cache_bytes = (size_t)1 << 20, .max_tokens = 100000, .max_wait_ms = 60000};

void desk_open_with(struct desk *d, const struct mf_fake_config *model,
                    const struct mf_embed_config *embed,
                    const struct mf_service_config *cfg)
{
    struct mf_service_config c = *cfg;

    memset(d, 0, sizeof(*d));
    fix_open(&d->f, model, embed);
    mf_loop_assert(d->f.loop);
    c.model = &d->f.fake->model;
    MF_CHECK_OK(mf_service_open(&d->s, d->f.loop, d->f.embed, &c));
}

void desk_open(struct desk *d)
{
    desk_open_with(d, &(struct mf_fake_config){0}, &plain_config, &plain_service);
}

static void desk_closed(void *arg)
{
    struct desk *d = arg;

    d->closed = true;
}

void desk_close(struct desk *d)
{
    mf_loop_assert(d->f.loop);
    mf_fake_release(d->f.fake);
    mf_service_close(d->s, desk_closed, d);
    MF_CHECK(!d->closed);
    MF_CHECK(mf_loop_run_until(d->f.loop, &d->closed, PATIENCE));
    fix_close(&d->f);
}

void ask_done(struct mf_service_request *r, int rc)
{
    struct ask *a = mf_container_of(r, struct ask, r);

    a->n_done++;
    a->rc = rc;
    a->is_done = true;
    if (rc == 0) {
        memcpy(a->vectors, r->vectors, r->n * DIM * sizeof(float));
        memcpy(a->n_tokens, r->n_tokens, r->n * sizeof(uint32_t));
    }
}

int ask(struct desk *d, struct ask *a, const char *texts, enum mf_urgency urgency)
{
    int rc;

    mf_loop_assert(d->f.loop);
    memset(a, 0, sizeof(*a));
    for (const char *at = texts; at != NULL; a->r.n++) {
        const char *bar = strchr(at, '|');
        size_t n = bar == NULL ? strlen(at) : (size_t)(bar - at);

        MF_CHECK(a->r.n < MAX_TEXTS);
        a->texts[a->r.n] = mf_slice_of(at, n);
        at = bar == NULL ? NULL : bar + 1;
    }
    a->r.texts = a->texts;
    a->r.urgency = urgency;
    a->r.done = ask_done;
    rc = mf_service_submit(d->s, &a->r);
    MF_CHECK_INT(a->n_done, 0);
    return rc;
}

void wait_for(struct desk *d, struct ask *a)
{
    MF_CHECK(mf_loop_run_until(d->f.loop, &a->is_done, PATIENCE));
    MF_CHECK_INT(a->n_done, 1);
}

void check_all(struct desk *d, const struct ask *a)
{
    MF_CHECK(a->is_done && a->rc == 0);
    for (size_t i = 0; i < a->r.n; i++) {
        float want[DIM];

        mf_fake_vector(d->f.fake, a->texts[i], want);
        MF_CHECK_MEM(a->vectors + i * DIM, want, sizeof(want));
    }
}

void ask_and_check(struct desk *d, struct ask *a, const char *texts)
{
    MF_CHECK_OK(ask(d, a, texts, MF_URGENT));
    wait_for(d, a);
    check_all(d, a);
}

struct mf_service_stats stats_of(struct desk *d)
{
    struct mf_service_stats out;

    mf_loop_assert(d->f.loop);
    mf_service_stats(d->s, &out);
    return out;
}

void block_model(struct desk *d, struct ask *blocker)
{
    mf_fake_hold(d->f.fake);
    MF_CHECK_OK(ask(d, blocker, "blocker", MF_URGENT));
    run_until_calls(&d->f, 1);
}

void look_done(struct mf_service_look *k, int rc)
{
    struct look *l = mf_container_of(k, struct look, k);

    l->n_done++;
    l->rc = rc;
    l->is_done = true;
}
