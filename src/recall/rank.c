/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/rank.h"

#include "base/err.h"
#include "base/mem.h"
#include "recall/topk.h"

#include <math.h>

#define PAD 16 /* floats before and behind, so that neighbours need no bounds */

bool mf_rank_wants_vectors(const struct mf_scan_request *r)
{
    return r->vector != NULL && !r->no_vector_leg;
}

bool mf_rank_wants_keywords(const struct mf_scan_request *r)
{
    return !r->no_keyword_leg;
}

bool mf_rank_is_of_agent(enum mf_kind kind, struct mf_slice agent_of_session,
                         struct mf_slice agent)
{
    return agent.n == 0 || mf_slice_eq(agent_of_session, agent) ||
           (kind == MF_KIND_KNOWLEDGE && agent_of_session.n == 0);
}

static double average_terms(const struct mf_cols *cols, size_t n)
{
    uint64_t total = 0;

    for (size_t kind = 0; kind < MF_KIND_COUNT; kind++) {
        for (size_t i = 0; i < cols[kind].n; i++) {
            total += cols[kind].n_terms[i];
        }
    }
    return total == 0 ? 1 : (double)total / (double)n;
}

int mf_rank_init(struct mf_rank *k, const struct mf_scan_request *r,
                 const struct mf_cols *cols)
{
    size_t n = cols[MF_KIND_MESSAGE].n + cols[MF_KIND_KNOWLEDGE].n;
    size_t floats = n + (size_t)2 * PAD;
    size_t numbers = 3 * floats * sizeof(float) + 2 * floats * sizeof(double);
    char *block = mf_calloc(1, numbers + n / 8 + 1 + n);

    if (block == NULL) {
        return MF_ENOMEM;
    }
    *k = (struct mf_rank){.r = r, .cols = cols, .n = n, .block = block};
    k->average = average_terms(cols, n);
    k->bm25 = (double *)(void *)block + PAD;
    k->k = k->bm25 + floats;
    k->d = (float *)(void *)(block + 2 * floats * sizeof(double)) + PAD;
    k->inv_r = k->d + floats;
    k->v = k->inv_r + floats;
    k->kept = (uint8_t *)block + numbers;
    k->hidden = k->kept + n / 8 + 1;
    return 0;
}

void mf_rank_fini(struct mf_rank *k)
{
    mf_free(k->block);
    *k = (struct mf_rank){0};
}

double mf_rank_idf(const struct mf_rank *k, size_t df)
{
    double n = (double)k->n;
    double x = (double)df;

    return fmax(log((n - x + 0.5) / (x + 0.5)), 1e-6);
}

/* --- vector leg --- */

/* Weights of j-1, j+1, j-2, j+2 for each set of neighbours. */
static void fill_near_weights(const struct mf_recall_weights *w, float table[16][4])
{
    for (unsigned near = 0; near < 16; near++) {
        table[near][0] = (near & MF_NEAR_BEFORE_1) != 0 ? (float)w->a1 : 0;
        table[near][1] = (near & MF_NEAR_AFTER_1) != 0 ? (float)w->a1 : 0;
        table[near][2] = (near & MF_NEAR_BEFORE_2) != 0 ? (float)w->a2 : 0;
        table[near][3] = (near & MF_NEAR_AFTER_2) != 0 ? (float)w->a2 : 0;
    }
}

/* Neighbours without a vector have d = 0: they count as absent by themselves. */
static void smooth_kind(struct mf_rank *k, enum mf_kind kind, float table[16][4])
{
    const uint8_t *near = k->cols[kind].near;
    size_t first = mf_rank_first(k, kind);
    float lo = k->lo;
    float hi = k->hi;

    for (size_t i = 0; i < k->cols[kind].n; i++) {
        const float *d = k->d + first + i;
        const float *w = table[near[i] & MF_NEAR_ALL];
        float inv_r = k->inv_r[first + i];
        float v =
            (d[0] + w[0] * d[-1] + w[1] * d[1] + w[2] * d[-2] + w[3] * d[2]) * inv_r;

        k->v[first + i] = v;
        if (inv_r > 0) {
            lo = v < lo ? v : lo;
            hi = v > hi ? v : hi;
        }
    }
    k->lo = lo;
    k->hi = hi;
}

static void smooth(struct mf_rank *k)
{
    float table[16][4];
    double span;

    if (!mf_rank_wants_vectors(k->r)) {
        return;
    }
    fill_near_weights(k->r->weights, table);
    k->lo = INFINITY;
    k->hi = -INFINITY;
    smooth_kind(k, MF_KIND_MESSAGE, table);
    smooth_kind(k, MF_KIND_KNOWLEDGE, table);
    span = (double)k->hi - (double)k->lo;
    k->per_v = span > 0 && isfinite(span) ? k->r->weights->w / span : 0;
}

/* --- keyword leg --- */

static double kept_bm25(const struct mf_rank *k, size_t at)
{
    return (k->kept[at / 8] >> (at % 8) & 1) != 0 ? k->bm25[at] : 0;
}

static double spread_bm25(const struct mf_rank *k, size_t at)
{
    const struct mf_recall_weights *w = k->r->weights;
    double sum = 0;
    uint8_t near;

    if (at >= k->cols[MF_KIND_MESSAGE].n) {
        return kept_bm25(k, at);
    }
    near = k->cols[MF_KIND_MESSAGE].near[at];
    sum += (near & MF_NEAR_BEFORE_1) != 0 ? w->b1 * kept_bm25(k, at - 1) : 0;
    sum += (near & MF_NEAR_AFTER_1) != 0 ? w->b1 * kept_bm25(k, at + 1) : 0;
    sum += (near & MF_NEAR_BEFORE_2) != 0 ? w->b2 * kept_bm25(k, at - 2) : 0;
    sum += (near & MF_NEAR_AFTER_2) != 0 ? w->b2 * kept_bm25(k, at + 2) : 0;
    return kept_bm25(k, at) + sum;
}

static void spread_around(struct mf_rank *k, size_t at)
{
    size_t from = at < 2 ? 0 : at - 2;
    size_t to = mf_min(at + 2, k->n - 1);

    for (size_t i = from; i <= to; i++) {
        if (k->k[i] == 0) {
            k->k[i] = spread_bm25(k, i);
            k->top_k = fmax(k->top_k, k->k[i]);
        }
    }
}

static int spread(struct mf_rank *k)
{
    struct mf_topk best;
    int rc = mf_topk_init(&best, mf_min(k->r->weights->keyword_rows, k->n));

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < k->n; i++) {
        if (k->bm25[i] > 0 && !mf_topk_is_below(&best, k->bm25[i])) {
            mf_topk_take(&best, k->bm25[i], i);
        }
    }
    for (size_t i = 0; i < best.n; i++) {
        k->kept[best.heap[i].at / 8] |= (uint8_t)(1U << (best.heap[i].at % 8));
    }
    for (size_t i = 0; i < best.n; i++) {
        spread_around(k, best.heap[i].at);
    }
    k->per_k = k->top_k > 0 ? (1 - k->r->weights->w) / k->top_k : 0;
    mf_topk_fini(&best);
    return 0;
}

/* --- fusion, boosts, order --- */

static inline double fuse(const struct mf_rank *k, size_t at)
{
    float v = k->inv_r[at] > 0 ? k->v[at] - k->lo : 0;

    return k->per_v * (double)v + k->per_k * k->k[at];
}

static void scale_fused(struct mf_rank *k)
{
    double best = 0;

    for (size_t i = 0; i < k->n; i++) {
        double f = fuse(k, i);

        best = f > best ? f : best;
    }
    k->per_f = best > 0 ? 1 / best : 1;
}

static bool is_date_asked_for(const struct mf_question *q, uint32_t meta)
{
    unsigned month = meta >> 8 & 0xFF;
    uint32_t year = meta >> 16;

    if (q->months != 0 && (month == 0 || (q->months >> (month - 1) & 1) == 0)) {
        return false;
    }
    for (size_t i = 0; i < q->n_years; i++) {
        if (q->years[i] == year) {
            return true;
        }
    }
    return q->n_years == 0;
}

static double boost_of(const struct mf_rank *k, uint32_t meta)
{
    const struct mf_recall_weights *w = k->r->weights;
    const struct mf_question *q = k->r->question;
    double sum = 0;

    if (q->role >= 0 && (meta >> 4 & 15) == (uint32_t)q->role) {
        sum += w->speaker;
    }
    if ((meta & MF_SEARCH_SHORT_QUESTION) != 0) {
        sum += w->short_question;
    }
    if ((q->months != 0 || q->n_years > 0) && is_date_asked_for(q, meta)) {
        sum += w->date;
    }
    if (q->asks_time && (meta & MF_SEARCH_TIME_WORD) != 0) {
        sum += w->time_word;
    }
    return sum;
}

static double similarity(const struct mf_rank *k, size_t at)
{
    double cosine = fmin(fmax((double)k->d[at], -1), 1);

    return k->inv_r[at] > 0 ? (1 + cosine) / 2 : 0;
}

static void choose_kind(const struct mf_rank *k, enum mf_kind kind,
                        struct mf_topk *best)
{
    const uint32_t *meta = k->cols[kind].meta;
    size_t first = mf_rank_first(k, kind);
    double least = k->r->min_similarity;

    for (size_t i = 0; i < k->cols[kind].n; i++) {
        size_t at = first + i;
        double s = fuse(k, at) * k->per_f + boost_of(k, meta[i]);

        if (mf_topk_is_below(best, s) || k->hidden[at] != 0 ||
            (least > 0 && similarity(k, at) < least)) {
            continue;
        }
        mf_topk_take(best, s, at);
    }
}

static struct mf_scan_hit hit_at(const struct mf_rank *k, const struct mf_top *t)
{
    size_t n_messages = k->cols[MF_KIND_MESSAGE].n;
    bool is_knowledge = t->at >= n_messages;
    const struct mf_cols *c = &k->cols[is_knowledge];
    size_t i = is_knowledge ? t->at - n_messages : t->at;

    return (struct mf_scan_hit){.seq = c->seq[i],
                                .is_knowledge = is_knowledge,
                                .has_vector = k->inv_r[t->at] > 0,
                                .score = t->key,
                                .similarity = similarity(k, t->at),
                                .bm25 = k->bm25[t->at],
                                .boost = boost_of(k, c->meta[i])};
}

int mf_rank_finish(struct mf_rank *k, struct mf_scan_hit *hits, size_t *n_hits)
{
    struct mf_topk best;
    int rc;

    *n_hits = 0;
    if (k->n == 0) {
        return 0;
    }
    smooth(k);
    rc = mf_rank_wants_keywords(k->r) ? spread(k) : 0;
    if (rc < 0 || (rc = mf_topk_init(&best, mf_min(k->r->top_k, k->n))) < 0) {
        return rc;
    }
    scale_fused(k);
    if (!k->r->no_messages) {
        choose_kind(k, MF_KIND_MESSAGE, &best);
    }
    if (!k->r->no_knowledge) {
        choose_kind(k, MF_KIND_KNOWLEDGE, &best);
    }
    mf_topk_sort(&best);
    for (size_t i = 0; i < best.n; i++) {
        hits[i] = hit_at(k, &best.heap[i]);
    }
    *n_hits = best.n;
    mf_topk_fini(&best);
    return 0;
}
