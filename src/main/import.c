/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse import: a file of messages into the store. */
#include "engine/import.h"
#include "base/log.h"
#include "engine/rooms_conf.h"
#include "loop/lane.h"
#include "main/commands.h"
#include "main/import_feed.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_MS   1000
#define OTHER_THREADS 3 /* the filling worker, and two that are never promised */

struct words {
    const char *path;
    bool skips_bad;
};

/* One fill of a batch, on a worker. */
struct fill {
    struct mf_job job;
    struct mf_feed *feed;
    struct mf_import_batch batch;
    struct mf_feed_result result;
    struct mf_loop *loop;
    bool is_done;
};

struct importing {
    struct mf_conf conf;
    struct words words;
    struct mf_loop *loop;
    struct mf_lane *lane;
    struct mf_import *im;
    struct mf_feed *feed;
    struct fill fills[2]; /* one is filled while the other one is stored */
    struct mf_import_counts counts;
    uint64_t n_skipped;
    uint64_t began_ns, told_ms;
    bool shows_progress;
    bool was_told; /* why it ended, line and all */
};

static uint64_t now_ns(void)
{
    return uv_hrtime();
}

/* ---- what is said ---- */

static void say(struct importing *m, const char *text, size_t n)
{
    if (m->shows_progress && m->told_ms > 0) {
        (void)fputs("\r\033[K", stderr);
    }
    if (n > 0) { /* `text` may be NULL then */
        (void)fwrite(text, 1, n, stderr);
    }
}

static double seconds_of(const struct importing *m)
{
    return (double)(now_ns() - m->began_ns) / 1e9;
}

static void show_progress(struct importing *m)
{
    uint64_t ms = (now_ns() - m->began_ns) / 1000000;

    if (m->shows_progress && ms >= m->told_ms + PROGRESS_MS) {
        m->told_ms = ms;
        (void)fprintf(stderr,
                      "\r\033[K%" PRIu64 " lines, %" PRIu64 " messages stored, %" PRIu64
                      " already there",
                      m->counts.n_lines, m->counts.n_stored, m->counts.n_there);
    }
}

static void say_closing(struct importing *m)
{
    double s = seconds_of(m);
    double n = (double)(m->counts.n_stored + m->counts.n_there);

    say(m, "", 0);
    (void)printf("%" PRIu64 " lines: %" PRIu64 " messages stored, %" PRIu64
                 " already there, %" PRIu64 " lines skipped, %.1f s, %.0f messages/s\n",
                 m->counts.n_lines, m->counts.n_stored, m->counts.n_there, m->n_skipped,
                 s, s > 0 ? n / s : 0);
}

/* The store refuses a line. */
static bool on_refused(void *arg, const struct mf_import_line *line, const char *why)
{
    struct importing *m = arg;
    char text[2 * MF_ERR_MAX];
    int n = snprintf(text, sizeof(text), "%s:%" PRIu64 ": %s\n", m->words.path,
                     line->number, why);

    mf_loop_assert(m->loop);
    say(m, text, n < 0 ? 0 : mf_min((size_t)n, sizeof(text) - 1));
    m->n_skipped++;
    m->was_told = !m->words.skips_bad;
    return m->words.skips_bad;
}

/* ---- batches ---- */

MF_WORKER static void work_fill(struct mf_job *job)
{
    struct fill *f = mf_container_of(job, struct fill, job);

    mf_feed_fill(f->feed, &f->batch, &f->result);
}

static void on_filled(struct mf_job *job, int status)
{
    struct fill *f = mf_container_of(job, struct fill, job);

    mf_loop_assert(f->loop);
    if (status < 0) {
        f->result.rc = mf_err_set(&f->result.err, status, "the import was canceled");
        f->result.is_over = true;
    }
    f->is_done = true;
}

MF_LOOP static int start_fill(struct importing *m, struct fill *f, struct mf_err *err)
{
    int rc;

    f->feed = m->feed;
    f->loop = m->loop;
    f->is_done = false;
    f->job.work = work_fill;
    f->job.done = on_filled;
    rc = mf_lane_submit(m->lane, &f->job, MF_ORDINARY);
    if (rc < 0) {
        f->is_done = true;
        return mf_err_set(err, rc, "no worker to read the file: %s",
                          mf_code_sentence(rc));
    }
    return 0;
}

MF_LOOP static void wait_for(struct importing *m, const struct fill *f)
{
    if (!f->is_done) {
        (void)mf_loop_run_until(m->loop, &f->is_done, MF_LOOP_FOR_EVER_MS);
    }
}

/* Stores the batch, then says what was wrong behind it. */
MF_LOOP static int take_fill(struct importing *m, struct fill *f, struct mf_err *err)
{
    const struct mf_feed_result *r = &f->result;
    int rc;

    rc = mf_import_store(m->im, &f->batch, &m->counts, err);
    if (rc < 0) {
        return rc;
    }
    m->n_skipped += r->n_skipped;
    say(m, r->said.p, r->said.n);
    if (r->is_bad) {
        m->was_told = true;
        return MF_ECANCELED;
    }
    if (r->rc < 0) {
        *err = r->err;
    }
    return r->rc;
}

MF_LOOP static int import_all(struct importing *m, struct mf_err *err)
{
    size_t i = 0;
    bool is_over = false;
    int rc = start_fill(m, &m->fills[0], err);

    while (rc == 0 && !is_over) {
        struct fill *f = &m->fills[i];

        wait_for(m, f);
        is_over = f->result.is_over;
        i = 1 - i;
        if (!is_over) {
            rc = start_fill(m, &m->fills[i], err);
        }
        if (rc == 0) {
            rc = take_fill(m, f, err);
        }
        show_progress(m);
    }
    wait_for(m, &m->fills[i]); /* the next one, when the store failed */
    return rc;
}

/* ---- opening and closing ---- */

MF_LOOP static int open_all(struct importing *m, struct mf_err *err)
{
    struct mf_import_events events = {.refused = on_refused, .arg = m};
    struct mf_feed_config feed = {
        .conf = &m->conf, .path = m->words.path, .skips_bad = m->words.skips_bad};
    int rc = mf_lane_open(&m->lane, m->loop, "import", 1, 1);

    for (size_t i = 0; i < mf_countof(m->fills); i++) {
        mf_import_batch_init(&m->fills[i].batch);
        mf_buf_init(&m->fills[i].result.said);
        m->fills[i].is_done = true;
    }
    if (rc < 0) {
        return mf_err_set(err, rc, "%s", mf_code_sentence(rc));
    }
    rc = mf_import_open(&m->im, m->loop, &m->conf, &events, err);
    if (rc < 0) {
        return rc;
    }
    feed.maker = mf_import_maker(m->im);
    return mf_feed_open(&m->feed, &feed, err);
}

static void on_lane_closed(void *arg)
{
    *(bool *)arg = true;
}

MF_LOOP static void close_all(struct importing *m)
{
    bool is_closed = m->lane == NULL;

    mf_feed_close(m->feed);
    mf_import_close(m->im);
    if (m->lane != NULL) {
        mf_lane_close(m->lane, on_lane_closed, &is_closed);
        (void)mf_loop_run_until(m->loop, &is_closed, MF_LOOP_FOR_EVER_MS);
    }
    for (size_t i = 0; i < mf_countof(m->fills); i++) {
        mf_import_batch_fini(&m->fills[i].batch);
        mf_buf_fini(&m->fills[i].result.said);
    }
}

static int run(struct importing *m)
{
    struct mf_loop_config cfg = {.pool_threads =
                                     1 + mf_store_permits(&m->conf) + OTHER_THREADS};
    struct mf_err err = {0};
    bool is_open = false;
    int rc = mf_loop_open(&m->loop, &cfg, &err);

    m->began_ns = now_ns();
    if (rc == 0) {
        mf_loop_assert(m->loop);
        rc = open_all(m, &err);
        is_open = rc == 0;
        rc = is_open ? import_all(m, &err) : rc;
        close_all(m);
        MF_ASSERT(mf_loop_close(m->loop) == 0);
    }
    if (is_open) {
        say_closing(m);
    }
    if (rc < 0 && !m->was_told) {
        (void)fprintf(stderr, "memfuse: %s\n",
                      err.msg[0] != '\0' ? err.msg : mf_code_sentence(rc));
    }
    if (rc < 0 && is_open) {
        (void)fprintf(stderr,
                      "memfuse: the import stopped; the same file once more adds "
                      "what is missing\n");
    }
    return rc < 0 || fflush(stdout) != 0 ? MF_EXIT_FAILED : MF_EXIT_OK;
}

/* ---- the command ---- */

static bool take_word(const char *word, void *arg)
{
    struct words *w = arg;

    if (strcmp(word, "--skip-bad") == 0) {
        w->skips_bad = true;
        return true;
    }
    if (w->path != NULL || (word[0] == '-' && word[1] != '\0')) {
        return false;
    }
    w->path = word;
    return true;
}

int mf_cmd_import(int argc, char **argv)
{
    static struct importing m; /* too large for a small stack */
    int rc = mf_load_conf(&m.conf, argc, argv, take_word, &m.words);

    if (rc == 0 && m.words.path == NULL) {
        (void)fprintf(stderr, "memfuse: which file? '-' is the standard input\n");
        rc = MF_EXIT_USAGE;
    }
    if (rc == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        mf_log_set_level(MF_LOG_WARN);
        m.shows_progress = isatty(STDERR_FILENO) == 1;
        rc = run(&m);
    }
    mf_conf_fini(&m.conf);
    return rc;
}
