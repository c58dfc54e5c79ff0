/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_args: the statements of one round trip with their parameters, in PostgreSQL's
 * binary formats (src/backend/utils/adt: textsend, int8send, array_send; pgvector's
 * vector_send), built in an arena.
 *
 * Errors are sticky: a round that ran out of memory says so once, when it is sent.
 *
 * Owns:    nothing: the arena does; slices given are copied
 * Thread:  any, one at a time
 * Limits:  MF_PG_MAX_CALLS statements, MF_PG_MAX_ARGS parameters each; a value of
 *          1 GiB, PostgreSQL's own limit
 * Fails:   MF_ENOMEM, MF_ETOOBIG in round->rc
 */
#ifndef MF_STORE_PG_ARGS_H
#define MF_STORE_PG_ARGS_H

#include "base/base.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/pg_sql.h"

#define MF_PG_MAX_ARGS  24
#define MF_PG_MAX_CALLS 4096

struct mf_pg_call {
    enum mf_pg_stmt id;
    const char *text; /* instead of a prepared one: DDL, settings; NULL */
    int n;
    const char *values[MF_PG_MAX_ARGS];
    int lengths[MF_PG_MAX_ARGS];
    bool streams;         /* its rows are handed over as they come */
    struct mf_slice copy; /* what goes behind `text`, COPY .. FROM STDIN; empty: none */
};

struct mf_pg_round {
    struct mf_arena *arena;
    struct mf_pg_call *calls;
    size_t n, cap;
    int rc;
};

MF_ANY void mf_pg_round_init(struct mf_pg_round *r, struct mf_arena *arena);
/* Parameters are then given in order ($1, $2, ..) to the statement added last. */
MF_ANY void mf_pg_add(struct mf_pg_round *r, enum mf_pg_stmt id);
/* A statement without parameters that is not prepared; `text` lives until the round was
 * sent. */
MF_ANY void mf_pg_add_text(struct mf_pg_round *r, const char *text);
MF_ANY void mf_pg_stream_last(struct mf_pg_round *r);
/* `text`: COPY .. FROM STDIN; `data`, at least a byte, is what it reads. Both live
 * until the round is over. No statement of a round with one has parameters or streams:
 * the protocol has no COPY in a pipeline, all of the round goes as one query of texts.
 */
MF_ANY void mf_pg_add_copy(struct mf_pg_round *r, const char *text,
                           struct mf_slice data);

MF_ANY void mf_pg_null(struct mf_pg_round *r);
MF_ANY void mf_pg_text(struct mf_pg_round *r, struct mf_slice v);  /* empty: NULL */
MF_ANY void mf_pg_words(struct mf_pg_round *r, struct mf_slice v); /* empty: '' */
MF_ANY void mf_pg_bytes(struct mf_pg_round *r, struct mf_slice v); /* empty: NULL */
MF_ANY void mf_pg_int(struct mf_pg_round *r, int64_t v);           /* int8 */
MF_ANY void mf_pg_bool(struct mf_pg_round *r, bool v);
MF_ANY void mf_pg_limit(struct mf_pg_round *r, size_t limit); /* int8; 0: NULL, none */

/* Types of the server's catalogue (pg_type.dat), the same everywhere. */
enum mf_pg_oid {
    MF_PG_OID_BOOL = 16,
    MF_PG_OID_BYTEA = 17,
    MF_PG_OID_NAME = 19,
    MF_PG_OID_INT8 = 20,
    MF_PG_OID_INT2 = 21,
    MF_PG_OID_INT4 = 23,
    MF_PG_OID_TEXT = 25,
    MF_PG_OID_OID = 26,
    MF_PG_OID_VARCHAR = 1043,
};

/*
 * Arrays of one dimension. `at` gives element i of `rows`; called once or twice for
 * each i. An empty text or bytea is NULL (mf_pg_words_array: '').
 */
typedef struct mf_slice (*mf_pg_slice_at_fn)(const void *rows, size_t i);
typedef int64_t (*mf_pg_int_at_fn)(const void *rows, size_t i);

MF_ANY void mf_pg_text_array(struct mf_pg_round *r, const void *rows, size_t n,
                             mf_pg_slice_at_fn at);
MF_ANY void mf_pg_words_array(struct mf_pg_round *r, const void *rows, size_t n,
                              mf_pg_slice_at_fn at);
MF_ANY void mf_pg_bytes_array(struct mf_pg_round *r, const void *rows, size_t n,
                              mf_pg_slice_at_fn at);
MF_ANY void mf_pg_int_array(struct mf_pg_round *r, const void *rows, size_t n,
                            mf_pg_int_at_fn at);
MF_ANY void mf_pg_bool_array(struct mf_pg_round *r, const void *rows, size_t n,
                             mf_pg_int_at_fn at);
/* pgvector's type, whose number the server chose. `at` writes up to `max_dim` floats of
 * row i and gives how many; 0: NULL. */
typedef size_t (*mf_pg_vector_at_fn)(const void *rows, size_t i, float *to,
                                     size_t max_dim);
MF_ANY void mf_pg_vector_array(struct mf_pg_round *r, uint32_t vector_oid,
                               const void *rows, size_t n, size_t max_dim,
                               mf_pg_vector_at_fn at);

#endif
