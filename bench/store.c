/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_store: what the store takes and gives: rows of 100 users, interleaved, inserted
 * in batches of 1,000 (30 words, a search record of 480 bytes), then the search records
 * of one user loaded by a store just opened. Wanted: >= 40,000 rows/s, and 10,000 rows
 * loaded in <= 25 ms. Usage: bench_store [FOLDER]
 */
#include "store/store.h"
#include "base/log.h"
#include "probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define N_USERS      100
#define N_PER_USER   10000
#define N_ROWS       (N_USERS * N_PER_USER)
#define BATCH        1000
#define N_WORDS      30
#define SEARCH_BYTES 480
#define N_LOADS      9
#define WAIT_MS      600000
#define US_PER_S     1e6
#define SESSION_ROWS 200 /* of a user, before the next session begins */
#define TEXT_CAP     512
#define PATH_CAP     4096

struct bench {
    struct mf_loop *loop;
    struct mf_store *store;
    char dir[PATH_CAP];
    char text[TEXT_CAP];
    size_t n_text;
    uint8_t search[SEARCH_BYTES];
    bool is_over;
    size_t n_fed;
};

static struct bench bench;

static double now_us(void)
{
    return (double)mf_probe_now_ns() / 1e3;
}

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, why);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return v[n / 2];
}

static void on_done(struct mf_store_req *req, int rc)
{
    mf_loop_assert(bench.loop);
    if (rc < 0) {
        die("request", req->err.msg);
    }
    bench.is_over = true;
}

static void on_closed(void *arg)
{
    mf_loop_assert(bench.loop);
    *(bool *)arg = true;
}

MF_LOOP static void wait_for(struct mf_store_req *req)
{
    bench.is_over = false;
    if (mf_store_submit(bench.store, req) < 0) {
        die("submit", req->err.msg);
    }
    if (!mf_loop_run_until(bench.loop, &bench.is_over, WAIT_MS)) {
        die("request", "no answer");
    }
}

static void open_store(void)
{
    struct mf_store_config cfg = {.backend = "sqlite",
                                  .dir = bench.dir,
                                  .readers = 2,
                                  .max_waiting = 100,
                                  .cache_bytes = 2UL * 1024 * 1024};
    struct mf_err err = {0};

    if (mf_store_open(&bench.store, bench.loop, &cfg, &err) < 0) {
        die("open", err.msg);
    }
}

MF_LOOP static void close_store(void)
{
    bool is_closed = false;

    mf_store_close(bench.store, on_closed, &is_closed);
    if (!mf_loop_run_until(bench.loop, &is_closed, WAIT_MS)) {
        die("close", "no end");
    }
}

struct names {
    struct mf_id id;
};

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

static void fill_row(struct mf_store_row *row, struct names *n, struct mf_id *users,
                     struct mf_id *sessions, uint64_t seq)
{
    size_t u = (size_t)random() % N_USERS;

    if (random() % SESSION_ROWS == 0) {
        mf_id_new_v4(&sessions[u]);
    }
    mf_id_new_v7(&n->id, seq);
    memcpy(bench.search, &seq, sizeof(seq));
    *row = (struct mf_store_row){
        .seq = seq,
        .user_id = mf_id_slice(&users[u]),
        .session_id = mf_id_slice(&sessions[u]),
        .round_id = mf_id_slice(&n->id),
        .msg = {.id = mf_id_slice(&n->id),
                .content = {bench.text, bench.n_text},
                .created_us = (int64_t)seq,
                .updated_us = (int64_t)seq,
                .role = (enum mf_msg_role)(seq % 2)},
        .search = {(const char *)bench.search, sizeof(bench.search)},
    };
}

MF_LOOP static double insert_all(struct mf_id *users)
{
    static struct mf_id sessions[N_USERS];
    static struct names names[BATCH];
    static struct mf_store_row rows[BATCH];
    double spent = 0;
    uint64_t seq = 1;

    for (size_t i = 0; i < N_USERS; i++) {
        mf_id_new_v4(&users[i]);
        mf_id_new_v4(&sessions[i]);
    }
    for (size_t i = 0; i < N_ROWS / BATCH; i++) {
        struct mf_store_write w = {
            .req = {.op = MF_STORE_WRITE_ROUNDS, .done = on_done},
            .rows = rows,
            .n_rows = BATCH,
        };
        double start;

        for (size_t k = 0; k < BATCH; k++) {
            fill_row(&rows[k], &names[k], users, sessions, seq++);
        }
        start = now_us();
        wait_for(&w.req);
        spent += now_us() - start;
        mf_store_req_fini(&w.req);
    }
    return N_ROWS / (spent / US_PER_S);
}

static int on_piece(MF_UNUSED struct mf_store_search *s,
                    MF_UNUSED const struct mf_store_search_row *rows, size_t n)
{
    bench.n_fed += n;
    return 0;
}

static void forget_pages(void)
{
    char path[PATH_CAP + 16];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/memfuse.db", bench.dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
        die("posix_fadvise", path);
    }
    (void)close(fd);
}

/* Microseconds for 10,000 rows. */
MF_LOOP static double load_one(const struct mf_id *user, bool is_os_cold)
{
    struct mf_store_search s = {
        .req = {.op = MF_STORE_LOAD_SEARCH, .done = on_done},
        .user_id = mf_id_slice(user),
        .feed = on_piece,
    };
    double start;

    if (is_os_cold) {
        forget_pages();
    }
    open_store();
    bench.n_fed = 0;
    start = now_us();
    wait_for(&s.req);
    start = now_us() - start;
    mf_store_req_fini(&s.req);
    close_store();
    return start * N_PER_USER / (double)bench.n_fed;
}

MF_LOOP static void load_some(struct mf_id *users, bool is_os_cold)
{
    double us[N_LOADS];

    for (size_t i = 0; i < N_LOADS; i++) {
        us[i] = load_one(&users[i], is_os_cold);
    }
    printf("load 10,000 rows (%s): p50 %.1f ms (want <= 25)\n",
           is_os_cold ? "nothing cached" : "file in the page cache",
           median(us, N_LOADS) / 1e3);
}

/* A store that was closed has left one file. */
static void remove_all(void)
{
    char path[PATH_CAP + 16];

    (void)snprintf(path, sizeof(path), "%s/memfuse.db", bench.dir);
    if (unlink(path) != 0 || rmdir(bench.dir) != 0) {
        die("remove", path);
    }
}

int main(int argc, char **argv)
{
    static struct mf_id users[N_USERS];
    struct mf_loop_config cfg = {.pool_threads = 4};
    struct mf_err err = {0};

    (void)snprintf(bench.dir, sizeof(bench.dir), "%s/mf-bench-XXXXXX",
                   argc > 1 ? argv[1] : ".");
    if (mkdtemp(bench.dir) == NULL || mf_loop_open(&bench.loop, &cfg, &err) < 0) {
        die("setup", bench.dir);
    }
    mf_loop_assert(bench.loop);
    mf_log_set_level(MF_LOG_WARN);
    make_text();
    mf_probe_print(bench.dir);
    open_store();
    printf("insert, batches of %d: %.0f rows/s (want >= 40,000)\n", BATCH,
           insert_all(users));
    close_store();
    load_some(users, false);
    load_some(users, true);
    mf_probe_print(bench.dir);
    remove_all();
    return mf_loop_close(bench.loop) == 0 ? 0 : 1;
}
