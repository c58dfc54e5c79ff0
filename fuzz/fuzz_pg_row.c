/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_row: whatever columns a server sends (types, lengths, NULLs, text instead of
 * binary), reading a message or an entity reads only them; what comes back is either
 * MF_ECORRUPT with a sentence or values that were there.
 */
#include "base/err.h"
#include "base/mem.h"
#include "store/pg_args.h"
#include "store/pg_row.h"

#include <libpq-fe.h>
#include <stdlib.h>

#define MAX_COLUMNS 14
#define MAX_BYTES   24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* A column of the row: what kind, how many bytes; both are the input's. */
struct column {
    Oid type;
    int format;
    bool is_null;
    struct mf_slice value;
};

static struct column next_column(struct mf_slice *in)
{
    static const Oid types[] = {MF_PG_OID_BOOL,    MF_PG_OID_BYTEA,
                                MF_PG_OID_NAME,    MF_PG_OID_INT8,
                                MF_PG_OID_INT2,    MF_PG_OID_INT4,
                                MF_PG_OID_TEXT,    MF_PG_OID_OID,
                                MF_PG_OID_VARCHAR, 700};
    uint8_t kind = (uint8_t)in->p[0];
    struct column c = {.type = types[kind % mf_countof(types)],
                       .format = kind < 0xf0,
                       .is_null = kind >= 0xc0 && kind < 0xf0};
    size_t n =
        in->n < 2 ? 0 : mf_min((size_t)((uint8_t)in->p[1] % MAX_BYTES), in->n - 2);
    size_t head = mf_min(in->n, (size_t)2);

    c.value = mf_slice_of(in->p + head, n);
    in->p += head + n;
    in->n -= head + n;
    return c;
}

/* libpq asks for bytes that it could write to. */
static void set_value(PGresult *res, int at, const struct column *c)
{
    char bytes[MAX_BYTES] = {0};

    memcpy(bytes, c->value.p, c->value.n);
    must(PQsetvalue(res, 0, at, c->is_null ? NULL : bytes,
                    c->is_null ? -1 : (int)c->value.n) != 0);
}

static PGresult *result_of(struct mf_slice in)
{
    static char name[] = "column";
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc attrs[MAX_COLUMNS] = {{.name = NULL}};
    struct column columns[MAX_COLUMNS];
    int n = 0;

    must(res != NULL);
    while (in.n > 0 && n < MAX_COLUMNS) {
        columns[n] = next_column(&in);
        attrs[n] = (PGresAttDesc){.name = name,
                                  .format = columns[n].format,
                                  .typid = columns[n].type,
                                  .typlen = -1};
        n++;
    }
    if (n == 0) {
        return res;
    }
    must(PQsetResultAttrs(res, n, attrs) != 0);
    for (int i = 0; i < n; i++) {
        set_value(res, i, &columns[i]);
    }
    return res;
}

static void check_slice(struct mf_slice v)
{
    must(v.n == 0 || (v.p != NULL && v.p[v.n] == '\0'));
}

static void read_both(const PGresult *res, struct mf_arena *a)
{
    struct mf_err err = {0};
    struct mf_pg_row r = mf_pg_row(res, 0, &err);
    struct mf_store_row row = {0};
    struct mf_entity e = {0};
    int rc = mf_pg_read_message(&r, a, &row);

    must(rc == 0 || (rc == MF_ECORRUPT && err.code == rc && err.msg[0] != '\0'));
    must(row.msg.role < MF_MSG_ROLE_COUNT);
    check_slice(row.msg.content);
    check_slice(row.search);
    check_slice(row.passages);
    r = mf_pg_row(res, 0, &err);
    rc = mf_pg_read_entity(&r, a, &e);
    must(rc == 0 || rc == MF_ECORRUPT);
    check_slice(e.text);
    must(e.text.n == 0 || e.has_text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PGresult *res = result_of(mf_slice_of((const char *)data, size));
    struct mf_arena a;

    mf_arena_init(&a, 256);
    if (PQntuples(res) > 0) {
        read_both(res, &a);
    }
    for (int col = 0; PQntuples(res) > 0 && col < PQnfields(res) + 1; col++) {
        struct mf_pg_row r = mf_pg_row(res, 0, NULL);
        bool has_null = mf_pg_is_null(&r, col);

        must(!has_null || mf_pg_get_int(&r, col) == 0);
        must(!has_null || mf_pg_peek(&r, col).n == 0);
    }
    mf_arena_fini(&a);
    PQclear(res);
    return 0;
}
