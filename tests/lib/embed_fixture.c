/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/embed_fixture.h"

#include <stdio.h>
#include <string.h>

char done_order[MAX_DONE + 1];
size_t n_done_order;
struct seen_passages seen;

const struct mf_embed_config plain_config = {
    .permits = 1,
    .dep = {.timeout_ms = 60000,
            .max_attempts = 2,
            .first_backoff_ms = 1,
            .max_backoff_ms = 2},
    .max_waiting = 100,
    .max_waiting_bytes = 100000,
};

void fix_open(struct fix *f, const struct mf_fake_config *model,
              const struct mf_embed_config *cfg)
{
    struct mf_loop_config loop_cfg = {.pool_threads = 14};
    struct mf_err err;

    memset(f, 0, sizeof(*f));
    memset(done_order, 0, sizeof(done_order));
    n_done_order = 0;
    f->fake = mf_fake_model_open(model);
    assert_non_null(f->fake);
    MF_CHECK_OK(mf_loop_open(&f->loop, &loop_cfg, &err));
    mf_loop_assert(f->loop);
    MF_CHECK_OK(mf_embed_open(&f->embed, f->loop, &f->fake->model, cfg));
}

void fix_closed(void *arg)
{
    struct fix *f = arg;

    f->closed = true;
    f->n_closed++;
}

void fix_close(struct fix *f)
{
    mf_loop_assert(f->loop);
    mf_fake_release(f->fake);
    if (f->embed != NULL) {
        mf_embed_close(f->embed, fix_closed, f);
        MF_CHECK(mf_loop_run_until(f->loop, &f->closed, PATIENCE));
        MF_CHECK_INT(f->n_closed, 1);
    }
    MF_CHECK_OK(mf_loop_close(f->loop));
    mf_model_close(&f->fake->model);
}

void task_after(struct mf_embed_task *t, int rc)
{
    struct task *k = mf_container_of(t, struct task, t);

    k->n_after++;
    k->after_rc = rc;
    k->after_had_vector = t->vector != NULL;
}

void task_done(struct mf_embed_task *t, int rc)
{
    struct task *k = mf_container_of(t, struct task, t);

    MF_CHECK_INT(rc, t->rc);
    k->n_done++;
    k->rc = rc;
    k->is_done = true;
    if (n_done_order < MAX_DONE) {
        done_order[n_done_order++] = *(t->text.n > 0 ? t->text.p : "-");
    }
}

void done_with_passages(struct mf_embed_task *t, int rc)
{
    seen.n = t->n_passages;
    MF_CHECK(seen.n <= MAX_PASSAGES);
    if (seen.n > 0) {
        memcpy(seen.spans, t->passage_spans, seen.n * sizeof(seen.spans[0]));
        memcpy(seen.vectors, t->passage_vectors, seen.n * sizeof(seen.vectors[0]));
    }
    task_done(t, rc);
}

int submit(struct fix *f, struct task *k, const char *text, enum mf_urgency urgency)
{
    mf_loop_assert(f->loop);
    memset(k, 0, sizeof(*k));
    k->fix = f;
    for (size_t i = 0; i < DIM; i++) {
        k->v[i] = POISON;
    }
    k->t.text = mf_slice_str(text);
    k->t.vector = k->v;
    k->t.after = task_after;
    k->t.done = task_done;
    return mf_embed_submit(f->embed, &k->t, urgency);
}

void run_until_done(struct fix *f, struct task *k)
{
    MF_CHECK(mf_loop_run_until(f->loop, &k->is_done, PATIENCE));
}

void run_until_calls(struct fix *f, unsigned calls)
{
    static const bool never = false;

    for (unsigned i = 0; mf_fake_counts(f->fake).calls < calls; i++) {
        MF_CHECK(i < PATIENCE);
        (void)mf_loop_run_until(f->loop, &never, 1);
    }
}

void run_a_while(struct fix *f)
{
    static const bool never = false;

    (void)mf_loop_run_until(f->loop, &never, 30);
}

void check_vector(struct fix *f, const struct task *k)
{
    float want[DIM];

    MF_CHECK_INT(k->rc, 0);
    mf_fake_vector(f->fake, k->t.text, want);
    MF_CHECK_MEM(k->v, want, sizeof(want));
}

void check_no_vector(const struct task *k)
{
    for (size_t i = 0; i < DIM; i++) {
        MF_CHECK(k->v[i] == POISON);
    }
}

void check_passages(struct fix *f, const char *prompt, const char *text)
{
    size_t end = 0;

    for (size_t i = 0; i < seen.n; i++) {
        char whole[64];
        float want[DIM];

        MF_CHECK_INT(seen.spans[i].at, end);
        (void)snprintf(whole, sizeof(whole), "%s%.*s", prompt, (int)seen.spans[i].n,
                       text + end);
        mf_fake_vector(f->fake, mf_slice_str(whole), want);
        MF_CHECK_MEM(seen.vectors[i], want, sizeof(want));
        end += seen.spans[i].n;
    }
    MF_CHECK_INT(end, seen.n == 0 ? 0 : strlen(text));
}
