/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process appends and erases as fast as it can and is killed at a random instant, 50
 * times over the same journal: what it said is on disk must be there.
 */
#include "journal/journal.h"
#include "lib/mf_test.h"
#include "unit/journal_kit.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_KILLS   50
#define MAX_ACKED 400000

static struct {
    uint64_t seqs[MAX_ACKED];
    size_t n;
    unsigned char part[8]; /* of an ack whose other bytes have not come yet */
    size_t n_part;
} acked;

static void take_bytes(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        acked.part[acked.n_part++] = p[i];
        if (acked.n_part == 8) {
            MF_ASSERT(acked.n < MAX_ACKED);
            memcpy(&acked.seqs[acked.n++], acked.part, 8);
            acked.n_part = 0;
        }
    }
}

/* Reads acks for about `ms`; false at the end. */
static bool listen_to(int fd, int ms)
{
    unsigned char bytes[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n;

    if (poll(&p, 1, ms) == 0) {
        return true;
    }
    n = read(fd, bytes, sizeof(bytes));
    if (n > 0) {
        take_bytes(bytes, (size_t)n);
    }
    return n > 0;
}

/* Log-uniform, so that opening and the first commits are hit as well. */
static unsigned random_us(uint64_t *rng)
{
    unsigned us = 500;

    for (int i = 0; i < 8; i++) {
        *rng = *rng * 6364136223846793005u + 1442695040888963407u;
        us = us * (*rng >> 63 ? 2 : 1);
    }
    return us + (unsigned)(*rng >> 40) % us;
}

static void live_and_kill(const char *dir, uint64_t *rng)
{
    unsigned us = random_us(rng);
    int fd;
    pid_t pid = kit_child_start(&fd, "append", dir);

    acked.n_part = 0;
    while (us > 1000) {
        MF_CHECK(listen_to(fd, 1));
        us -= mf_min(us, 1000U);
    }
    (void)usleep(us);
    MF_CHECK_OK(kill(pid, SIGKILL));
    while (listen_to(fd, 1000)) { /* what it said before */
    }
    MF_CHECK_INT(waitpid(pid, NULL, 0), pid);
    (void)close(fd);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

struct found {
    uint64_t *seqs;
    size_t n, cap, n_wrong, n_out_of_order;
};

static int on_found(struct mf_item *it, MF_UNUSED const char *reason, void *arg)
{
    struct found *f = arg;

    as_loop();
    MF_ASSERT(f->n < f->cap);
    f->n_out_of_order += f->n > 0 && it->seq <= f->seqs[f->n - 1] ? 1 : 0;
    f->n_wrong += kit_is_right(it) ? 0 : 1;
    f->seqs[f->n++] = it->seq;
    mf_item_unref(it);
    return 0;
}

static void check_journal(const char *dir)
{
    static uint64_t seqs[MAX_ACKED];
    struct found f = {.seqs = seqs, .cap = MAX_ACKED};
    struct kit k = {0};
    struct mf_err err = {0};
    size_t n_lost = 0;

    kit_open(&k, dir);
    MF_CHECK_OK(mf_journal_replay(k.j, on_found, &f, &err));
    for (size_t i = 0; i < acked.n; i++) {
        uint64_t seq = acked.seqs[i];

        MF_CHECK(seq < mf_journal_next_seq(k.j));
        if (seq % 8 != 0 && bsearch(&seq, f.seqs, f.n, sizeof(seq), by_value) == NULL) {
            n_lost++;
        }
    }
    MF_CHECK_INT(n_lost, 0);
    MF_CHECK_INT(f.n_wrong, 0);
    MF_CHECK_INT(f.n_out_of_order, 0);
    kit_close(&k);
}

MF_TEST(journal, has_every_acknowledged_round_after_50_kills)
{
    const char *dir = mf_test_tmpdir();
    uint64_t rng = 20;

    acked.n = 0;
    for (int i = 0; i < N_KILLS; i++) {
        live_and_kill(dir, &rng);
        if (i % 10 == 9) {
            check_journal(dir);
        }
    }
    MF_CHECK(acked.n > 100); /* it did work in between */
}

/* No seq twice: erased rounds count, too, and so does what was never acknowledged. */
MF_TEST(journal, never_uses_a_number_twice_over_kills)
{
    const char *dir = mf_test_tmpdir();
    uint64_t rng = 7;
    size_t n_twice = 0;

    acked.n = 0;
    for (int i = 0; i < 10; i++) {
        live_and_kill(dir, &rng);
    }
    qsort(acked.seqs, acked.n, sizeof(acked.seqs[0]), by_value);
    for (size_t i = 1; i < acked.n; i++) {
        n_twice += acked.seqs[i] == acked.seqs[i - 1] ? 1 : 0;
    }
    MF_CHECK_INT(n_twice, 0);
}
