/* SPDX-License-Identifier: Apache-2.0 */
/* LOAD_ROUNDS: rows by COPY. */
#include "store/pg_copy.h"

#include "store/pg_row.h"
#include "store/pg_write.h"

#include <endian.h>

#define MAX_BYTES    0x3fffffff
#define NULL_LENGTH  0xffffffffU
#define END_OF_ROWS  0xffffU
#define SIGNATURE    "PGCOPY\n\377\r\n" /* and a NUL, which ends it */
#define VECTOR_BYTES 4                  /* of a vector before its floats */

#define COLUMNS                                                                        \
    "user_id, id, seq, session_id, round_id, created_us, updated_us, role,"            \
    " is_pending, mark, search, content, metadata"
#define N_COLUMNS 13
#define BINARY    ") FROM STDIN WITH (FORMAT binary)"

static const char copy_messages[] = "COPY messages (" COLUMNS BINARY;
static const char copy_with_vectors[] = "COPY messages (" COLUMNS ", embedding" BINARY;
static const char copy_passages[] =
    "COPY passages (user_id, message_id, passages" BINARY;

/* --- fields */

/* Where bytes go; with `to` NULL they are only counted. */
struct sink {
    char *to;
    size_t n;
};

static void put(struct sink *s, const void *p, size_t n)
{
    if (s->to != NULL && n > 0) {
        memcpy(s->to + s->n, p, n);
    }
    s->n += n;
}

static void put_u16(struct sink *s, uint32_t v)
{
    uint16_t wire = htobe16((uint16_t)v);

    put(s, &wire, sizeof(wire));
}

static void put_u32(struct sink *s, uint32_t v)
{
    uint32_t wire = htobe32(v);

    put(s, &wire, sizeof(wire));
}

static void put_int(struct sink *s, int64_t v)
{
    uint64_t wire = htobe64((uint64_t)v);

    put_u32(s, sizeof(wire));
    put(s, &wire, sizeof(wire));
}

/* What is too long for 32 bits is too long for the whole, too. */
static void put_words(struct sink *s, struct mf_slice v)
{
    put_u32(s, (uint32_t)v.n);
    put(s, v.p, v.n);
}

static void put_bytes(struct sink *s, struct mf_slice v)
{
    if (v.n == 0) {
        put_u32(s, NULL_LENGTH);
    } else {
        put_words(s, v);
    }
}

static void put_vector(struct sink *s, const float *v, size_t dim)
{
    if (dim == 0) {
        put_u32(s, NULL_LENGTH);
        return;
    }
    put_u32(s, (uint32_t)(VECTOR_BYTES + dim * sizeof(*v)));
    put_u32(s, (uint32_t)(dim << 16));
    for (size_t k = 0; k < dim; k++) {
        uint32_t bits;

        memcpy(&bits, &v[k], sizeof(bits));
        put_u32(s, bits);
    }
}

/* --- rows */

struct table { /* of a batch: what is copied, and how a row of it is put */
    const struct mf_pg_batch *b;
    float *vector; /* scratch; NULL: no such column */
    void (*put_row)(struct sink *s, const struct table *t, size_t i);
};

static void put_message(struct sink *s, const struct table *t, size_t i)
{
    const struct mf_pg_place *p = &t->b->places[i];
    const struct mf_store_row *row = p->row;

    put_u16(s, N_COLUMNS + (t->vector != NULL));
    put_bytes(s, row->user_id);
    put_bytes(s, row->msg.id);
    put_int(s, (int64_t)row->seq);
    put_bytes(s, row->session_id);
    put_bytes(s, row->round_id);
    put_int(s, row->msg.created_us);
    put_int(s, row->msg.updated_us);
    put_u32(s, sizeof(uint16_t));
    put_u16(s, row->msg.role);
    put_u32(s, 1);
    put(s, row->is_pending ? "\1" : "\0", 1);
    put_int(s, p->mark);
    put_bytes(s, row->search);
    put_words(s, row->msg.content);
    put_bytes(s, row->msg.metadata);
    if (t->vector != NULL) {
        put_vector(s, t->vector,
                   mf_pg_batch_vector(t->b, i, t->vector, t->b->env->max_dim));
    }
}

static void put_passages(struct sink *s, const struct table *t, size_t i)
{
    const struct mf_store_row *row = t->b->places[i].row;

    put_u16(s, 3);
    put_bytes(s, row->user_id);
    put_bytes(s, row->msg.id);
    put_bytes(s, row->passages);
}

static void put_table(struct sink *s, const struct table *t)
{
    put(s, SIGNATURE, sizeof(SIGNATURE));
    put_u32(s, 0); /* no flags */
    put_u32(s, 0); /* no more of a head */
    for (size_t i = 0; i < t->b->n; i++) {
        t->put_row(s, t, i);
    }
    put_u16(s, END_OF_ROWS);
}

/* Counted, then written: one piece of memory, which is as large as it must be. */
static int copy_table(struct mf_arena *a, const struct table *t, struct mf_slice *out)
{
    struct sink count = {.to = NULL};
    struct sink s;

    put_table(&count, t);
    if (count.n > MAX_BYTES) {
        return MF_ETOOBIG;
    }
    s = (struct sink){.to = mf_arena_alloc(a, count.n)};
    if (s.to == NULL) {
        return MF_ENOMEM;
    }
    put_table(&s, t);
    *out = mf_slice_of(s.to, s.n);
    return 0;
}

int mf_pg_copy_messages(struct mf_arena *a, const struct mf_pg_batch *b,
                        struct mf_pg_copy *out)
{
    struct table t = {.b = b, .put_row = put_message};

    if (mf_pg_has_vectors(b)) {
        t.vector = mf_arena_alloc(a, (b->env->max_dim + 1) * sizeof(*t.vector));
        if (t.vector == NULL) {
            return MF_ENOMEM;
        }
    }
    out->text = t.vector == NULL ? copy_messages : copy_with_vectors;
    return copy_table(a, &t, &out->data);
}

int mf_pg_copy_passages(struct mf_arena *a, const struct mf_pg_batch *b,
                        struct mf_pg_copy *out)
{
    const struct table t = {.b = b, .put_row = put_passages};

    out->text = copy_passages;
    return copy_table(a, &t, &out->data);
}

/* --- the verb */

static bool has_passages(const struct mf_pg_place *p)
{
    return p->row->passages.n > 0;
}

MF_WORKER static int add_copy(struct mf_pg_job *j, int rc, const struct mf_pg_copy *c)
{
    if (rc < 0) {
        return mf_err_set(j->err, rc, "the rows for COPY: %s", mf_code_sentence(rc));
    }
    mf_pg_add_copy(&j->round, c->text, c->data);
    return 0;
}

MF_WORKER static int add_copies(struct mf_pg_job *j, const struct mf_pg_batch *b)
{
    const struct mf_pg_batch *with = mf_pg_batch_pick(j, b, has_passages);
    struct mf_pg_copy c;
    int rc;

    if (with == NULL) {
        return MF_ENOMEM;
    }
    if (b->n == 0) {
        return 0;
    }
    rc = add_copy(j, mf_pg_copy_messages(&j->kept, b, &c), &c);
    if (rc == 0 && with->n > 0) {
        rc = add_copy(j, mf_pg_copy_passages(&j->kept, with, &c), &c);
    }
    return rc;
}

int mf_pg_load_rounds(struct mf_pg_job *j)
{
    struct mf_store_write *w = mf_container_of(j->req, struct mf_store_write, req);
    struct mf_pg_writing *s = j->state;
    int rc;

    MF_ASSERT(w->n_idems == 0);
    if (j->env->cfg.is_citus) { /* its COPY says XX000 of a row that is there */
        return mf_pg_write_rounds(j);
    }
    if (s != NULL && s->phase == MF_PG_PHASE_ROWS) {
        w->n_changed = j->n_results == 0 ? 0 : mf_pg_n_changed(mf_pg_result(j, 0));
        return 0;
    }
    rc = mf_pg_begin_rows(j);
    s = j->state;
    if (rc < 0 || s->phase == MF_PG_PHASE_MARKS) {
        return rc;
    }
    rc = add_copies(j, s->batches[MF_PG_MESSAGES]);
    mf_pg_is_last(j);
    return rc;
}
