/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_row.h"

#include "store/pg_args.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>

struct mf_pg_row mf_pg_row(const PGresult *res, int at, struct mf_err *err)
{
    MF_ASSERT(at >= 0 && at < PQntuples(res));
    return (struct mf_pg_row){.res = res, .at = at, .err = err};
}

static void fail(struct mf_pg_row *r, int rc)
{
    if (r->rc == 0) {
        r->rc = rc;
    }
}

static void refuse(struct mf_pg_row *r, int col)
{
    if (r->rc < 0) {
        return;
    }
    if (col >= PQnfields(r->res)) {
        fail(r, mf_err_set(r->err, MF_ECORRUPT, "the server sent %d columns, not %d",
                           PQnfields(r->res), col + 1));
        return;
    }
    fail(r, mf_err_set(r->err, MF_ECORRUPT,
                       "the server sent column %d with type %u and %d bytes: look "
                       "at the tables of this database, somebody changed them",
                       col + 1, PQftype(r->res, col), PQgetlength(r->res, r->at, col)));
}

/* The column is there and binary; NULL or not. */
static bool is_there(const struct mf_pg_row *r, int col)
{
    return col < PQnfields(r->res) && PQfformat(r->res, col) == 1;
}

bool mf_pg_is_null(const struct mf_pg_row *r, int col)
{
    return col >= PQnfields(r->res) || PQgetisnull(r->res, r->at, col) != 0;
}

/* How many bytes an integer of this type has; 0: it is none. */
static int int_bytes(Oid type)
{
    switch (type) {
    case MF_PG_OID_INT2: return 2;
    case MF_PG_OID_INT4:
    case MF_PG_OID_OID: return 4;
    case MF_PG_OID_INT8: return 8;
    default: return 0;
    }
}

static int64_t read_int(const char *p, Oid type)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;

    switch (int_bytes(type)) {
    case sizeof(two): memcpy(&two, p, sizeof(two)); return (int16_t)be16toh(two);
    case sizeof(four):
        memcpy(&four, p, sizeof(four));
        four = be32toh(four);
        return type == MF_PG_OID_OID ? (int64_t)four : (int32_t)four;
    default: memcpy(&eight, p, sizeof(eight)); return (int64_t)be64toh(eight);
    }
}

int64_t mf_pg_get_int(struct mf_pg_row *r, int col)
{
    int n = is_there(r, col) ? int_bytes(PQftype(r->res, col)) : 0;

    if (n > 0 && mf_pg_is_null(r, col)) {
        return 0;
    }
    if (n == 0 || PQgetlength(r->res, r->at, col) != n) {
        refuse(r, col);
        return 0;
    }
    return read_int(PQgetvalue(r->res, r->at, col), PQftype(r->res, col));
}

bool mf_pg_get_bool(struct mf_pg_row *r, int col)
{
    bool is_bool = is_there(r, col) && PQftype(r->res, col) == MF_PG_OID_BOOL;

    if (is_bool && mf_pg_is_null(r, col)) {
        return false;
    }
    if (!is_bool || PQgetlength(r->res, r->at, col) != 1) {
        refuse(r, col);
        return false;
    }
    return PQgetvalue(r->res, r->at, col)[0] != 0;
}

static bool holds_bytes(Oid type)
{
    return type == MF_PG_OID_TEXT || type == MF_PG_OID_BYTEA ||
           type == MF_PG_OID_VARCHAR || type == MF_PG_OID_NAME;
}

struct mf_slice mf_pg_peek(struct mf_pg_row *r, int col)
{
    int n;

    if (!is_there(r, col) || !holds_bytes(PQftype(r->res, col))) {
        refuse(r, col);
        return (struct mf_slice){NULL, 0};
    }
    n = PQgetlength(r->res, r->at, col);
    if (n <= 0) {
        return (struct mf_slice){NULL, 0};
    }
    return mf_slice_of(PQgetvalue(r->res, r->at, col), (size_t)n);
}

struct mf_slice mf_pg_read(struct mf_pg_row *r, int col, struct mf_arena *a)
{
    struct mf_slice v = mf_pg_peek(r, col);
    char *copy;

    if (r->rc < 0 || v.n == 0) {
        return (struct mf_slice){NULL, 0};
    }
    copy = mf_arena_strndup(a, v.p, v.n);
    if (copy == NULL) {
        fail(r, mf_err_set(r->err, MF_ENOMEM, "no memory for %zu bytes of the store",
                           v.n));
        return (struct mf_slice){NULL, 0};
    }
    return mf_slice_of(copy, v.n);
}

/* Whoever reads the role looks it up in a table. */
static enum mf_msg_role read_role(struct mf_pg_row *r, int col)
{
    int64_t role = mf_pg_get_int(r, col);

    if (role < 0 || role >= MF_MSG_ROLE_COUNT) {
        fail(r, mf_err_set(r->err, MF_ECORRUPT,
                           "the store holds a message of role %" PRId64
                           "; there are 0 to %d",
                           role, MF_MSG_ROLE_COUNT - 1));
        return MF_MSG_USER;
    }
    return (enum mf_msg_role)role;
}

int mf_pg_read_message(struct mf_pg_row *r, struct mf_arena *a,
                       struct mf_store_row *out)
{
    out->seq = (uint64_t)mf_pg_get_int(r, 0);
    out->user_id = mf_pg_read(r, 1, a);
    out->session_id = mf_pg_read(r, 2, a);
    out->round_id = mf_pg_read(r, 3, a);
    out->msg.id = mf_pg_read(r, 4, a);
    out->msg.content = mf_pg_read(r, 5, a);
    out->msg.metadata = mf_pg_read(r, 6, a);
    out->msg.created_us = mf_pg_get_int(r, 7);
    out->msg.updated_us = mf_pg_get_int(r, 8);
    out->msg.role = read_role(r, 9);
    out->search = mf_pg_read(r, 10, a);
    out->passages = mf_pg_read(r, 11, a);
    out->is_pending = mf_pg_get_bool(r, 12);
    return r->rc;
}

int mf_pg_read_entity(struct mf_pg_row *r, struct mf_arena *a, struct mf_entity *out)
{
    out->id = mf_pg_read(r, 0, a);
    out->user_id = mf_pg_read(r, 1, a);
    out->agent_id = mf_pg_read(r, 2, a);
    out->name = mf_pg_read(r, 3, a);
    out->text = mf_pg_read(r, 4, a);
    out->has_text = !mf_pg_is_null(r, 4);
    out->key_hash = mf_pg_read(r, 5, a);
    out->created_us = mf_pg_get_int(r, 6);
    out->updated_us = mf_pg_get_int(r, 7);
    out->expires_us = mf_pg_get_int(r, 8);
    out->seq = (uint64_t)mf_pg_get_int(r, 9);
    out->search = mf_pg_read(r, 10, a);
    out->is_pending = mf_pg_get_bool(r, 11);
    return r->rc;
}

size_t mf_pg_n_changed(const PGresult *res)
{
    /* libpq forgot the const: it only reads the command's tag. */
    const char *digits = PQcmdTuples((PGresult *)(uintptr_t)res);

    return (size_t)strtoull(digits, NULL, 10);
}
