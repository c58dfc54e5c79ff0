/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/cols.h"

#include "base/err.h"
#include "recall/grow.h"

void mf_cols_fini(struct mf_cols *c)
{
    mf_free(c->seq);
    mf_free(c->rec);
    mf_free(c->session);
    mf_free(c->n_terms);
    mf_free(c->meta);
    mf_free(c->near);
    *c = (struct mf_cols){0};
}

int mf_cols_reserve(struct mf_cols *c, size_t n_more)
{
    size_t need = c->n + n_more;

    if (mf_grow_array(&c->seq, &c->caps[0], need, sizeof(*c->seq)) < 0 ||
        mf_grow_array(&c->rec, &c->caps[1], need, sizeof(*c->rec)) < 0 ||
        mf_grow_array(&c->session, &c->caps[2], need, sizeof(*c->session)) < 0 ||
        mf_grow_array(&c->n_terms, &c->caps[3], need, sizeof(*c->n_terms)) < 0 ||
        mf_grow_array(&c->meta, &c->caps[4], need, sizeof(*c->meta)) < 0 ||
        mf_grow_array(&c->near, &c->caps[5], need, sizeof(*c->near)) < 0) {
        return MF_ENOMEM;
    }
    return 0;
}

/* Moves n records from place `from` to place `to`. */
static void move(struct mf_cols *c, size_t to, size_t from, size_t n)
{
    if (n == 0) {
        return;
    }
    memmove(c->seq + to, c->seq + from, n * sizeof(*c->seq));
    memmove(c->rec + to, c->rec + from, n * sizeof(*c->rec));
    memmove(c->session + to, c->session + from, n * sizeof(*c->session));
    memmove(c->n_terms + to, c->n_terms + from, n * sizeof(*c->n_terms));
    memmove(c->meta + to, c->meta + from, n * sizeof(*c->meta));
    memmove(c->near + to, c->near + from, n * sizeof(*c->near));
}

void mf_cols_insert(struct mf_cols *c, size_t at, uint64_t seq,
                    const struct mf_search_view *v)
{
    move(c, at + 1, at, c->n - at);
    c->n++;
    c->seq[at] = seq;
    c->n_terms[at] = v->n_terms;
    c->meta[at] = mf_meta(v);
    c->near[at] = 0;
    c->rec[at] = 0;
    c->session[at] = 0;
}

void mf_cols_remove(struct mf_cols *c, size_t at)
{
    c->n--;
    move(c, at, at + 1, c->n - at);
}

static void mark_stale(struct mf_cols *c, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        c->near[i] |= MF_NEAR_STALE;
    }
}

/* Past the records from `at` on that are, or are not, of the session. */
static size_t skip_session(const struct mf_cols *c, size_t at, uint32_t session,
                           bool is_of_it)
{
    while (at < c->n && (c->session[at] == session) == is_of_it) {
        at++;
    }
    return at;
}

void mf_cols_remove_session(struct mf_cols *c, uint32_t session)
{
    size_t n = skip_session(c, 0, session, false);
    size_t gap = n;

    while (gap < c->n) {
        size_t from = skip_session(c, gap, session, true);
        size_t end = skip_session(c, from, session, false);

        mark_stale(c, n < 2 ? 0 : n - 2, n);
        move(c, n, from, end - from);
        mark_stale(c, n, mf_min(n + 2, n + (end - from)));
        n += end - from;
        gap = end;
    }
    c->n = n;
}

size_t mf_cols_place(const struct mf_cols *c, uint64_t seq)
{
    size_t lo = 0;
    size_t hi = c->n;

    if (hi > 0 && c->seq[hi - 1] < seq) {
        return hi;
    }
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (c->seq[mid] < seq) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

uint8_t mf_cols_near(const struct mf_cols *c, size_t at)
{
    const uint32_t *s = c->session + at;
    unsigned near = 0;

    if (at >= 1 && s[-1] == s[0]) {
        near |= MF_NEAR_BEFORE_1;
    }
    if (at + 1 < c->n && s[1] == s[0]) {
        near |= MF_NEAR_AFTER_1;
    }
    if (at >= 2 && s[-2] == s[0]) {
        near |= MF_NEAR_BEFORE_2;
    }
    if (at + 2 < c->n && s[2] == s[0]) {
        near |= MF_NEAR_AFTER_2;
    }
    return (uint8_t)near;
}

size_t mf_cols_bytes(const struct mf_cols *c)
{
    return c->caps[0] * sizeof(*c->seq) + c->caps[1] * sizeof(*c->rec) +
           c->caps[2] * sizeof(*c->session) + c->caps[3] * sizeof(*c->n_terms) +
           c->caps[4] * sizeof(*c->meta) + c->caps[5] * sizeof(*c->near);
}
