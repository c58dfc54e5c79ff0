/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/embed_job.h"

#include "base/err.h"
#include "base/mem.h"

#include <math.h>

#define MAX_NORM_ERROR 1e-2
#define PASSAGE_BATCH  16 /* passages of one text in one call of the model */

struct passages {
    struct mf_slice prompt, text; /* of the text as a whole */
    uint32_t prompt_pieces;
    float *vectors;
    struct mf_span *spans;
    size_t n;
};

static void passages_free(struct passages *p)
{
    mf_free(p->vectors);
    mf_free(p->spans);
}

/* The parts of the block, behind the slots; `base` may be NULL to learn the size. */
static size_t job_layout(struct mf_embed_job *job, size_t n, size_t dim)
{
    size_t texts = sizeof(*job) + n * sizeof(job->slots[0]);
    size_t vectors = texts + n * sizeof(job->texts[0]);
    size_t results = vectors + n * dim * sizeof(job->vectors[0]);

    if (job != NULL) {
        job->texts = (struct mf_text *)((char *)job + texts);
        job->vectors = (float *)((char *)job + vectors);
        job->results = (struct mf_text_result *)((char *)job + results);
    }
    return results + n * sizeof(job->results[0]);
}

/* What the model sees of a text that has a prompt. */
static struct mf_slice put_texts(char *at, struct mf_slice prompt, struct mf_slice text)
{
    if (prompt.n > 0) {
        memcpy(at, prompt.p, prompt.n);
    }
    if (text.n > 0) {
        memcpy(at + prompt.n, text.p, text.n);
    }
    return mf_slice_of(at, prompt.n + text.n);
}

struct mf_embed_job *mf_embed_job_new(struct mf_model *model,
                                      struct mf_embed_task *const *tasks, size_t n)
{
    size_t dim = model->info.dim, fixed = job_layout(NULL, n, dim), bytes = fixed;
    struct mf_embed_job *job;
    char *at;

    for (size_t i = 0; i < n; i++) {
        bytes += tasks[i]->prompt.n + tasks[i]->text.n;
    }
    job = mf_malloc(bytes);
    if (job == NULL) {
        return NULL;
    }
    memset(job, 0, sizeof(*job) + n * sizeof(job->slots[0]));
    (void)job_layout(job, n, dim);
    job->model = model;
    job->urgency = tasks[0]->urgency;
    job->oldest_ms = UINT64_MAX;
    job->n = n;
    at = (char *)job + fixed;
    for (size_t i = 0; i < n; i++) {
        tasks[i]->slot = &job->slots[i];
        job->slots[i].task = tasks[i];
        job->cost += tasks[i]->cost;
        job->oldest_ms = mf_min(job->oldest_ms, tasks[i]->submitted_ms);
        job->slots[i].wants_passages = tasks[i]->wants_passages;
        atomic_init(&job->slots[i].state, MF_SLOT_OPEN);
        job->bytes += tasks[i]->text.n;
        job->slots[i].prompt_n = tasks[i]->prompt.n;
        job->texts[i].text = put_texts(at, tasks[i]->prompt, tasks[i]->text);
        job->texts[i].flags = tasks[i]->flags;
        at += job->texts[i].text.n;
    }
    return job;
}

void mf_embed_job_free(struct mf_embed_job *job)
{
    mf_free(job);
}

bool mf_embed_job_failed_whole(const struct mf_embed_job *job)
{
    return job->batch_rc != 0 && job->n_rows > 1;
}

bool mf_embed_slot_take(struct mf_embed_slot *s, enum mf_embed_slot_state how)
{
    int open = MF_SLOT_OPEN;

    return atomic_compare_exchange_strong(&s->state, &open, (int)how);
}

bool mf_embed_is_final(int rc)
{
    return rc == MF_EINVAL || rc == MF_ETOOBIG || rc == MF_EUNPROCESSABLE;
}

void mf_embed_after_failure(struct mf_embed_task *t, int rc)
{
    float *vector = t->vector;

    if (t->after != NULL) {
        t->vector = NULL;
        t->after(t, rc);
        t->vector = vector;
    }
}

/* A model's answer is believed only when it can be a vector at all. */
static bool is_vector(const float *v, size_t dim, unsigned flags)
{
    double sum = 0;

    for (size_t i = 0; i < dim; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    return isfinite(sum) &&
           ((flags & MF_TEXT_RAW) != 0 || fabs(sqrt(sum) - 1) < MAX_NORM_ERROR);
}

/* The model's call, with a check of what it left; rows it did not write do not pass. */
MF_WORKER static int run_model(struct mf_model *m, const struct mf_text *texts,
                               size_t n, float *out, struct mf_text_result *res)
{
    size_t dim = m->info.dim;
    int rc;

    for (size_t i = 0; i < n; i++) {
        res[i] = (struct mf_text_result){0, 0};
        out[i * dim] = NAN;
    }
    rc = m->ops->embed(m, texts, n, out, res);
    if (rc != 0) {
        return rc < 0 ? rc : MF_EBACKEND;
    }
    for (size_t i = 0; i < n; i++) {
        if (res[i].rc > 0 ||
            (res[i].rc == 0 && !is_vector(out + i * dim, dim, texts[i].flags))) {
            res[i].rc = MF_EBACKEND;
        }
    }
    return 0;
}

/* Passages from .. from + n; `block` has room for them with their prompts, or is NULL
 * when there is no prompt. */
MF_WORKER static int embed_some(struct mf_model *m, const struct passages *p,
                                unsigned flags, char *block, size_t from, size_t n)
{
    struct mf_text texts[PASSAGE_BATCH];
    struct mf_text_result res[PASSAGE_BATCH];
    int rc;

    for (size_t i = 0; i < n; i++) {
        const struct mf_span *s = &p->spans[from + i];
        struct mf_slice text = mf_slice_of(p->text.p + s->at, s->n);

        texts[i] = (struct mf_text){.text = text, .flags = flags & MF_TEXT_RAW};
        if (block != NULL) {
            texts[i].text = put_texts(block, p->prompt, text);
            block += texts[i].text.n;
        }
    }
    rc = run_model(m, texts, n, p->vectors + from * m->info.dim, res);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = res[i].rc;
    }
    return rc;
}

/* Spans do not overlap: together they are not longer than the text. */
MF_WORKER static int embed_passages(struct mf_model *m, unsigned flags,
                                    const struct passages *p)
{
    size_t batch = mf_min(PASSAGE_BATCH, mf_max(m->info.batch_texts, 1u));
    char *block = NULL;
    int rc = 0;

    if (p->prompt.n > 0) {
        block = mf_malloc(batch * p->prompt.n + p->text.n);
        if (block == NULL) {
            return MF_ENOMEM;
        }
    }
    for (size_t from = 0; rc == 0 && from < p->n; from += batch) {
        rc = embed_some(m, p, flags, block, from, mf_min(batch, p->n - from));
    }
    mf_free(block);
    return rc;
}

MF_WORKER static int cut_passages(struct mf_slice text, const uint32_t *at,
                                  size_t n_pieces, const struct mf_model_info *info,
                                  struct passages *p)
{
    uint32_t window = info->window - mf_min(info->window, p->prompt_pieces);
    size_t max = mf_min(MF_PASSAGE_PIECES, mf_max(window, 1u));

    p->n = mf_chunk(text, at, n_pieces, max, NULL, 0);
    p->spans = mf_array(p->n, sizeof(*p->spans));
    p->vectors = mf_array(p->n, info->dim * sizeof(*p->vectors));
    if (p->spans == NULL || p->vectors == NULL) {
        return MF_ENOMEM;
    }
    (void)mf_chunk(text, at, n_pieces, max, p->spans, p->n);
    return 0;
}

/* Passages of a text longer than the window; none, and 0, when it fits. */
MF_WORKER static int make_passages(struct mf_model *m, const struct mf_text *whole,
                                   size_t prompt_n, struct passages *p)
{
    struct mf_slice text =
        mf_slice_of(whole->text.p + prompt_n, whole->text.n - prompt_n);
    size_t n_pieces = 0;
    uint32_t *at;
    int rc;

    if (whole->text.n <= m->info.window) { /* a piece has at least one byte */
        return 0;
    }
    p->text = text;
    p->prompt = mf_slice_of(whole->text.p, prompt_n);
    p->prompt_pieces =
        prompt_n == 0 ? 0 : (uint32_t)m->ops->pieces(m, p->prompt, NULL, 0);
    n_pieces = m->ops->pieces(m, text, NULL, 0);
    if (n_pieces + p->prompt_pieces <= m->info.window) {
        return 0;
    }
    at = mf_array(n_pieces, sizeof(*at));
    if (at == NULL) {
        return MF_ENOMEM;
    }
    n_pieces = mf_min(n_pieces, m->ops->pieces(m, text, at, n_pieces));
    rc = cut_passages(text, at, n_pieces, &m->info, p);
    mf_free(at);
    return rc < 0 ? rc : embed_passages(m, whole->flags, p);
}

static bool is_open(const struct mf_embed_slot *s)
{
    return atomic_load(&s->state) == MF_SLOT_OPEN;
}

/* What the task, which is ours, gets: the vector, in its own place or lent for
 * `after`. */
MF_WORKER static void hand_over(struct mf_embed_job *job, struct mf_embed_slot *s,
                                struct passages *p)
{
    float *vector = job->vectors + s->row * job->model->info.dim;
    struct mf_embed_task *t = s->task;
    bool is_lent = t->vector == NULL;

    t->n_tokens = job->results[s->row].n_tokens;
    t->passage_vectors = p->vectors;
    t->passage_spans = p->spans;
    t->n_passages = p->n;
    if (p->n == 0) {
        job->judged_cost += t->cost;
        job->judged_tokens += t->n_tokens;
    }
    if (is_lent) {
        t->vector = vector;
    } else {
        memcpy(t->vector, vector, job->model->info.dim * sizeof(float));
    }
    if (t->after != NULL) {
        t->after(t, 0);
    }
    if (is_lent) {
        t->vector = NULL;
    }
}

/* Hands the result over to the task, unless the task will be tried again or the loop
 * gave it up. */
MF_WORKER static void settle(struct mf_embed_job *job, struct mf_embed_slot *s)
{
    struct passages p = {.n = 0};

    if (s->rc == 0 && s->wants_passages && is_open(s)) {
        s->rc = make_passages(job->model, &job->texts[s->row], s->prompt_n, &p);
    }
    if ((s->rc < 0 && !s->is_last && !mf_embed_is_final(s->rc)) ||
        !mf_embed_slot_take(s, MF_SLOT_SETTLED)) {
        passages_free(&p);
    } else if (s->rc < 0) {
        passages_free(&p);
        mf_embed_after_failure(s->task, s->rc);
    } else {
        hand_over(job, s, &p);
    }
}

/* Texts of tasks that were given up while the job stood in line leave the batch. */
MF_WORKER static void choose_rows(struct mf_embed_job *job)
{
    for (size_t i = 0; i < job->n; i++) {
        if (is_open(&job->slots[i])) {
            job->texts[job->n_rows] = job->texts[i];
            job->slots[i].row = job->n_rows++;
        } else {
            job->slots[i].rc = MF_ECANCELED;
        }
    }
}

void mf_embed_job_work(struct mf_embed_job *job)
{
    uint64_t start = uv_hrtime();

    choose_rows(job);
    if (job->n_rows == 0) {
        return;
    }
    job->batch_rc =
        run_model(job->model, job->texts, job->n_rows, job->vectors, job->results);
    for (size_t i = 0; i < job->n; i++) {
        struct mf_embed_slot *s = &job->slots[i];

        if (s->rc == MF_ECANCELED) {
            continue;
        }
        s->rc = job->batch_rc != 0 ? job->batch_rc : job->results[s->row].rc;
        if (!mf_embed_job_failed_whole(job)) {
            settle(job, s);
        }
    }
    job->took_us = (uv_hrtime() - start) / 1000;
}
