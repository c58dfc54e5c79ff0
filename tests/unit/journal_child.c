/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second process for the journal's tests.
 *   journal_child append DIR        appends rounds, several at a time, writes each
 *                                   acknowledged seq (8 bytes) to stdout, and erases it
 *                                   again when 8 divides it; until it is killed
 *   journal_child replay DIR        prints: rounds parked wrong bytes next_seq
 *   journal_child open DIR          prints the sentence when it cannot be opened
 *   journal_child hold DIR          opens, prints "open", waits to be killed
 */
#include "journal/journal.h"
#include "unit/journal_items.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_FLIGHT 64

static struct mf_loop *the_loop;
static struct mf_journal *the_journal;
static uint64_t next_seq;

static void on_fatal(const struct mf_err *err, MF_UNUSED void *arg)
{
    (void)fprintf(stderr, "fatal: %s\n", err->msg);
    _exit(3);
}

static int open_journal(const char *dir, struct mf_err *err)
{
    static const struct mf_loop_config loop = {.pool_threads = 4};
    struct mf_journal_config cfg = {.dir = dir,
                                    .max_bytes = 1 << 30,
                                    .max_commit_rounds = 100,
                                    .max_commit_bytes = 1 << 20,
                                    .checkpoint_pages = 20};
    int rc = mf_loop_open(&the_loop, &loop, err);

    return rc < 0 ? rc
                  : mf_journal_open(&the_journal, the_loop, &cfg, on_fatal, NULL, err);
}

struct slot {
    struct mf_journal_append a;
    struct mf_journal_erase e;
    uint64_t seq;
};

static void start_append(struct slot *s);

static void on_erased(struct mf_journal_erase *e, int rc)
{
    if (rc < 0) {
        _exit(6);
    }
    start_append(mf_container_of(e, struct slot, e));
}

static void on_appended(struct mf_journal_append *a, int rc)
{
    struct slot *s = mf_container_of(a, struct slot, a);

    as_loop();
    if (rc < 0 ||
        write(STDOUT_FILENO, &s->seq, sizeof(s->seq)) != (ssize_t)sizeof(s->seq)) {
        _exit(4);
    }
    if (s->seq % 8 == 0) {
        s->e = (struct mf_journal_erase){.seqs = &s->seq, .n = 1, .done = on_erased};
        mf_journal_erase(the_journal, &s->e);
    } else {
        start_append(s);
    }
}

static void start_append(struct slot *s)
{
    struct mf_item *it = kit_item(next_seq);

    as_loop();
    s->seq = next_seq++;
    s->a = (struct mf_journal_append){.item = it, .done = on_appended};
    if (mf_journal_append(the_journal, &s->a) < 0) {
        _exit(5);
    }
    mf_item_unref(it);
}

static int append_for_ever(const char *dir)
{
    static struct slot slots[IN_FLIGHT];
    struct mf_err err = {0};

    as_loop();
    if (open_journal(dir, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 2;
    }
    next_seq = mf_journal_next_seq(the_journal);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        start_append(&slots[i]);
    }
    mf_loop_run(the_loop);
    return 0;
}

struct tally {
    unsigned long long n, parked, wrong;
};

static int on_round(struct mf_item *it, const char *reason, void *arg)
{
    struct tally *t = arg;

    as_loop();
    t->n++;
    t->parked += reason != NULL ? 1 : 0;
    t->wrong += kit_is_right(it) ? 0 : 1;
    mf_item_unref(it);
    return 0;
}

static int replay(const char *dir)
{
    struct mf_err err = {0};
    struct tally t = {0, 0, 0};
    int rc = open_journal(dir, &err);

    as_loop();
    if (rc == 0) {
        rc = mf_journal_replay(the_journal, on_round, &t, &err);
    }
    if (rc < 0) {
        (void)printf("%s\n", err.msg);
        return 2;
    }
    (void)printf("%llu %llu %llu %llu %llu\n", t.n, t.parked, t.wrong,
                 (unsigned long long)mf_journal_bytes(the_journal),
                 (unsigned long long)mf_journal_next_seq(the_journal));
    return 0;
}

static int open_only(const char *dir, bool hold)
{
    struct mf_err err = {0};

    if (open_journal(dir, &err) < 0) {
        (void)printf("%s", err.msg);
        return 2;
    }
    (void)printf("open\n");
    (void)fflush(stdout);
    if (hold) {
        (void)pause();
    }
    return 0;
}

static int run(const char *verb, const char *dir)
{
    if (strcmp(verb, "append") == 0) {
        return append_for_ever(dir);
    }
    if (strcmp(verb, "replay") == 0) {
        return replay(dir);
    }
    return open_only(dir, strcmp(verb, "hold") == 0);
}

/* Ends without closing anything: the journal must stand that. */
int main(int argc, char **argv)
{
    int rc = argc < 3 ? 1 : run(argv[1], argv[2]);

    (void)fflush(stdout);
    _exit(rc);
}
