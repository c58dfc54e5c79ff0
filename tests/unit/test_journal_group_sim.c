/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal_groupkit.h"

#include <string.h>

/* A random life beside a model that knows only what each commit held. */
#define N_SEQS 400

enum fate { UNBORN, IN_LINE, COMMITTED, FAILED };

struct sim {
    struct mf_group g;
    enum mf_group_work work;
    uint64_t rng, now;
    struct mf_journal_append a[N_SEQS];
    enum fate fate[N_SEQS];
    bool is_told[N_SEQS], is_erasing[N_SEQS], is_erased[N_SEQS];
    size_t n;
    struct mf_journal_erase e[N_SEQS];
    uint64_t seqs[N_SEQS][8];
    size_t n_erases, n_erases_told;
    unsigned n_commits, n_no_room;
};

static uint64_t draw(struct sim *s, uint64_t n)
{
    s->rng = s->rng * 6364136223846793005u + 1442695040888963407u;
    return (s->rng >> 33) % n;
}

static void sim_append(struct sim *s)
{
    size_t i = s->n;
    int rc;

    if (i == N_SEQS) {
        return;
    }
    rc = add(&s->g, &s->a[i], 1 + draw(s, 60));
    if (rc == 0) {
        s->fate[i] = IN_LINE;
        s->n++;
    } else {
        MF_CHECK(rc == MF_EBUSY || mf_group_is_full(&s->g));
    }
}

static void sim_erase(struct sim *s)
{
    struct mf_journal_erase *e = &s->e[s->n_erases];
    uint64_t *seqs = s->seqs[s->n_erases];
    size_t n = 0;

    for (size_t i = 0; i < s->n && n < 1 + draw(s, 8); i++) {
        if (s->is_told[i] && s->fate[i] == COMMITTED && !s->is_erasing[i]) {
            s->is_erasing[i] = true;
            seqs[n++] = i;
        }
    }
    if (n > 0) {
        erase(&s->g, e, seqs, n);
        s->n_erases++;
    }
}

static void sim_tell(struct sim *s)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&s->g.done_appends)) != NULL) {
        size_t i = (size_t)(mf_container_of(k, struct mf_journal_append, link) - s->a);

        MF_CHECK(!s->is_told[i]);
        s->is_told[i] = true;
        MF_CHECK_INT(s->a[i].rc == 0, s->fate[i] == COMMITTED);
        s->fate[i] = s->a[i].rc == 0 ? COMMITTED : FAILED;
    }
    while ((k = mf_list_pop_head(&s->g.done_erases)) != NULL) {
        struct mf_journal_erase *e = mf_container_of(k, struct mf_journal_erase, link);

        s->n_erases_told++;
        MF_CHECK_INT(e->rc, 0);
        for (size_t i = 0; i < e->n; i++) {
            MF_CHECK(s->is_erased[e->seqs[i]]);
        }
    }
}

/* What a store would do: all of the commit, or nothing. */
static void sim_commit(struct sim *s, struct mf_group_result *r)
{
    uint64_t sent[4];
    size_t last = 0;

    mf_group_sent_erases(&s->g, sent);
    MF_CHECK(s->g.sent_appends.n <= limits.max_commit_rounds);
    MF_CHECK(s->g.n_sent_erases <= limits.max_commit_erases);
    if (r->rc < 0) {
        s->n_no_room++;
        return;
    }
    s->n_commits++;
    mf_list_each (&s->g.sent_appends, k) {
        size_t i = (size_t)(mf_container_of(k, struct mf_journal_append, link) - s->a);

        MF_CHECK(s->fate[i] == IN_LINE && (last == 0 || i > last));
        s->fate[i] = COMMITTED;
        last = i;
    }
    for (size_t i = 0; i < s->g.n_sent_erases; i++) {
        MF_CHECK(!s->is_erased[sent[i]]); /* never twice */
        s->is_erased[sent[i]] = true;
        r->erased_bytes += s->a[sent[i]].bytes;
    }
}

static void sim_finish(struct sim *s, bool may_fail)
{
    struct mf_group_result r = {.free_bytes = UINT64_MAX};

    if (s->g.in_flight == MF_GROUP_NOTHING) {
        return;
    }
    r.wal_pages = s->g.in_flight == MF_GROUP_COMMIT ? draw(s, 12) : 0;
    r.free_bytes = draw(s, 4) == 0 ? (may_fail ? 40 + draw(s, 40) : 50) : UINT64_MAX;
    if (may_fail && draw(s, 6) == 0) {
        r.rc = draw(s, 3) == 0 ? MF_ENOMEM : MF_ENOSPC;
    }
    if (s->g.in_flight == MF_GROUP_COMMIT) {
        sim_commit(s, &r);
    }
    mf_group_finish(&s->g, &r, s->now);
}

static void sim_check_bytes(struct sim *s)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < s->n; i++) {
        bool is_failed = s->fate[i] == FAILED || s->a[i].rc < 0;

        bytes += is_failed || s->is_erased[i] ? 0 : s->a[i].bytes;
    }
    MF_CHECK(s->g.bytes == bytes);
    MF_CHECK(bytes <= limits.max_bytes);
}

static void sim_step(struct sim *s)
{
    s->now += draw(s, 40);
    switch (draw(s, 6)) {
    case 0:
    case 1: sim_append(s); break;
    case 2: sim_erase(s); break;
    case 3: sim_finish(s, true); break;
    case 4: sim_tell(s); break;
    default: s->work = mf_group_seal(&s->g, s->now); break;
    }
    sim_check_bytes(s);
}

static void sim_drain(struct sim *s)
{
    for (int i = 0; i < 4000 && !(mf_group_is_idle(&s->g) && !mf_group_is_full(&s->g));
         i++) {
        s->now += 1000;
        s->work = mf_group_seal(&s->g, s->now);
        sim_finish(s, false);
        sim_tell(s);
    }
    MF_CHECK(mf_group_is_idle(&s->g));
    MF_CHECK(!mf_group_is_full(&s->g));
    sim_check_bytes(s);
    for (size_t i = 0; i < s->n; i++) {
        MF_CHECK(s->is_told[i]);
    }
    MF_CHECK_INT(s->n_erases_told, s->n_erases);
}

MF_TEST(group, keeps_its_promises_through_random_lives)
{
    static struct sim s;
    unsigned n_commits = 0, n_no_room = 0;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        memset(&s, 0, sizeof(s));
        s.rng = seed;
        start(&s.g);
        for (int i = 0; i < 3000 && s.n < N_SEQS && s.n_erases < N_SEQS; i++) {
            sim_step(&s);
        }
        sim_drain(&s);
        n_commits += s.n_commits;
        n_no_room += s.n_no_room;
    }
    MF_CHECK(n_commits > 10000 && n_no_room > 1000); /* it did happen */
}
