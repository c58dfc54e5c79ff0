/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_row: values out of a result in binary format.
 *
 * What the server sent is checked as if it were a stranger's: a column of another
 * length or type than the statement promises is MF_ECORRUPT.
 *
 * Owns:    nothing
 * Thread:  any: a result is nobody's but who holds it
 * Limits:  none
 * Fails:   MF_ENOMEM, MF_ECORRUPT
 */
#ifndef MF_STORE_PG_ROW_H
#define MF_STORE_PG_ROW_H

#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/store.h"

#include <libpq-fe.h>

struct mf_pg_row {
    const PGresult *res;
    int at;
    struct mf_err *err;
    int rc; /* the first error, sticky */
};

MF_ANY struct mf_pg_row mf_pg_row(const PGresult *res, int at, struct mf_err *err);
MF_ANY bool mf_pg_is_null(const struct mf_pg_row *r, int col);
MF_ANY int64_t mf_pg_get_int(struct mf_pg_row *r,
                             int col); /* int2, int4, int8, oid; NULL: 0 */
MF_ANY bool mf_pg_get_bool(struct mf_pg_row *r, int col); /* NULL: false */
/* Of text, varchar, name, bytea. Where it lies: until the result is cleared. NULL and
 * '': empty. */
MF_ANY struct mf_slice mf_pg_peek(struct mf_pg_row *r, int col);
/* Copied into the arena. */
MF_ANY struct mf_slice mf_pg_read(struct mf_pg_row *r, int col, struct mf_arena *a);
/* The columns of MF_PG_SQL_MESSAGE (pg_sql_messages.h), and of entities: id, user_id,
 * agent_id, name, text, key_hash, created_us, updated_us, expires_us, seq, search,
 * is_pending, each of its type (NULL::text, NULL::bytea, 0, false where the kind has
 * none). Give r->rc. */
MF_MUST MF_ANY int mf_pg_read_message(struct mf_pg_row *r, struct mf_arena *a,
                                      struct mf_store_row *out);
MF_MUST MF_ANY int mf_pg_read_entity(struct mf_pg_row *r, struct mf_arena *a,
                                     struct mf_entity *out);
/* Rows that the statement changed (PQcmdTuples). */
MF_ANY size_t mf_pg_n_changed(const PGresult *res);

#endif
