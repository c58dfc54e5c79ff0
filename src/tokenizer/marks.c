/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer/marks.h"

#define N_ORDERS 256

struct mark { /* one character of the text */
    uint32_t from, to;
    uint32_t cp;   /* what is left of it, if anything is */
    uint8_t order; /* 0: no mark */
    bool stays;
};

struct run {
    const struct mf_normaliser *z;
    struct mf_slice text;
    size_t begin, end;
    /* The character before it, when it decomposes to a letter and marks that stay. */
    struct mf_norm_char head;
    struct mark head_at;
    uint32_t n_of[N_ORDERS];
    bool stays[N_ORDERS];
};

/* The next character that cleaning does not drop; false at the end. */
static bool next_mark(const struct mf_normaliser *z, struct mf_slice text, size_t *at,
                      struct mark *m)
{
    while (*at < text.n) {
        struct mf_norm_char c;
        uint32_t cp;

        m->from = (uint32_t)*at;
        *at += mf_norm_decode(text, *at, &cp);
        m->to = (uint32_t)*at;
        mf_normalise(z, cp, &c);
        m->cp = c.cp[0];
        m->stays = c.kind != MF_NORM_GONE;
        m->order = mf_norm_order(cp);
        if (m->stays || mf_norm_is_mark(cp)) {
            return true;
        }
    }
    return false;
}

/* Where the marks that reach up to `at` begin. */
static size_t find_begin(const struct run *r, size_t begin, size_t at)
{
    struct mf_slice before = mf_slice_of(r->text.p, at);
    struct mark m;

    for (size_t i = begin; next_mark(r->z, before, &i, &m);) {
        begin = m.order == 0 ? i : begin;
    }
    return begin;
}

static void take_head(struct run *r, size_t at)
{
    uint32_t cp;

    r->head_at.from = (uint32_t)at;
    r->begin = at + mf_norm_decode(r->text, at, &cp);
    r->head_at.to = (uint32_t)r->begin;
    mf_normalise(r->z, cp, &r->head);
    for (size_t i = 1; i < r->head.n; i++) {
        r->stays[mf_norm_order(r->head.cp[i])] = true;
    }
}

static void count_marks(struct run *r)
{
    struct mark m;
    size_t at = r->begin;

    r->end = at;
    while (next_mark(r->z, r->text, &at, &m) && m.order != 0) {
        r->n_of[m.order]++;
        r->stays[m.order] |= m.stays;
        r->end = at;
    }
}

/* Moves on to the n-th mark of the text, from 1; 0 is the head. */
struct place {
    size_t at;
    uint32_t n;
    struct mark m;
};

static void go_to(const struct run *r, struct place *p, uint32_t n)
{
    while (p->n < n && next_mark(r->z, r->text, &p->at, &p->m)) {
        p->n++;
    }
}

/* The marks of one class, `n_before` others before them. */
static void put_order(const struct run *r, uint8_t order, uint32_t n_before,
                      mf_marks_fn put, void *arg)
{
    struct place place = {r->begin, 0, r->head_at};
    size_t at = r->begin;
    struct mark m;

    go_to(r, &place, n_before);
    for (size_t i = 1; i < r->head.n; i++) {
        if (mf_norm_order(r->head.cp[i]) == order) {
            put(arg, r->head.cp[i], place.m.from, place.m.to);
        }
    }
    while (at < r->end && next_mark(r->z, r->text, &at, &m)) {
        if (m.order != order) {
            continue;
        }
        go_to(r, &place, ++n_before);
        if (m.stays) {
            put(arg, m.cp, place.m.from, place.m.to);
        }
    }
}

size_t mf_marks_take(const struct mf_normaliser *z, struct mf_slice text, size_t begin,
                     size_t at, mf_marks_fn put, void *arg)
{
    struct run r = {.z = z, .text = text};
    uint32_t n_before = 0, cp;

    (void)mf_norm_decode(text, at, &cp);
    if (mf_norm_order(cp) == 0) {
        take_head(&r, at);
        put(arg, r.head.cp[0], r.head_at.from, r.head_at.to);
    } else {
        r.begin = find_begin(&r, begin, at);
    }
    count_marks(&r);
    for (unsigned order = 1; order < N_ORDERS; order++) {
        if (r.stays[order]) {
            put_order(&r, (uint8_t)order, n_before, put, arg);
        }
        n_before += r.n_of[order];
    }
    return r.end;
}
