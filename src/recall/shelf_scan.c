/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/dot.h"
#include "recall/rank.h"
#include "recall/shelf_in.h"

/* One set of vectors; rows come in memory order, places are looked up. */
struct leg {
    const struct mf_shelf *s;
    const struct mf_vecs *set;
    const struct mf_dot_query *q;
    struct mf_rank *rank;
};

static void place_row(const struct leg *leg, uint32_t row, float d)
{
    uint32_t owner = leg->set->owner[row];
    const struct shelf_rec *rec;
    size_t at;

    if (owner == MF_VECS_NONE) {
        return;
    }
    rec = &leg->s->recs[owner];
    at = mf_rank_first(leg->rank, (enum mf_kind)rec->kind) + rec->at;
    leg->rank->d[at] = d;
    leg->rank->inv_r[at] = leg->set->inv_r[row];
}

static void scan_i8(const struct leg *leg, size_t segment)
{
    int64_t sums[MF_VECS_SEGMENT_MAX];
    uint32_t first;
    size_t n = mf_vecs_segment(leg->set, segment, &first);

    mf_dot()->rows_i8(leg->set->segments[segment], n, leg->q, sums);
    for (size_t i = 0; i < n; i++) {
        uint32_t row = first + (uint32_t)i;

        place_row(leg, row, mf_dot_value(leg->q, sums[i], leg->set->scale[row]));
    }
}

static void scan_f32(const struct leg *leg, size_t segment)
{
    float sums[MF_VECS_SEGMENT_MAX];
    uint32_t first;
    size_t n = mf_vecs_segment(leg->set, segment, &first);

    mf_dot()->rows_f32(leg->set->segments[segment], n, leg->q, sums);
    for (size_t i = 0; i < n; i++) {
        place_row(leg, first + (uint32_t)i, sums[i]);
    }
}

static void scan_set(const struct leg *leg)
{
    for (size_t i = 0; i < leg->set->n_segments; i++) {
        if (leg->set->is_f32) {
            scan_f32(leg, i);
        } else {
            scan_i8(leg, i);
        }
    }
}

static int find_by_vector(const struct mf_shelf *s, const struct mf_scan_request *r,
                          struct mf_rank *rank)
{
    struct mf_dot_query q;
    int rc = mf_dot_query_init(&q, r->vector, r->dim);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < s->n_sets; i++) {
        struct leg leg = {s, &s->sets[i], &q, rank};

        if (leg.set->space == r->space && leg.set->dim == r->dim) {
            scan_set(&leg);
        }
    }
    mf_dot_query_fini(&q);
    return 0;
}

static void find_by_term(const struct mf_shelf *s, struct mf_rank *rank, uint32_t hash)
{
    const struct mf_term *t = mf_postings_find(&s->postings, hash);
    double idf;

    if (t == NULL || t->n == 0) {
        return;
    }
    idf = mf_rank_idf(rank, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct shelf_rec *rec = &s->recs[t->records[i]];
        size_t at = mf_rank_first(rank, (enum mf_kind)rec->kind) + rec->at;

        mf_rank_hit(rank, at, s->cols[rec->kind].n_terms[rec->at], idf,
                    mf_term_counts(t)[i]);
    }
}

static void hide_other_agents(const struct mf_shelf *s, struct mf_rank *rank)
{
    for (size_t kind = 0; kind < MF_KIND_COUNT; kind++) {
        const struct mf_cols *c = &s->cols[kind];
        size_t first = mf_rank_first(rank, (enum mf_kind)kind);

        for (size_t i = 0; i < c->n; i++) {
            const struct mf_session *x = s->sessions.by_index[c->session[i]];

            rank->hidden[first + i] =
                !mf_rank_is_of_agent((enum mf_kind)kind, x->agent, rank->r->agent_id);
        }
    }
}

static int find(const struct mf_shelf *s, const struct mf_scan_request *r,
                struct mf_rank *rank)
{
    int rc = 0;

    if (r->agent_id.n > 0) {
        hide_other_agents(s, rank);
    }
    if (mf_rank_wants_vectors(r)) {
        rc = find_by_vector(s, r, rank);
    }
    if (mf_rank_wants_keywords(r)) {
        for (uint32_t i = 0; i < r->question->n_terms; i++) {
            find_by_term(s, rank, r->question->terms[i]);
        }
    }
    return rc;
}

int mf_shelf_scan(const struct mf_shelf *s, const struct mf_scan_request *r,
                  struct mf_scan_hit *hits, size_t *n_hits)
{
    struct mf_rank rank;
    int rc = mf_rank_init(&rank, r, s->cols);

    *n_hits = 0;
    if (rc < 0) {
        return rc;
    }
    rc = find(s, r, &rank);
    if (rc == 0) {
        rc = mf_rank_finish(&rank, hits, n_hits);
    }
    mf_rank_fini(&rank);
    return rc;
}
