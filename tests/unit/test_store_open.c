/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_priv.h"
#include "unit/store_kit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_IN_LINE 6

/* A loop and a folder without a store. */
static void open_bare(struct store_kit *k) MF_ASSERTS_LOOP;

static void open_bare(struct store_kit *k)
{
    kit_open(k);
    kit_close_store(k);
    kit_exec(k, "PRAGMA journal_mode = DELETE");
}

MF_LOOP static void check_refused(struct store_kit *k, int code, const char *word)
{
    struct mf_err err = {0};

    MF_CHECK_INT(kit_open_store(k, &err), code);
    if (strstr(err.msg, word) == NULL) {
        fail_msg("`%s` says nothing of `%s`", err.msg, word);
    }
}

static void remove_file(const struct store_kit *k)
{
    char path[4200];

    (void)snprintf(path, sizeof(path), "%s/memfuse.db", k->dir);
    MF_CHECK_OK(unlink(path));
}

MF_TEST(store_open, names_the_choices_for_an_unknown_backend)
{
    struct store_kit k = {0};
    struct mf_store_config cfg = {.backend = "oracle", .dir = "/", .readers = 1};
    struct mf_store *s = NULL;
    struct mf_err err = {0};

    k.loop = mf_loop_fixture_open();
    MF_CHECK_INT(mf_store_open(&s, k.loop, &cfg, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "oracle") != NULL && strstr(err.msg, "sqlite") != NULL);
    cfg.backend = NULL;
    MF_CHECK_INT(mf_store_open(&s, k.loop, &cfg, &err), MF_EINVAL);
    cfg.backend = "sqlite";
    cfg.readers = 0;
    MF_CHECK_INT(mf_store_open(&s, k.loop, &cfg, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "store.sqlite.readers") != NULL);
    cfg.readers = 1;
    cfg.dir = "/nowhere/at/all";
    MF_CHECK(mf_store_open(&s, k.loop, &cfg, &err) < 0);
    MF_CHECK(strstr(err.msg, "/nowhere/at/all/memfuse.db") != NULL);
    mf_loop_fixture_close(k.loop);
}

MF_TEST(store_open, creates_a_private_file_in_wal_mode_at_the_newest_version)
{
    struct store_kit k = {0};
    struct stat st;
    char path[4200];

    kit_open(&k);
    MF_CHECK_STR(k.store->info.backend, "sqlite");
    MF_CHECK_INT(k.store->info.next_seq, 1);
    MF_CHECK_INT(k.store->info.n_messages, 0);
    MF_CHECK_INT(kit_count(&k, "PRAGMA user_version"), 2);
    MF_CHECK_INT(kit_count(&k, "PRAGMA page_size"), 8192);
    MF_CHECK_INT(kit_count(&k, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"),
                 1);
    (void)snprintf(path, sizeof(path), "%s/memfuse.db", k.dir);
    MF_CHECK_OK(stat(path, &st));
    MF_CHECK_INT(st.st_mode & 0777, 0600);
    kit_close(&k);
}

MF_TEST(store_open, migrates_an_empty_file_of_version_0)
{
    struct store_kit k = {0};

    open_bare(&k);
    remove_file(&k);
    kit_exec(&k, "PRAGMA user_version = 0; CREATE TABLE t (x); DROP TABLE t");
    MF_CHECK_OK(kit_open_store(&k, NULL));
    MF_CHECK_INT(kit_count(&k, "PRAGMA user_version"), 2);
    kit_close(&k);
}

MF_TEST(store_open, refuses_a_newer_schema_and_leaves_it_alone)
{
    struct store_kit k = {0};

    open_bare(&k);
    kit_exec(&k, "PRAGMA user_version = 3");
    check_refused(&k, MF_EINVAL, "newer memfuse");
    MF_CHECK_INT(kit_count(&k, "PRAGMA user_version"), 3);
    kit_close(&k);
}

MF_TEST(store_open, refuses_the_database_of_another_program)
{
    struct store_kit k = {0};

    open_bare(&k);
    remove_file(&k);
    kit_exec(&k, "CREATE TABLE theirs (x)");
    check_refused(&k, MF_EINVAL, "another program");
    kit_exec(&k, "PRAGMA user_version = 1");
    check_refused(&k, MF_EINVAL, "another program");
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM sqlite_schema"), 1);
    kit_close(&k);
}

MF_TEST(store_open, refuses_a_schema_that_lost_a_column)
{
    struct store_kit k = {0};

    open_bare(&k);
    kit_exec(&k, "ALTER TABLE messages DROP COLUMN metadata");
    check_refused(&k, MF_EDB, "metadata");
    kit_close(&k);
}

MF_TEST(store_open, refuses_a_file_that_is_no_database)
{
    struct store_kit k = {0};
    char path[4200];
    FILE *f;

    open_bare(&k);
    (void)snprintf(path, sizeof(path), "%s/memfuse.db", k.dir);
    f = fopen(path, "w");
    MF_CHECK(f != NULL);
    for (int i = 0; i < 2000; i++) {
        MF_CHECK(fputs("not a database ", f) >= 0);
    }
    MF_CHECK_OK(fclose(f));
    check_refused(&k, MF_ECORRUPT, "memfuse.db");
    kit_close(&k);
}

static const struct mf_sq_step two_steps[] = {
    {"CREATE TABLE one (x); PRAGMA application_id = 0x6d667374;"
     "PRAGMA user_version = 1"},
    {"CREATE TABLE two (x); PRAGMA user_version = 2"},
};
static const struct mf_sq_step bad_steps[] = {
    {"CREATE TABLE one (x); PRAGMA application_id = 0x6d667374;"
     "PRAGMA user_version = 1"},
    {"CREATE TABLE two (x); CREATE TABLE one (x); PRAGMA user_version = 2"},
};

MF_TEST(store_open, goes_forward_step_by_step_and_undoes_a_step_that_fails)
{
    struct store_kit k = {.dir = mf_test_tmpdir()};
    struct mf_sq_conn c;
    struct mf_err err = {0};
    char path[4200];

    (void)snprintf(path, sizeof(path), "%s/memfuse.db", k.dir);
    MF_CHECK_OK(mf_sq_conn_open(&c, path, true, 1024, &err));
    MF_CHECK_INT(mf_sq_migrate(&c, bad_steps, 2, &err), MF_EDB);
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM sqlite_schema"), 0);
    MF_CHECK_INT(kit_count(&k, "PRAGMA user_version"), 0);
    MF_CHECK_OK(mf_sq_migrate(&c, two_steps, 1, &err)); /* yesterday's program */
    MF_CHECK_INT(mf_sq_migrate(&c, bad_steps, 2, &err), MF_EDB);
    MF_CHECK_INT(kit_count(&k, "PRAGMA user_version"), 1);
    MF_CHECK_OK(mf_sq_migrate(&c, two_steps, 2, &err));
    MF_CHECK_OK(mf_sq_migrate(&c, two_steps, 2, &err)); /* nothing left to do */
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM sqlite_schema"), 2);
    MF_CHECK_INT(kit_count(&k, "PRAGMA user_version"), 2);
    mf_sq_conn_close(&c);
}

MF_TEST(store_open, keeps_what_was_written_and_never_reuses_an_order_number)
{
    struct store_kit k = {0};
    struct mf_store_row rows[2] = {kit_row("u1", "s1", "m1", 41),
                                   kit_row("u1", "s1", "m2", 42)};
    const struct mf_slice id = kit_s("m2");
    struct mf_store_messages m = {
        .req = {.op = MF_STORE_DELETE_MESSAGES}, .user_id = kit_s("u1"), .ids = &id};

    kit_open(&k);
    MF_CHECK_OK(kit_write(&k, rows, 2, NULL));
    m.n = 1;
    MF_CHECK_OK(kit_run(&k, &m.req));
    mf_store_req_fini(&m.req);
    kit_close_store(&k);
    MF_CHECK_OK(kit_open_store(&k, NULL));
    MF_CHECK_INT(k.store->info.n_messages, 1);
    MF_CHECK_INT(k.store->info.next_seq, 43);
    kit_close(&k);
}

/* --- the line */

struct counted {
    struct mf_store_write w;
    struct mf_store_row row;
    size_t order; /* when `done` came, from 1 */
    int rc;
};

static size_t n_done;
static bool all_done;
static char ids[N_IN_LINE + 1][4];

static void on_counted(struct mf_store_req *req, int rc)
{
    struct counted *c = mf_container_of(req, struct counted, w.req);

    mf_loop_assert(req->store->loop);
    c->order = ++n_done;
    c->rc = rc;
    all_done = n_done == N_IN_LINE;
}

MF_LOOP static int submit_nth(struct store_kit *k, struct counted *list, size_t i,
                              enum mf_urgency urgency)
{
    struct counted *c = &list[i];

    (void)snprintf(ids[i], sizeof(ids[i]), "m%zu", i);
    c->row = kit_row("u1", "s1", ids[i], i + 1);
    c->w = (struct mf_store_write){
        .req = {.op = MF_STORE_WRITE_ROUNDS, .done = on_counted, .urgency = urgency},
        .rows = &c->row,
        .n_rows = 1};
    return mf_store_submit(k->store, &c->w.req);
}

MF_TEST(store_open, writes_urgent_requests_before_batches_in_line)
{
    struct store_kit k = {0};
    struct counted list[N_IN_LINE];

    kit_open(&k);
    n_done = 0;
    all_done = false;
    for (size_t i = 0; i < N_IN_LINE; i++) {
        MF_CHECK_OK(
            submit_nth(&k, list, i, i == N_IN_LINE - 1 ? MF_URGENT : MF_ORDINARY));
    }
    mf_loop_fixture_wait(k.loop, &all_done);
    MF_CHECK_INT(list[0].order, 1); /* it ran already */
    MF_CHECK_INT(list[N_IN_LINE - 1].order, 2);
    for (size_t i = 1; i + 1 < N_IN_LINE; i++) {
        MF_CHECK_INT(list[i].order, i + 2);
    }
    for (size_t i = 0; i < N_IN_LINE; i++) {
        MF_CHECK_OK(list[i].rc);
        mf_store_req_fini(&list[i].w.req);
    }
    kit_close(&k);
}

MF_TEST(store_open, says_busy_when_the_line_is_full)
{
    struct store_kit k = {.max_waiting = N_IN_LINE - 1};
    struct counted list[N_IN_LINE + 1];

    kit_open(&k);
    n_done = 0;
    all_done = false;
    for (size_t i = 0; i < N_IN_LINE; i++) { /* one runs, the others wait */
        MF_CHECK_OK(submit_nth(&k, list, i, MF_ORDINARY));
    }
    MF_CHECK_INT(submit_nth(&k, list, N_IN_LINE, MF_ORDINARY), MF_EBUSY);
    MF_CHECK(strstr(list[N_IN_LINE].w.req.err.msg, "store.max_waiting") != NULL);
    mf_loop_fixture_wait(k.loop, &all_done);
    for (size_t i = 0; i < N_IN_LINE; i++) {
        MF_CHECK_OK(list[i].rc);
        mf_store_req_fini(&list[i].w.req);
    }
    kit_close(&k);
}

#define N_READS 12

static size_t n_read;
static bool all_read;

static void on_read(struct mf_store_req *req, int rc)
{
    mf_loop_assert(req->store->loop);
    n_read += rc == 0;
    all_read = n_read == N_READS;
}

MF_TEST(store_open, reads_on_all_readers_while_the_writer_writes)
{
    struct store_kit k = {0};
    struct counted list[N_IN_LINE];
    struct mf_store_messages reads[N_READS];

    kit_open(&k);
    n_done = n_read = 0;
    all_done = all_read = false;
    for (size_t i = 0; i < N_READS; i++) {
        reads[i] = (struct mf_store_messages){
            .req = {.op = MF_STORE_LIST_MESSAGES, .done = on_read},
            .user_id = kit_s("u1"),
            .session_id = kit_s("s1")};
        MF_CHECK_OK(mf_store_submit(k.store, &reads[i].req));
        if (i % 2 == 0) {
            MF_CHECK_OK(submit_nth(&k, list, i / 2, MF_ORDINARY));
        }
    }
    mf_loop_fixture_wait(k.loop, &all_done);
    mf_loop_fixture_wait(k.loop, &all_read);
    for (size_t i = 0; i < N_READS; i++) {
        MF_CHECK(reads[i].n_rows <= N_IN_LINE);
        mf_store_req_fini(&reads[i].req);
    }
    for (size_t i = 0; i < N_IN_LINE; i++) {
        MF_CHECK_OK(list[i].rc);
        mf_store_req_fini(&list[i].w.req);
    }
    kit_close(&k);
}

MF_TEST(store_open, cancels_the_line_and_waits_for_what_runs_when_closed)
{
    struct store_kit k = {0};
    struct counted list[N_IN_LINE];
    int64_t n_ok = 0;

    kit_open(&k);
    n_done = 0;
    all_done = false;
    for (size_t i = 0; i < N_IN_LINE; i++) {
        MF_CHECK_OK(submit_nth(&k, list, i, MF_ORDINARY));
    }
    kit_close_store(&k);
    MF_CHECK(all_done);
    for (size_t i = 0; i < N_IN_LINE; i++) {
        MF_CHECK(list[i].rc == 0 || list[i].rc == MF_ECANCELED);
        n_ok += list[i].rc == 0;
        mf_store_req_fini(&list[i].w.req);
    }
    MF_CHECK(n_ok <= 1); /* at most the one that had the permit */
    MF_CHECK_INT(kit_count(&k, "SELECT count(*) FROM messages"), n_ok);
    kit_close(&k);
}

static void on_late_closed(void *arg)
{
    *(bool *)arg = true;
}

MF_TEST(store_open, refuses_requests_and_unknown_verbs_after_close_began)
{
    struct store_kit k = {0};
    struct mf_store_write w = {.req = {.op = (enum mf_store_op)99, .done = on_counted}};
    bool is_closed = false;

    kit_open(&k);
    MF_CHECK_INT(mf_store_submit(k.store, &w.req), MF_EINVAL);
    mf_store_close(k.store, on_late_closed, &is_closed);
    w.req.op = MF_STORE_WRITE_ROUNDS;
    MF_CHECK_INT(mf_store_submit(k.store, &w.req), MF_ECLOSED);
    mf_loop_fixture_wait(k.loop, &is_closed);
    k.store = NULL;
    kit_close(&k);
}

#define BIG_TEXT  (1024L * 1024)
#define N_BIG     150
#define MAX_WAL   (100L * 1024 * 1024)
#define MIN_MOVED (32L * 1024 * 1024)

static off_t size_of(const struct store_kit *k, const char *name)
{
    struct stat st;
    char path[4200];

    (void)snprintf(path, sizeof(path), "%s/%s", k->dir, name);
    MF_CHECK_OK(stat(path, &st));
    return st.st_size;
}

MF_TEST(store_open, checkpoints_between_batches_so_that_the_wal_stays_bounded)
{
    static char text[BIG_TEXT];
    struct store_kit k = {0};
    char id[16];

    kit_open(&k);
    memset(text, 'x', sizeof(text));
    for (unsigned i = 1; i <= N_BIG; i++) {
        struct mf_store_row row = kit_row("u1", "s1", id, i);

        (void)snprintf(id, sizeof(id), "m%u", i);
        row.msg.id = kit_s(id);
        row.msg.content = mf_slice_of(text, sizeof(text));
        MF_CHECK_OK(kit_write(&k, &row, 1, NULL));
    }
    MF_CHECK(size_of(&k, "memfuse.db-wal") < MAX_WAL);
    MF_CHECK(size_of(&k, "memfuse.db") > MIN_MOVED);
    kit_close_store(&k);
    MF_CHECK(size_of(&k, "memfuse.db") > (off_t)N_BIG * BIG_TEXT);
    kit_close(&k);
}

/* --- kill -9 in the middle of a batch; the child is store_child.c */

#define BATCH    50
#define N_KILLS  6
#define MIN_ACKS 3

static pid_t start_child(const char *dir, int *from_child)
{
    int fds[2];
    pid_t pid;

    MF_CHECK_OK(pipe(fds));
    pid = fork();
    MF_CHECK(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)execl(MF_STORE_CHILD, MF_STORE_CHILD, dir, NULL);
        _exit(127);
    }
    MF_CHECK_OK(close(fds[1]));
    *from_child = fds[0];
    return pid;
}

/* Batches that the child saw committed: one byte each. Killed after `n_acks` of them,
 * at whatever point of the next one it has reached. */
static int64_t run_and_kill(const char *dir, int n_acks)
{
    int from_child;
    pid_t pid = start_child(dir, &from_child);
    int64_t n = 0;
    char byte;

    while (n < n_acks && read(from_child, &byte, 1) == 1) {
        n++;
    }
    MF_CHECK_INT(n, n_acks);
    (void)usleep((useconds_t)(n_acks * 137)); /* another point each time */
    MF_CHECK_OK(kill(pid, SIGKILL));
    MF_CHECK_INT(waitpid(pid, NULL, 0), pid);
    while (read(from_child, &byte, 1) == 1) {
        n++;
    }
    MF_CHECK_OK(close(from_child));
    return n;
}

MF_TEST(store_open, keeps_whole_batches_across_kill_9)
{
    struct store_kit k = {0};
    int64_t n_acked = 0;

    open_bare(&k);
    for (int i = 0; i < N_KILLS; i++) {
        int64_t n_rows;

        n_acked += run_and_kill(k.dir, MIN_ACKS + i) * BATCH;
        MF_CHECK_OK(kit_open_store(&k, NULL));
        n_rows = kit_count(&k, "SELECT count(*) FROM messages");
        MF_CHECK(n_rows >= n_acked);
        MF_CHECK_INT(n_rows % BATCH, 0);
        MF_CHECK_INT(k.store->info.n_messages, n_rows);
        MF_CHECK_INT(k.store->info.next_seq, n_rows + 1);
        MF_CHECK_INT(kit_count(&k, "SELECT integrity_check = 'ok' FROM"
                                   " pragma_integrity_check"),
                     1);
        n_acked = n_rows;
        kit_close_store(&k);
    }
    kit_close(&k);
}
