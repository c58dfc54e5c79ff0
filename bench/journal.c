/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds per second through the journal as the engine uses it (loop, worker, SQLite)
 * at batches of 1, 10, 100 and 1000, beside a bare append + fdatasync of the same
 * records. Alternating, several times each, medians. "Erasing": each commit also erases
 * the batch before, as in service, where the store confirms as fast as rounds come.
 *
 * bench_journal [DIR] [MILLISECONDS PER CELL]
 */
#include "journal/journal.h"
#include "base/log.h"
#include "journal/record.h"
#include "probe.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BATCH   1000
#define N_REPEATS   5
#define MAX_COMMITS ((size_t)1 << 18)
#define CONTENT     250 /* a record of about 400 bytes */

static const unsigned batches[] = {1, 10, 100, 1000};

struct cell {
    double rounds_per_s[N_REPEATS], p50_us[N_REPEATS], p99_us[N_REPEATS];
};

struct bench;

struct slot {
    struct mf_journal_append a;
    struct bench *bench;
};

/* Appended and waited for; erased by the commit that appends the other batch. */
struct batch {
    struct slot slots[MAX_BATCH];
    struct mf_item *items[MAX_BATCH];
    uint64_t seqs[MAX_BATCH];
    struct mf_journal_erase erase;
    bool is_erased;
};

struct bench {
    const char *dir;
    uint64_t cell_ns;
    struct mf_loop *loop;
    struct mf_journal *journal;
    uint64_t next_seq;
    struct batch batches[2];
    size_t n_waiting;
    bool is_done, is_closed, erases;
    uint64_t lat_ns[MAX_COMMITS];
};

static void as_loop(void) MF_ASSERTS_LOOP
{
}

static void must(int rc, const char *what)
{
    if (rc < 0) {
        (void)fprintf(stderr, "bench_journal: %s: %s\n", what, mf_code_sentence(rc));
        exit(1);
    }
}

static struct mf_item *make_item(uint64_t seq)
{
    static char content[CONTENT];
    struct mf_msg m = {.id = MF_SLICE("018f0000-0000-7000-8000-000000000000"),
                       .content = mf_slice_of(content, sizeof(content)),
                       .role = MF_MSG_USER};
    struct mf_item_spec spec = {.user_id = MF_SLICE("user"),
                                .session_id = MF_SLICE("session"),
                                .msgs = &m,
                                .n_msgs = 1};
    struct mf_item *it;

    memset(content, 'x', sizeof(content));
    it = mf_item_new(&spec);
    must(it == NULL ? MF_ENOMEM : 0, "round");
    mf_item_set_seq(it, seq);
    return it;
}

static void make_items(struct bench *b, struct batch *batch, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        batch->seqs[i] = b->next_seq++;
        batch->items[i] = make_item(batch->seqs[i]);
    }
}

static void drop_items(struct batch *batch, unsigned n)
{
    as_loop();
    for (unsigned i = 0; i < n; i++) {
        mf_item_unref(batch->items[i]);
    }
}

static void on_appended(struct mf_journal_append *a, int rc)
{
    struct bench *b = mf_container_of(a, struct slot, a)->bench;

    must(rc, "append");
    b->is_done = --b->n_waiting == 0;
}

static void on_erased(struct mf_journal_erase *e, int rc)
{
    must(rc, "erase");
    mf_container_of(e, struct batch, erase)->is_erased = true;
}

static void wait_for(struct bench *b, const bool *flag)
{
    if (!mf_loop_run_until(b->loop, flag, 60000)) {
        must(MF_ETIMEOUT, "waiting for the journal");
    }
}

static void erase_batch(struct bench *b, struct batch *batch, unsigned n)
{
    as_loop();
    batch->is_erased = false;
    batch->erase =
        (struct mf_journal_erase){.seqs = batch->seqs, .n = n, .done = on_erased};
    mf_journal_erase(b->journal, &batch->erase);
}

static uint64_t time_batch(struct bench *b, size_t which, unsigned n)
{
    struct batch *batch = &b->batches[which % 2];
    uint64_t from;

    as_loop();
    make_items(b, batch, n);
    b->n_waiting = n;
    b->is_done = false;
    from = mf_probe_now_ns();
    if (b->erases && which > 0) {
        erase_batch(b, &b->batches[(which + 1) % 2], n);
    }
    for (unsigned i = 0; i < n; i++) {
        struct slot *s = &batch->slots[i];

        *s = (struct slot){.a = {.item = batch->items[i], .done = on_appended},
                           .bench = b};
        must(mf_journal_append(b->journal, &s->a), "append");
    }
    wait_for(b, &b->is_done);
    from = mf_probe_now_ns() - from;
    wait_for(b, &b->batches[(which + 1) % 2].is_erased);
    drop_items(batch, n);
    return from;
}

static void on_closed(void *arg)
{
    ((struct bench *)arg)->is_closed = true;
}

static void on_fatal(const struct mf_err *err, MF_UNUSED void *arg)
{
    (void)fprintf(stderr, "bench_journal: %s\n", err->msg);
    exit(1);
}

/* Each cell begins with an empty journal. */
static void remove_in(const char *dir, const char *name)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    must(unlink(path) == 0 ? 0 : MF_EIO, path);
}

static void open_journal(struct bench *b)
{
    struct mf_journal_config cfg = {.dir = b->dir,
                                    .max_bytes = (uint64_t)1 << 32,
                                    .max_commit_rounds = 4096,
                                    .max_commit_bytes = 16 << 20,
                                    .checkpoint_pages = 1000};
    struct mf_err err = {0};

    b->is_closed = false;
    if (mf_journal_open(&b->journal, b->loop, &cfg, on_fatal, b, &err) < 0) {
        on_fatal(&err, b);
    }
    b->next_seq = mf_journal_next_seq(b->journal);
    b->batches[0].is_erased = b->batches[1].is_erased = true;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double us_at(const struct bench *b, size_t i)
{
    return (double)b->lat_ns[i] / 1e3;
}

static void sum_up(struct bench *b, size_t n_commits, unsigned batch, struct cell *cell,
                   size_t repeat)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n_commits; i++) {
        sum += b->lat_ns[i];
    }
    qsort(b->lat_ns, n_commits, sizeof(b->lat_ns[0]), by_value);
    cell->rounds_per_s[repeat] = (double)n_commits * batch / ((double)sum / 1e9);
    cell->p50_us[repeat] = us_at(b, n_commits / 2);
    cell->p99_us[repeat] = us_at(b, n_commits * 99 / 100);
}

static void run_journal(struct bench *b, unsigned batch, struct cell *cell,
                        size_t repeat)
{
    uint64_t end;
    size_t n = 0;

    as_loop();
    open_journal(b);
    end = mf_probe_now_ns() + b->cell_ns;
    while (mf_probe_now_ns() < end && n < MAX_COMMITS) {
        b->lat_ns[n] = time_batch(b, n, batch);
        n++;
    }
    mf_journal_close(b->journal, on_closed, b);
    wait_for(b, &b->is_closed);
    sum_up(b, n, batch, cell, repeat);
    remove_in(b->dir, "journal.db");
}

/* The least that could be done: pack, one write, one fdatasync. */
static void run_raw(struct bench *b, unsigned batch, struct cell *cell, size_t repeat)
{
    char path[PATH_MAX];
    struct mf_buf buf;
    uint64_t end;
    size_t n = 0;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/raw", b->dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    mf_buf_init(&buf);
    make_items(b, &b->batches[0], batch);
    end = mf_probe_now_ns() + b->cell_ns;
    while (mf_probe_now_ns() < end && n < MAX_COMMITS) {
        uint64_t from = mf_probe_now_ns();

        mf_buf_reset(&buf);
        for (unsigned i = 0; i < batch; i++) {
            must(mf_record_pack(&buf, b->batches[0].items[i]), "pack");
        }
        if (write(fd, buf.p, buf.n) != (ssize_t)buf.n || fdatasync(fd) != 0) {
            must(MF_EIO, "raw append");
        }
        b->lat_ns[n++] = mf_probe_now_ns() - from;
    }
    (void)close(fd);
    (void)unlink(path);
    mf_buf_fini(&buf);
    drop_items(&b->batches[0], batch);
    sum_up(b, n, batch, cell, repeat);
}

static double median(double *v)
{
    for (size_t i = 1; i < N_REPEATS; i++) {
        for (size_t k = i; k > 0 && v[k] < v[k - 1]; k--) {
            double t = v[k];

            v[k] = v[k - 1];
            v[k - 1] = t;
        }
    }
    return v[N_REPEATS / 2];
}

static double print_cell(const char *name, unsigned batch, struct cell *c, double raw)
{
    double rate = median(c->rounds_per_s);

    (void)printf("%-22s %5u %10.0f %9.0f %9.0f", name, batch, rate, median(c->p50_us),
                 median(c->p99_us));
    if (raw > 0) {
        (void)printf(" %6.0f%%", rate / raw * 100);
    }
    (void)printf("\n");
    return rate;
}

static void run_all(struct bench *b)
{
    static struct cell raw[mf_countof(batches)], ours[mf_countof(batches)],
        erasing[mf_countof(batches)];

    for (size_t r = 0; r < N_REPEATS; r++) {
        for (size_t i = 0; i < mf_countof(batches); i++) {
            run_raw(b, batches[i], &raw[i], r);
            b->erases = false;
            run_journal(b, batches[i], &ours[i], r);
            b->erases = true;
            run_journal(b, batches[i], &erasing[i], r);
        }
    }
    (void)printf("%-22s %5s %10s %9s %9s %7s\n", "", "batch", "rounds/s", "p50 us",
                 "p99 us", "of raw");
    for (size_t i = 0; i < mf_countof(batches); i++) {
        double rate = print_cell("raw append, fdatasync", batches[i], &raw[i], 0);

        (void)print_cell("journal", batches[i], &ours[i], rate);
        (void)print_cell("journal, erasing", batches[i], &erasing[i], rate);
    }
}

static int remove_one(const char *path, MF_UNUSED const struct stat *st,
                      MF_UNUSED int type, MF_UNUSED struct FTW *at)
{
    return remove(path);
}

int main(int argc, char **argv)
{
    static const struct mf_loop_config loop = {.pool_threads = 4};
    static struct bench b = {.next_seq = 1};
    struct mf_err err = {0};
    char dir[PATH_MAX];

    mf_log_set_level(MF_LOG_WARN);
    (void)snprintf(dir, sizeof(dir), "%s/bench-journal-XXXXXX",
                   argc > 1 ? argv[1] : "/var/tmp");
    must(mkdtemp(dir) == NULL ? MF_EIO : 0, "folder");
    b.dir = dir;
    b.cell_ns = (uint64_t)(argc > 2 ? strtoul(argv[2], NULL, 10) : 250) * 1000000;
    must(mf_loop_open(&b.loop, &loop, &err), "loop");
    mf_probe_print(dir);
    run_all(&b);
    mf_probe_print(dir);
    must(mf_loop_close(b.loop), "loop");
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : 1;
}
