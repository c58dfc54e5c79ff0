/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_args.h"

#include "base/err.h"

#include <endian.h>

#define FIRST_CALLS 4
#define MAX_VALUE   0x3fffffff /* MaxAllocSize of the server's memutils.h */

#define INT_BYTES    4
#define HEAD_BYTES   (5 * (size_t)INT_BYTES) /* of an array that has elements */
#define VECTOR_BYTES 4                       /* of a vector before its floats */
#define NULL_LENGTH  0xffffffff

void mf_pg_round_init(struct mf_pg_round *r, struct mf_arena *arena)
{
    *r = (struct mf_pg_round){.arena = arena};
}

static void fail(struct mf_pg_round *r, int rc)
{
    if (r->rc == 0) {
        r->rc = rc;
    }
}

/* Memory of the arena; NULL once the round has failed. */
static void *take(struct mf_pg_round *r, size_t n)
{
    void *p;

    if (r->rc < 0) {
        return NULL;
    }
    if (n > MAX_VALUE) {
        fail(r, MF_ETOOBIG);
        return NULL;
    }
    p = mf_arena_alloc(r->arena, n);
    if (p == NULL) {
        fail(r, MF_ENOMEM);
    }
    return p;
}

static bool has_room(struct mf_pg_round *r)
{
    size_t cap = r->cap == 0 ? FIRST_CALLS : r->cap * 2;
    struct mf_pg_call *calls;

    if (r->n < r->cap) {
        return true;
    }
    if (r->n == MF_PG_MAX_CALLS) {
        fail(r, MF_ETOOBIG);
        return false;
    }
    calls = take(r, cap * sizeof(*calls));
    if (calls == NULL) {
        return false;
    }
    if (r->n > 0) {
        memcpy(calls, r->calls, r->n * sizeof(*calls));
    }
    r->calls = calls;
    r->cap = cap;
    return true;
}

static void add_call(struct mf_pg_round *r, enum mf_pg_stmt id, const char *text)
{
    struct mf_pg_call *c;

    if (r->rc < 0 || !has_room(r)) {
        return;
    }
    c = &r->calls[r->n++];
    c->id = id;
    c->text = text;
    c->n = 0;
    c->streams = false;
    c->copy = mf_slice_of(NULL, 0);
}

void mf_pg_add(struct mf_pg_round *r, enum mf_pg_stmt id)
{
    add_call(r, id, NULL);
}

void mf_pg_add_text(struct mf_pg_round *r, const char *text)
{
    add_call(r, MF_PG_STMT_COUNT, text);
}

void mf_pg_add_copy(struct mf_pg_round *r, const char *text, struct mf_slice data)
{
    MF_ASSERT(data.n > 0);
    add_call(r, MF_PG_STMT_COUNT, text);
    if (r->rc == 0) {
        r->calls[r->n - 1].copy = data;
    }
}

void mf_pg_stream_last(struct mf_pg_round *r)
{
    if (r->rc == 0) {
        MF_ASSERT(r->n > 0);
        r->calls[r->n - 1].streams = true;
    }
}

/* `p` is the arena's, or NULL for a NULL. */
static void push(struct mf_pg_round *r, const void *p, size_t n)
{
    struct mf_pg_call *c;

    if (r->rc < 0) {
        return;
    }
    MF_ASSERT(r->n > 0);
    c = &r->calls[r->n - 1];
    MF_ASSERT(c->text == NULL && c->n < MF_PG_MAX_ARGS);
    c->values[c->n] = p;
    c->lengths[c->n] = (int)n;
    c->n++;
}

static void push_copy(struct mf_pg_round *r, const void *p, size_t n)
{
    void *copy = take(r, n);

    if (copy != NULL) {
        if (n > 0) {
            memcpy(copy, p, n);
        }
        push(r, copy, n);
    }
}

void mf_pg_null(struct mf_pg_round *r)
{
    push(r, NULL, 0);
}

void mf_pg_text(struct mf_pg_round *r, struct mf_slice v)
{
    mf_pg_bytes(r, v);
}

void mf_pg_words(struct mf_pg_round *r, struct mf_slice v)
{
    push_copy(r, v.p, v.n);
}

void mf_pg_bytes(struct mf_pg_round *r, struct mf_slice v)
{
    if (v.n == 0) {
        mf_pg_null(r);
        return;
    }
    push_copy(r, v.p, v.n);
}

void mf_pg_int(struct mf_pg_round *r, int64_t v)
{
    uint64_t wire = htobe64((uint64_t)v);

    push_copy(r, &wire, sizeof(wire));
}

void mf_pg_bool(struct mf_pg_round *r, bool v)
{
    push_copy(r, v ? "\1" : "\0", 1);
}

void mf_pg_limit(struct mf_pg_round *r, size_t limit)
{
    if (limit == 0 || limit > INT64_MAX) {
        mf_pg_null(r);
        return;
    }
    mf_pg_int(r, (int64_t)limit);
}

/* --- arrays: dimensions, has NULLs, type; of the dimension length and first index;
 * then each element's length and bytes */

static char *put_u32(char *at, size_t v)
{
    uint32_t wire = htobe32((uint32_t)v);

    memcpy(at, &wire, sizeof(wire));
    return at + sizeof(wire);
}

static char *put_head(char *at, size_t n, bool has_null, uint32_t oid)
{
    at = put_u32(at, n > 0);
    at = put_u32(at, has_null);
    at = put_u32(at, oid);
    if (n > 0) {
        at = put_u32(at, n);
        at = put_u32(at, 1);
    }
    return at;
}

/* Room for the head and `bytes` of elements, lengths included; NULL: failed. */
static char *take_array(struct mf_pg_round *r, size_t bytes)
{
    return take(r, HEAD_BYTES + mf_min(bytes, (size_t)MAX_VALUE));
}

/* What lies from `p` to `end` is the next parameter. */
static void push_array(struct mf_pg_round *r, const char *p, const char *end)
{
    push(r, p, (size_t)(end - p));
}

static void slice_array(struct mf_pg_round *r, uint32_t oid, const void *rows, size_t n,
                        mf_pg_slice_at_fn at, bool empty_is_null)
{
    size_t bytes = 0;
    bool has_null = false;
    char *head;
    char *to;

    for (size_t i = 0; i < n; i++) {
        size_t length = at(rows, i).n;

        /* A sum that passes the limit stays above it: it cannot wrap. */
        bytes += INT_BYTES + mf_min(length, (size_t)MAX_VALUE);
        has_null |= length == 0 && empty_is_null;
    }
    head = take_array(r, bytes);
    if (head == NULL) {
        return;
    }
    to = put_head(head, n, has_null, oid);
    for (size_t i = 0; i < n; i++) {
        struct mf_slice v = at(rows, i);

        to = put_u32(to, v.n == 0 && empty_is_null ? NULL_LENGTH : v.n);
        if (v.n > 0) {
            memcpy(to, v.p, v.n);
            to += v.n;
        }
    }
    push_array(r, head, to);
}

void mf_pg_text_array(struct mf_pg_round *r, const void *rows, size_t n,
                      mf_pg_slice_at_fn at)
{
    slice_array(r, MF_PG_OID_TEXT, rows, n, at, true);
}

void mf_pg_words_array(struct mf_pg_round *r, const void *rows, size_t n,
                       mf_pg_slice_at_fn at)
{
    slice_array(r, MF_PG_OID_TEXT, rows, n, at, false);
}

void mf_pg_bytes_array(struct mf_pg_round *r, const void *rows, size_t n,
                       mf_pg_slice_at_fn at)
{
    slice_array(r, MF_PG_OID_BYTEA, rows, n, at, true);
}

void mf_pg_int_array(struct mf_pg_round *r, const void *rows, size_t n,
                     mf_pg_int_at_fn at)
{
    char *head = take_array(r, n * (INT_BYTES + sizeof(uint64_t)));
    char *to;

    if (head == NULL) {
        return;
    }
    to = put_head(head, n, false, MF_PG_OID_INT8);
    for (size_t i = 0; i < n; i++) {
        uint64_t wire = htobe64((uint64_t)at(rows, i));

        to = put_u32(to, sizeof(wire));
        memcpy(to, &wire, sizeof(wire));
        to += sizeof(wire);
    }
    push_array(r, head, to);
}

void mf_pg_bool_array(struct mf_pg_round *r, const void *rows, size_t n,
                      mf_pg_int_at_fn at)
{
    char *head = take_array(r, n * (INT_BYTES + 1));
    char *to;

    if (head == NULL) {
        return;
    }
    to = put_head(head, n, false, MF_PG_OID_BOOL);
    for (size_t i = 0; i < n; i++) {
        to = put_u32(to, 1);
        *to++ = at(rows, i) != 0 ? 1 : 0;
    }
    push_array(r, head, to);
}

/* A vector: its dimension and a zero in 16 bits each, then the floats. */
static char *put_vector(char *to, const float *v, size_t dim)
{
    to = put_u32(to, VECTOR_BYTES + dim * sizeof(*v));
    to = put_u32(to, dim << 16);
    for (size_t k = 0; k < dim; k++) {
        uint32_t bits;

        memcpy(&bits, &v[k], sizeof(bits));
        to = put_u32(to, bits);
    }
    return to;
}

void mf_pg_vector_array(struct mf_pg_round *r, uint32_t vector_oid, const void *rows,
                        size_t n, size_t max_dim, mf_pg_vector_at_fn at)
{
    float *v = take(r, max_dim * sizeof(*v));
    size_t bytes = 0;
    bool has_null = false;
    char *head;
    char *to;

    for (size_t i = 0; v != NULL && i < n; i++) {
        size_t dim = at(rows, i, v, max_dim);

        MF_ASSERT(dim <= max_dim);
        bytes += INT_BYTES + (dim == 0 ? 0 : VECTOR_BYTES + dim * sizeof(*v));
        has_null |= dim == 0;
    }
    head = take_array(r, bytes);
    if (head == NULL) {
        return;
    }
    to = put_head(head, n, has_null, vector_oid);
    for (size_t i = 0; i < n; i++) {
        size_t dim = at(rows, i, v, max_dim);

        to = dim == 0 ? put_u32(to, NULL_LENGTH) : put_vector(to, v, dim);
    }
    push_array(r, head, to);
}
