/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_schema.h"

#include "base/id.h"
#include "base/log.h"
#include "base/wallclock.h"
#include "store/pg_row.h"
#include "store/pg_schema_sql.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * A round either looks or does one thing, and every deed is followed by another look:
 * so a migration that was cut off anywhere goes on where it stands. A round of texts is
 * one transaction of the server (nothing is committed before its end).
 */
enum phase { FACTS, ROW, LEASE, STEP, VECTOR, SPREAD_LIST, DEED, FINISH };

#define LEASE_US         (60LL * 1000 * 1000) /* a process that died frees it so */
#define N_LEASE_COLUMNS  5                    /* of memfuse, that FACTS counts */
#define MIN_VECTOR_MAJOR 0                    /* pgvector 0.8: iterative index scans */
#define MIN_VECTOR_MINOR 8

#define TEXT(sql)         sql,
#define SECOND(name, sql) sql,
#define FIRST(name, sql)  MF_SLICE(name),

static const char *const home[] = {MF_PG_DDL_HOME(TEXT)};
static const char *const step_1[] = {MF_PG_DDL_1(TEXT)};
static const char *const vector_column[] = {MF_PG_DDL_VECTOR(TEXT)};
static const char *const spread[] = {MF_PG_DDL_CITUS(SECOND)};
static const struct mf_slice spread_names[] = {MF_PG_DDL_CITUS(FIRST)};

static const struct { /* from version i to i + 1 */
    const char *const *texts;
    size_t n;
} steps[MF_PG_SCHEMA_VERSION] = {{step_1, mf_countof(step_1)}};

static struct mf_pg_schema *of_job(const struct mf_pg_job *j)
{
    return j->state;
}

static struct mf_slice holder(const struct mf_pg_schema *s)
{
    return mf_slice_str(s->holder);
}

static void add_texts(struct mf_pg_job *j, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mf_pg_add_text(&j->round, texts[i]);
    }
}

/* --- look: what is there */

static int ask_facts(struct mf_pg_job *j)
{
    of_job(j)->phase = FACTS;
    mf_pg_add(&j->round, MF_PG_SCHEMA_FACTS);
    return 0;
}

static int ask_row(struct mf_pg_job *j)
{
    of_job(j)->phase = ROW;
    mf_pg_add(&j->round, MF_PG_SCHEMA_ROW);
    return 0;
}

/* The row's table is ours alone: what stands in it is decided by the row. */
static int make_home(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);

    if (s->was_created) {
        return mf_err_set(j->err, MF_EDB,
                          "the row of table memfuse is gone again: something else "
                          "deletes from it");
    }
    mf_log_info("store_migrate", "from=none to=0");
    s->was_created = true;
    s->phase = FACTS;
    add_texts(j, home, mf_countof(home));
    mf_pg_add(&j->round, MF_PG_SCHEMA_FACTS);
    return 0;
}

static int refuse(struct mf_pg_job *j, struct mf_slice schema, const char *table)
{
    return mf_err_set(j->err, MF_EINVAL,
                      "schema %.*s has a table %s of another program: name another "
                      "database, or another schema by search_path, in "
                      "store.postgres.dsn",
                      (int)mf_min(schema.n, (size_t)MF_ID_MAX), schema.p, table);
}

static int take_facts(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);
    struct mf_pg_row r = mf_pg_row(mf_pg_result(j, j->n_results - 1), 0, j->err);
    struct mf_slice server = mf_pg_peek(&r, 0);
    struct mf_slice schema = mf_pg_peek(&r, 1);
    bool has_table = mf_pg_get_int(&r, 2) > 0;
    bool is_ours = mf_pg_get_int(&r, 3) == N_LEASE_COLUMNS;
    struct mf_slice other = mf_pg_peek(&r, 4);
    char name[MF_ID_MAX + 1];

    s->vector_oid = (uint32_t)mf_pg_get_int(&r, 5);
    s->is_citus = mf_pg_peek(&r, 6).n > 0;
    (void)snprintf(s->server, sizeof(s->server), "%.*s", (int)server.n,
                   server.n == 0 ? "" : server.p);
    (void)snprintf(name, sizeof(name), "%.*s", (int)other.n,
                   other.n == 0 ? "" : other.p);
    if (r.rc < 0) {
        return r.rc;
    }
    if (schema.n == 0) {
        return mf_err_set(j->err, MF_EINVAL,
                          "no schema of the search path exists: create it, or name "
                          "another one in store.postgres.dsn");
    }
    if (has_table && !is_ours) {
        return refuse(j, schema, "memfuse");
    }
    if (!has_table && other.n > 0) {
        return refuse(j, schema, name);
    }
    s->has_tables = other.n > 0;
    return has_table ? ask_row(j) : make_home(j);
}

/* --- do */

static int ask_lease(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);
    int64_t now_us = mf_wallclock_us();

    s->phase = LEASE;
    mf_pg_add(&j->round, MF_PG_SCHEMA_LEASE);
    mf_pg_text(&j->round, holder(s));
    mf_pg_int(&j->round, now_us + LEASE_US);
    mf_pg_int(&j->round, now_us);
    return 0;
}

static int take_step(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);

    mf_log_info("store_migrate", "from=%d to=%d", s->version, s->version + 1);
    s->phase = STEP;
    add_texts(j, steps[s->version].texts, steps[s->version].n);
    mf_pg_add(&j->round, MF_PG_SCHEMA_SET_VERSION);
    mf_pg_text(&j->round, holder(s));
    mf_pg_int(&j->round, s->version + 1);
    return 0;
}

static int ask_vector(struct mf_pg_job *j)
{
    of_job(j)->phase = VECTOR;
    of_job(j)->was_vector_tried = true;
    mf_pg_add(&j->round, MF_PG_SCHEMA_VECTOR);
    return 0;
}

static struct mf_slice spread_name_at(const void *rows, size_t i)
{
    return ((const struct mf_slice *)rows)[i];
}

static int ask_spread_list(struct mf_pg_job *j)
{
    of_job(j)->phase = SPREAD_LIST;
    of_job(j)->was_spread = true;
    mf_pg_add(&j->round, MF_PG_SCHEMA_NOT_SPREAD);
    mf_pg_text_array(&j->round, spread_names, mf_countof(spread_names), spread_name_at);
    return 0;
}

static int finish(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);

    s->phase = FINISH;
    if (s->is_stale) {
        mf_pg_add(&j->round, MF_PG_SCHEMA_FORGET_SPACE);
        mf_pg_int(&j->round, j->env->space);
    }
    if (s->has_lease) {
        mf_pg_add(&j->round, MF_PG_SCHEMA_RELEASE);
        mf_pg_text(&j->round, holder(s));
    }
    return 0;
}

/* A column that is there is not written when the vectors are not wanted. */
static void forget_vector(const struct mf_pg_job *j)
{
    if (!j->env->cfg.wants_vector) {
        of_job(j)->vector_oid = 0;
    }
}

static int go_on(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);

    if (s->version < MF_PG_SCHEMA_VERSION) {
        return s->has_lease ? take_step(j) : ask_lease(j);
    }
    if (j->env->cfg.wants_vector && !s->was_vector_tried) {
        return ask_vector(j);
    }
    if (j->env->cfg.is_citus && !s->was_spread) {
        return ask_spread_list(j);
    }
    forget_vector(j);
    return finish(j);
}

/* --- what came of it */

static int refuse_rowless(struct mf_pg_job *j)
{
    return mf_err_set(j->err, MF_EINVAL,
                      "table memfuse has lost its row, so that the version of the "
                      "other tables is not known: restore it from a backup, or name "
                      "another database or schema in store.postgres.dsn");
}

static int take_row(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);
    const PGresult *res = mf_pg_result(j, 0);
    struct mf_pg_row r;
    int64_t version, space;

    if (PQntuples(res) == 0) {
        return s->has_tables ? refuse_rowless(j) : make_home(j);
    }
    r = mf_pg_row(res, 0, j->err);
    version = mf_pg_get_int(&r, 0);
    space = mf_pg_get_int(&r, 1);
    /* Perhaps from a try of ours that was cut off: then it is to be released. */
    s->has_lease = mf_slice_eq(mf_pg_peek(&r, 2), holder(s));
    if (r.rc < 0) {
        return r.rc;
    }
    if (version < 0 || version > MF_PG_SCHEMA_VERSION) {
        return mf_err_set(j->err, MF_EINVAL,
                          "the database has schema version %lld, this program knows up "
                          "to %d: start the newer memfuse that wrote it",
                          (long long)version, MF_PG_SCHEMA_VERSION);
    }
    if (j->env->cfg.is_citus && !s->is_citus) {
        return mf_err_set(j->err, MF_EINVAL,
                          "store.postgres.distribute is citus, but the database has no "
                          "extension citus: run CREATE EXTENSION citus in it, or set "
                          "the key to none");
    }
    s->version = (int)version;
    s->is_stale = space != 0 && j->env->space != 0 && space != (int64_t)j->env->space;
    return go_on(j);
}

static int take_lease(struct mf_pg_job *j)
{
    if (PQntuples(mf_pg_result(j, 0)) == 0) {
        return mf_err_set(j->err, MF_EBUSY,
                          "another process brings the schema up to date");
    }
    of_job(j)->has_lease = true;
    return ask_facts(j); /* it may have done so just now */
}

static int after_step(struct mf_pg_job *j)
{
    if (PQntuples(mf_pg_result(j, j->n_results - 1)) == 0) {
        return mf_err_set(j->err, MF_EBUSY, "the lease on the schema was lost");
    }
    return ask_facts(j);
}

static bool is_new_enough(struct mf_slice version)
{
    char text[32];
    char *dot = NULL;
    unsigned long major, minor;

    (void)snprintf(text, sizeof(text), "%.*s", (int)mf_min(version.n, sizeof(text) - 1),
                   version.n == 0 ? "" : version.p);
    major = strtoul(text, &dot, 10);
    minor = *dot == '.' ? strtoul(dot + 1, NULL, 10) : 0;
    return major > MIN_VECTOR_MAJOR || minor >= MIN_VECTOR_MINOR;
}

/* Without pgvector nothing is missing: our own search does not ask it. */
static int go_without_vector(struct mf_pg_job *j, const char *why)
{
    mf_log_info("store_no_vector_column", "why=\"%s\"", why);
    of_job(j)->vector_oid = 0;
    return go_on(j);
}

static int take_vector(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);
    const PGresult *res = mf_pg_result(j, 0);
    struct mf_pg_row r;

    if (PQntuples(res) == 0) {
        return go_without_vector(j, "the server has no pgvector");
    }
    r = mf_pg_row(res, 0, j->err);
    if (!is_new_enough(mf_pg_peek(&r, 0))) {
        return go_without_vector(j, "pgvector is older than 0.8");
    }
    if (s->vector_oid != 0) {
        return go_on(j);
    }
    if (!mf_pg_get_bool(&r, 1)) {
        return r.rc < 0 ? r.rc
                        : go_without_vector(j, "this user may not create extensions");
    }
    s->was_vector_tried = s->has_lease;
    if (!s->has_lease) {
        return ask_lease(j);
    }
    s->phase = DEED;
    add_texts(j, vector_column, mf_countof(vector_column));
    return 0;
}

static void add_spread(struct mf_pg_job *j, struct mf_slice name)
{
    for (size_t i = 0; i < mf_countof(spread); i++) {
        if (mf_slice_eq(spread_names[i], name)) {
            mf_pg_add_text(&j->round, spread[i]);
        }
    }
}

static int take_spread_list(struct mf_pg_job *j)
{
    struct mf_pg_schema *s = of_job(j);
    const PGresult *res = mf_pg_result(j, 0);
    int n = PQntuples(res);

    if (n == 0) {
        return go_on(j);
    }
    s->was_spread = s->has_lease;
    if (!s->has_lease) {
        return ask_lease(j);
    }
    mf_log_info("store_distribute", "tables=%d", n);
    s->phase = DEED;
    for (int i = 0; i < n; i++) { /* messages first: the others go with it */
        struct mf_pg_row r = mf_pg_row(res, i, j->err);

        add_spread(j, mf_pg_peek(&r, 0));
        if (r.rc < 0) {
            return r.rc;
        }
    }
    return 0;
}

static int take_end(MF_UNUSED struct mf_pg_job *j)
{
    return 0;
}

static void begin(struct mf_pg_schema *s)
{
    s->has_lease = s->has_tables = s->was_created = false;
    s->was_vector_tried = s->was_spread = s->is_stale = false;
    s->vector_oid = 0;
    s->version = 0;
}

int mf_pg_migrate(struct mf_pg_job *j)
{
    static int (*const take[])(struct mf_pg_job *) = {
        [FACTS] = take_facts, [ROW] = take_row,       [LEASE] = take_lease,
        [STEP] = after_step,  [VECTOR] = take_vector, [SPREAD_LIST] = take_spread_list,
        [DEED] = ask_facts,   [FINISH] = take_end,
    };
    struct mf_pg_schema *s = of_job(j);

    if (j->n_rounds == 0) {
        begin(s);
        return ask_facts(j);
    }
    MF_ASSERT((size_t)s->phase < mf_countof(take));
    return take[s->phase](j);
}
