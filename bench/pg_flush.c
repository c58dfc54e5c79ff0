/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_flush: what the Postgres store's writer takes, beside a bare loop of the same
 * statement with the same parameters (blocking libpq, nothing else in the process) and
 * beside COPY BINARY of the same rows, in turns: batches of 1,000 rows of 100 users, 30
 * words, a search record of 480 bytes. Usage: pg_flush DSN [vector | citus]
 * (started by bench/pg_flush.sh and bench/pg_flush_citus.sh, which bring the server)
 */
#include "base/log.h"
#include "probe.h"
#include "store/pg_job.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

#define N_USERS      100
#define BATCH        1000
#define TURN_BATCHES 10
#define N_TURNS      7
#define N_FLYING     2 /* as the flusher keeps the store busy */
#define N_WORDS      30
#define TEXT_CAP     512
#define SEARCH_BYTES 480
#define DIM          384
#define WAIT_MS      600000
#define NS_PER_S     1e9

enum way { WAY_STORE, WAY_BARE, WAY_COPY, N_WAYS };

static const char *const way_names[] = {"store", "bare loop", "COPY BINARY"};

struct batch {
    struct mf_store_write w;
    struct mf_store_row rows[BATCH];
    struct mf_id ids[BATCH];
    uint8_t search[BATCH][SEARCH_BYTES];
};

struct bench {
    struct mf_loop *loop;
    struct mf_store *store;
    PGconn *bare;
    struct mf_pg_env env;
    char text[TEXT_CAP];
    size_t n_text;
    struct mf_id users[N_USERS], sessions[N_USERS];
    struct batch batches[TURN_BATCHES];
    size_t n_sent, n_done;
    bool is_over;
    uint64_t seq;
    double rates[N_WAYS][N_TURNS];
};

static struct bench bench;

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "pg_flush: %s: %s\n", what, why);
    exit(1);
}

static size_t vector_of(struct mf_slice search, float *to, size_t max_dim)
{
    if (search.n < DIM || max_dim < DIM) {
        return 0;
    }
    for (size_t i = 0; i < DIM; i++) {
        to[i] = (float)(signed char)search.p[i] / 127.0F;
    }
    return DIM;
}

static void make_text(void)
{
    static const char *const words[] = {"remember", "the",   "garden", "tomatoes",
                                        "need",     "water", "every",  "evening"};

    for (size_t i = 0; i < N_WORDS; i++) {
        bench.n_text += (size_t)snprintf(bench.text + bench.n_text,
                                         sizeof(bench.text) - bench.n_text, "%s ",
                                         words[i * 3 % mf_countof(words)]);
    }
}

static void fill(struct batch *b)
{
    for (size_t i = 0; i < BATCH; i++) {
        size_t u = (size_t)random() % N_USERS;
        uint64_t seq = ++bench.seq;

        mf_id_new_v7(&b->ids[i], seq);
        for (size_t k = 0; k < SEARCH_BYTES; k++) {
            b->search[i][k] = (uint8_t)random();
        }
        b->rows[i] = (struct mf_store_row){
            .seq = seq,
            .user_id = mf_id_slice(&bench.users[u]),
            .session_id = mf_id_slice(&bench.sessions[u]),
            .round_id = mf_id_slice(&b->ids[i]),
            .msg = {.id = mf_id_slice(&b->ids[i]),
                    .content = {bench.text, bench.n_text},
                    .created_us = (int64_t)seq,
                    .updated_us = (int64_t)seq,
                    .role = (enum mf_msg_role)(seq % 2)},
            .search = {(const char *)b->search[i], SEARCH_BYTES},
        };
    }
    b->w = (struct mf_store_write){
        .req = {.op = MF_STORE_WRITE_ROUNDS}, .rows = b->rows, .n_rows = BATCH};
}

/* --- the store */

static void on_written(struct mf_store_req *req, int rc);

MF_LOOP static void send_next(void)
{
    struct mf_store_req *req = &bench.batches[bench.n_sent++].w.req;

    req->done = on_written;
    if (mf_store_submit(bench.store, req) < 0) {
        die("submit", req->err.msg);
    }
}

static void on_written(struct mf_store_req *req, int rc)
{
    mf_loop_assert(bench.loop);
    if (rc < 0) {
        die("the store", req->err.msg);
    }
    mf_store_req_fini(req);
    bench.is_over = ++bench.n_done == TURN_BATCHES;
    if (bench.n_sent < TURN_BATCHES) {
        send_next();
    }
}

MF_LOOP static void run_store(void)
{
    bench.n_sent = bench.n_done = 0;
    bench.is_over = false;
    while (bench.n_sent < N_FLYING) {
        send_next();
    }
    if (!mf_loop_run_until(bench.loop, &bench.is_over, WAIT_MS)) {
        die("the store", "no answer");
    }
}

/* --- the bare loop */

static void check(PGresult *res, ExecStatusType wanted)
{
    if (PQresultStatus(res) != wanted) {
        die("the bare connection", PQresultErrorMessage(res));
    }
    PQclear(res);
}

static void exec_call(const struct mf_pg_call *call)
{
    static bool is_prepared[MF_PG_STMT_COUNT];
    const struct mf_pg_sql *sql = mf_pg_sql(call->id);
    int formats[MF_PG_MAX_ARGS];

    if (!is_prepared[call->id]) {
        check(PQprepare(bench.bare, sql->name, sql->text, 0, NULL), PGRES_COMMAND_OK);
        is_prepared[call->id] = true;
    }
    for (int i = 0; i < call->n; i++) {
        formats[i] = 1;
    }
    check(PQexecPrepared(bench.bare, sql->name, call->n, call->values, call->lengths,
                         formats, 1),
          PGRES_COMMAND_OK);
}

/* The verb's own first step says what is to be sent; here nobody else uses the loop. */
static void run_bare_batch(struct batch *b)
{
    struct mf_arena args;
    struct mf_pg_job job = {.req = &b->w.req, .env = &bench.env, .err = &b->w.req.err};

    mf_arena_init(&args, 1024UL * 1024);
    mf_arena_init(&job.kept, BATCH);
    mf_pg_round_init(&job.round, &args);
    if (mf_pg_write_rounds(&job) < 0 || job.round.rc < 0) {
        die("the bare loop", b->w.req.err.msg);
    }
    if (job.round.n > 1) {
        check(PQexec(bench.bare, "BEGIN"), PGRES_COMMAND_OK);
    }
    for (size_t i = 0; i < job.round.n; i++) {
        exec_call(&job.round.calls[i]);
    }
    if (job.round.n > 1) {
        check(PQexec(bench.bare, "COMMIT"), PGRES_COMMAND_OK);
    }
    mf_arena_fini(&job.kept);
    mf_arena_fini(&args);
}

/* --- COPY BINARY */

static void put_be(struct mf_buf *out, uint64_t v, size_t n)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    }
    mf_buf_add(out, bytes, n);
}

static void put_value(struct mf_buf *out, struct mf_slice v)
{
    put_be(out, v.p == NULL ? UINT32_MAX : v.n, 4);
    mf_buf_add_slice(out, v);
}

static void put_number(struct mf_buf *out, uint64_t v, size_t n)
{
    put_be(out, n, 4);
    put_be(out, v, n);
}

static void put_vector(struct mf_buf *out, struct mf_slice search)
{
    float v[DIM];
    size_t n = vector_of(search, v, DIM);

    put_be(out, 4 + 4 * n, 4);
    put_be(out, n, 2);
    put_be(out, 0, 2);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, &v[i], sizeof(bits));
        put_be(out, bits, 4);
    }
}

static void put_row(struct mf_buf *out, const struct mf_store_row *row)
{
    put_be(out, bench.env.vector_oid != 0 ? 12 : 11, 2);
    put_value(out, row->user_id);
    put_value(out, row->msg.id);
    put_number(out, row->seq, 8);
    put_value(out, row->session_id);
    put_value(out, row->round_id);
    put_number(out, (uint64_t)row->msg.created_us, 8);
    put_number(out, (uint64_t)row->msg.updated_us, 8);
    put_number(out, row->msg.role, 2);
    put_number(out, row->is_pending, 1);
    put_value(out, row->search);
    put_value(out, row->msg.content);
    if (bench.env.vector_oid != 0) {
        put_vector(out, row->search);
    }
}

static void run_copy_batch(const struct batch *b)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
    struct mf_buf out;

    mf_buf_init(&out);
    mf_buf_add(&out, head, 19);
    for (size_t i = 0; i < BATCH; i++) {
        put_row(&out, &b->rows[i]);
    }
    put_be(&out, UINT16_MAX, 2);
    if (mf_buf_status(&out) < 0) {
        die("COPY", "no memory");
    }
    check(PQexec(bench.bare,
                 bench.env.vector_oid != 0
                     ? "COPY messages (user_id, id, seq, session_id, round_id,"
                       " created_us, updated_us, role, is_pending, search,"
                       " content, embedding) FROM STDIN BINARY"
                     : "COPY messages (user_id, id, seq, session_id, round_id,"
                       " created_us, updated_us, role, is_pending, search,"
                       " content) FROM STDIN BINARY"),
          PGRES_COPY_IN);
    if (PQputCopyData(bench.bare, out.p, (int)out.n) != 1 ||
        PQputCopyEnd(bench.bare, NULL) != 1) {
        die("COPY", PQerrorMessage(bench.bare));
    }
    check(PQgetResult(bench.bare), PGRES_COMMAND_OK);
    while (PQgetResult(bench.bare) != NULL) {
    }
    mf_buf_fini(&out);
}

/* --- turns */

MF_LOOP static double run_turn(enum way way)
{
    uint64_t began;

    for (size_t i = 0; i < TURN_BATCHES; i++) {
        fill(&bench.batches[i]);
    }
    began = mf_probe_now_ns();
    if (way == WAY_STORE) {
        run_store();
    }
    for (size_t i = 0; way != WAY_STORE && i < TURN_BATCHES; i++) {
        if (way == WAY_BARE) {
            run_bare_batch(&bench.batches[i]);
        } else {
            run_copy_batch(&bench.batches[i]);
        }
    }
    return TURN_BATCHES * BATCH * NS_PER_S / (double)(mf_probe_now_ns() - began);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

MF_LOOP static void run_turns(void)
{
    double median[N_WAYS];

    for (int way = 0; way < N_WAYS; way++) {
        (void)run_turn((enum way)way); /* prepares, fills caches */
    }
    for (size_t turn = 0; turn < N_TURNS; turn++) {
        for (size_t k = 0; k < N_WAYS; k++) {
            size_t way = (turn + k) % N_WAYS;

            bench.rates[way][turn] = run_turn((enum way)way);
        }
    }
    for (size_t way = 0; way < N_WAYS; way++) {
        qsort(bench.rates[way], N_TURNS, sizeof(double), by_value);
        median[way] = bench.rates[way][N_TURNS / 2];
        printf("%-12s %8.0f rows/s (%.0f to %.0f)\n", way_names[way], median[way],
               bench.rates[way][0], bench.rates[way][N_TURNS - 1]);
    }
    printf("%s store beside the bare loop of its statement: %.2f x (target >= 0.9)\n",
           median[WAY_STORE] >= 0.9 * median[WAY_BARE] ? "PASS " : "BELOW",
           median[WAY_STORE] / median[WAY_BARE]);
    printf("      store beside COPY BINARY: %.2f x\n",
           median[WAY_STORE] / median[WAY_COPY]);
}

/* --- set up */

static void on_closed(void *arg)
{
    mf_loop_assert(bench.loop);
    *(bool *)arg = true;
}

MF_LOOP static void open_store(const char *dsn, const char *how)
{
    struct mf_store_config cfg = {
        .backend = "postgres",
        .dir = ".",
        .max_waiting = 100,
        .pg = {.dsn = dsn,
               .password_file = "",
               .wants_vector = strcmp(how, "vector") == 0,
               .is_citus = strcmp(how, "citus") == 0,
               .readers = 1,
               .writers = 1,
               .connect_timeout_ms = 5000,
               .statement_timeout_ms = 60000,
               .lock_timeout_ms = 10000,
               .deadline_ms = 65000,
               .idle_ms = 60000,
               .age_ms = 300000,
               .first_backoff_ms = 100,
               .max_backoff_ms = 1000},
        .vector_of = vector_of,
    };
    struct mf_err err = {0};

    if (mf_store_open(&bench.store, bench.loop, &cfg, &err) < 0) {
        die("open", err.msg);
    }
}

static void open_bare(const char *dsn)
{
    PGresult *res;

    bench.bare = PQconnectdb(dsn);
    if (PQstatus(bench.bare) != CONNECTION_OK) {
        die("connect", PQerrorMessage(bench.bare));
    }
    res = PQexec(bench.bare,
                 "SELECT t.oid, version() FROM pg_type t JOIN pg_attribute a ON"
                 " a.atttypid = t.oid WHERE a.attrelid = 'messages'::regclass AND"
                 " a.attname = 'embedding'");
    bench.env.vector_oid =
        PQntuples(res) > 0 ? (uint32_t)strtoul(PQgetvalue(res, 0, 0), NULL, 10) : 0;
    PQclear(res);
    bench.env.max_dim = DIM;
    bench.env.vector_of = vector_of;
}

int main(int argc, char **argv)
{
    struct mf_loop_config cfg = {.pool_threads = 4};
    struct mf_err err = {0};
    bool is_closed = false;

    if (argc < 2 || mf_loop_open(&bench.loop, &cfg, &err) < 0) {
        die("usage", "pg_flush DSN [vector | citus]");
    }
    mf_loop_assert(bench.loop);
    mf_log_set_level(MF_LOG_WARN);
    make_text();
    for (size_t i = 0; i < N_USERS; i++) {
        mf_id_new_v4(&bench.users[i]);
        mf_id_new_v4(&bench.sessions[i]);
    }
    open_store(argv[1], argc > 2 ? argv[2] : "");
    for (size_t i = 0; i < TURN_BATCHES; i++) {
        fill(&bench.batches[i]);
    }
    run_store(); /* migrates first */
    open_bare(argv[1]);
    mf_probe_print(".");
    printf("server %s, %s\n", PQparameterStatus(bench.bare, "server_version"),
           bench.env.vector_oid != 0 ? "vectors of 384 numbers written too"
                                     : "no vector column");
    run_turns();
    mf_probe_print(".");
    PQfinish(bench.bare);
    mf_store_close(bench.store, on_closed, &is_closed);
    (void)mf_loop_run_until(bench.loop, &is_closed, WAIT_MS);
    return mf_loop_close(bench.loop) == 0 ? 0 : 1;
}
