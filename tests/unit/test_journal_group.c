/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/group.h"
#include "lib/mf_test.h"

#include <string.h>

static const struct mf_group_limits limits = {.max_bytes = 1000,
                                              .min_free_bytes = 50,
                                              .max_commit_rounds = 3,
                                              .max_commit_bytes = 100,
                                              .max_commit_erases = 4,
                                              .checkpoint_pages = 10};

static const struct mf_group_result fine = {.free_bytes = UINT64_MAX};
static const struct mf_group_result no_room = {.rc = MF_ENOSPC,
                                               .free_bytes = UINT64_MAX};
static const struct mf_group_result fatal = {.rc = MF_EFATAL, .free_bytes = UINT64_MAX};

static void start(struct mf_group *g)
{
    mf_group_init(g, &limits);
}

static int add(struct mf_group *g, struct mf_journal_append *a, size_t bytes)
{
    *a = (struct mf_journal_append){.bytes = bytes, .rc = 1};
    return mf_group_append(g, a);
}

static void erase(struct mf_group *g, struct mf_journal_erase *e, const uint64_t *seqs,
                  size_t n)
{
    *e = (struct mf_journal_erase){.seqs = seqs, .n = n, .rc = 1};
    mf_group_erase(g, e);
}

static void forget_done(struct mf_group *g)
{
    mf_list_init(&g->done_appends);
    mf_list_init(&g->done_erases);
    mf_list_init(&g->done_parks);
}

MF_TEST(group, has_nothing_to_do_at_first)
{
    struct mf_group g;

    start(&g);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK(mf_group_is_idle(&g));
    MF_CHECK(mf_group_wake_at(&g) == MF_GROUP_NEVER);
}

MF_TEST(group, keeps_one_commit_in_flight_and_gathers_the_next)
{
    struct mf_group g;
    struct mf_journal_append a[3];

    start(&g);
    MF_CHECK_OK(add(&g, &a[0], 10));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &a[1], 10));
    MF_CHECK_OK(add(&g, &a[2], 10));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK_INT(g.sent_appends.n, 1);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_appends.n, 1);
    MF_CHECK_INT(a[0].rc, 0);
    MF_CHECK_INT(a[1].rc, 0); /* accepted, not told */
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 2);
}

MF_TEST(group, seals_no_more_rounds_than_a_commit_may_hold)
{
    struct mf_group g;
    struct mf_journal_append a[5];

    start(&g);
    for (size_t i = 0; i < 5; i++) {
        MF_CHECK_OK(add(&g, &a[i], 1));
    }
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 3);
    MF_CHECK_PTR(mf_list_head(&g.sent_appends), &a[0].link);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_PTR(mf_list_head(&g.sent_appends), &a[3].link);
}

MF_TEST(group, seals_no_more_bytes_than_a_commit_may_hold_but_one_round_goes_alone)
{
    struct mf_group g;
    struct mf_journal_append a[4];

    start(&g);
    MF_CHECK_OK(add(&g, &a[0], 60));
    MF_CHECK_OK(add(&g, &a[1], 40));
    MF_CHECK_OK(add(&g, &a[2], 500));
    MF_CHECK_OK(add(&g, &a[3], 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 2);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 1);
    MF_CHECK_PTR(mf_list_head(&g.sent_appends), &a[2].link);
}

MF_TEST(group, refuses_a_round_over_the_byte_bound_until_rounds_are_erased)
{
    static const uint64_t seq = 1;
    struct mf_group_result erased = {.free_bytes = UINT64_MAX, .erased_bytes = 990};
    struct mf_group g;
    struct mf_journal_append a, b;
    struct mf_journal_erase e;

    start(&g);
    MF_CHECK_INT(add(&g, &a, 1001), MF_ETOOBIG);
    MF_CHECK_OK(add(&g, &a, 990));
    MF_CHECK_INT(add(&g, &b, 11), MF_EBUSY);
    MF_CHECK(!mf_link_is_on(&b.link));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(add(&g, &b, 11), MF_EBUSY);
    erase(&g, &e, &seq, 1);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(add(&g, &b, 11), MF_EBUSY); /* not erased yet */
    mf_group_finish(&g, &erased, 0);
    MF_CHECK_INT(g.bytes, 0);
    MF_CHECK_OK(add(&g, &b, 11));
}

MF_TEST(group, counts_restored_rounds_even_beyond_the_bound)
{
    struct mf_group g;
    struct mf_journal_append a;

    start(&g);
    mf_group_restore(&g, 900);
    mf_group_restore(&g, 900);
    MF_CHECK_INT(g.bytes, 1800);
    MF_CHECK_INT(add(&g, &a, 1), MF_EBUSY);
}

MF_TEST(group, erases_in_small_steps_and_tells_after_the_last)
{
    static const uint64_t seqs[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    uint64_t sent[4];
    struct mf_group g;
    struct mf_journal_erase e, f;

    start(&g);
    erase(&g, &e, seqs, 6);
    erase(&g, &f, seqs + 6, 3);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.n_sent_erases, 4);
    mf_group_sent_erases(&g, sent);
    MF_CHECK_MEM(sent, seqs, sizeof(sent));
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_erases.n, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    mf_group_sent_erases(&g, sent);
    MF_CHECK_MEM(sent, seqs + 4, sizeof(sent)); /* the rest of e and two of f */
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_erases.n, 1);
    MF_CHECK_INT(e.rc, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.n_sent_erases, 1);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_erases.n, 2);
}

MF_TEST(group, erases_little_beside_rounds_but_keeps_pace_with_them)
{
    static const uint64_t seqs[1000] = {1};
    struct mf_group_limits lim = limits;
    struct mf_journal_append a[60];
    struct mf_group g;
    struct mf_journal_erase e;

    lim.max_commit_erases = 900;
    lim.max_commit_rounds = 100;
    mf_group_init(&g, &lim);
    MF_CHECK_OK(add(&g, &a[0], 1));
    erase(&g, &e, seqs, 1000);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.n_sent_erases, MF_GROUP_ERASES_BESIDE);
    mf_group_finish(&g, &fine, 0);
    forget_done(&g);
    for (size_t i = 0; i < mf_countof(a); i++) {
        MF_CHECK_OK(add(&g, &a[i], 1));
    }
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.n_sent_erases, 2 * mf_countof(a));
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT); /* nobody waits */
    MF_CHECK_INT(g.n_sent_erases, 1000 - MF_GROUP_ERASES_BESIDE - 2 * mf_countof(a));
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_erases.n, 1);
}

MF_TEST(group, tells_an_empty_erase_without_a_commit)
{
    struct mf_group g;
    struct mf_journal_erase e;

    start(&g);
    erase(&g, &e, NULL, 0);
    MF_CHECK_INT(g.done_erases.n, 1);
    MF_CHECK_INT(e.rc, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
}

MF_TEST(group, fails_the_rounds_and_keeps_the_erases_when_there_is_no_room)
{
    static const uint64_t seqs[] = {1, 2};
    uint64_t sent[2];
    struct mf_group g;
    struct mf_journal_append a, b;
    struct mf_journal_erase e;
    struct mf_journal_park p = {.seq = 9}, q = {.seq = 10};

    start(&g);
    MF_CHECK_OK(add(&g, &a, 10));
    erase(&g, &e, seqs, 2);
    mf_group_park(&g, &p);
    MF_CHECK_INT(mf_group_seal(&g, 1000), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 10));
    mf_group_park(&g, &q);
    mf_group_finish(&g, &no_room, 1000);
    MF_CHECK_INT(g.done_appends.n, 2);
    MF_CHECK_INT(a.rc, MF_ENOSPC);
    MF_CHECK_INT(b.rc, MF_ENOSPC);
    MF_CHECK_INT(g.bytes, 0);
    MF_CHECK_INT(g.done_erases.n + g.done_parks.n, 0);
    MF_CHECK(mf_group_is_full(&g));
    MF_CHECK_INT(add(&g, &b, 10), MF_ENOSPC);
    MF_CHECK_INT(mf_group_seal(&g, 1099), MF_GROUP_NOTHING);
    MF_CHECK(mf_group_wake_at(&g) == 1100);
    MF_CHECK_INT(mf_group_seal(&g, 1100), MF_GROUP_COMMIT);
    MF_CHECK(g.is_probe);
    mf_group_sent_erases(&g, sent);
    MF_CHECK_MEM(sent, seqs, sizeof(seqs)); /* from the start again */
    MF_CHECK_PTR(mf_list_head(&g.sent_parks), &p.link);
    MF_CHECK_PTR(mf_list_tail(&g.sent_parks), &q.link);
    mf_group_finish(&g, &fine, 1100);
    MF_CHECK(!mf_group_is_full(&g));
    MF_CHECK_INT(g.done_erases.n, 1);
    MF_CHECK_INT(g.done_parks.n, 2);
    MF_CHECK(mf_group_wake_at(&g) == MF_GROUP_NEVER);
    MF_CHECK_OK(add(&g, &b, 10));
}

MF_TEST(group, probes_less_and_less_often_up_to_a_bound)
{
    struct mf_group g;
    uint64_t now = 0, last = 0;

    start(&g);
    mf_group_start(&g, true, UINT64_MAX, now);
    for (int i = 0; i < 40; i++) {
        uint64_t wait = mf_group_wake_at(&g) - now;

        MF_CHECK(wait >= last && wait >= MF_GROUP_FIRST_RETRY_MS &&
                 wait <= MF_GROUP_MAX_RETRY_MS);
        last = wait;
        now += wait;
        MF_CHECK_INT(mf_group_seal(&g, now), MF_GROUP_COMMIT);
        MF_CHECK(g.is_probe);
        mf_group_finish(&g, &no_room, now);
    }
    MF_CHECK(last == MF_GROUP_MAX_RETRY_MS);
}

MF_TEST(group, refuses_rounds_but_erases_while_the_reserve_is_touched)
{
    static const uint64_t seqs[] = {1, 2};
    struct mf_group_result low = {.free_bytes = 49};
    struct mf_group_result enough = {.free_bytes = 50};
    struct mf_group g;
    struct mf_journal_append a;
    struct mf_journal_erase e;

    start(&g);
    mf_group_start(&g, false, 50, 0);
    MF_CHECK(!mf_group_is_full(&g));
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    mf_group_finish(&g, &low, 0);
    MF_CHECK_INT(a.rc, 0); /* it was committed */
    MF_CHECK_INT(add(&g, &a, 1), MF_ENOSPC);
    erase(&g, &e, seqs, 2);
    MF_CHECK_INT(mf_group_seal(&g, 10), MF_GROUP_COMMIT); /* at once */
    MF_CHECK(!g.is_probe);
    mf_group_finish(&g, &fine, 10);
    MF_CHECK(mf_group_wake_at(&g) == MF_GROUP_LOW_RETRY_MS); /* not put off */
    MF_CHECK_INT(mf_group_seal(&g, MF_GROUP_LOW_RETRY_MS - 1), MF_GROUP_NOTHING);
    MF_CHECK_INT(mf_group_seal(&g, MF_GROUP_LOW_RETRY_MS), MF_GROUP_COMMIT);
    MF_CHECK(g.is_probe);
    mf_group_finish(&g, &fine, MF_GROUP_LOW_RETRY_MS); /* could not look */
    MF_CHECK(mf_group_wake_at(&g) == 2 * MF_GROUP_LOW_RETRY_MS);
    MF_CHECK_INT(mf_group_seal(&g, 2 * MF_GROUP_LOW_RETRY_MS), MF_GROUP_COMMIT);
    mf_group_finish(&g, &enough, 2 * MF_GROUP_LOW_RETRY_MS);
    MF_CHECK(!mf_group_is_full(&g));
    MF_CHECK_OK(add(&g, &a, 1));
}

MF_TEST(group, lets_the_line_wait_when_memory_was_short)
{
    struct mf_group_result short_of = {.rc = MF_ENOMEM, .free_bytes = UINT64_MAX};
    struct mf_group g;
    struct mf_journal_append a, b;

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 1));
    mf_group_finish(&g, &short_of, 0);
    MF_CHECK_INT(a.rc, MF_ENOMEM);
    MF_CHECK_INT(g.done_appends.n, 1);
    MF_CHECK(!mf_group_is_full(&g));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK_INT(mf_group_seal(&g, mf_group_wake_at(&g)), MF_GROUP_COMMIT);
    MF_CHECK(!g.is_probe);
    MF_CHECK_PTR(mf_list_head(&g.sent_appends), &b.link);
}

MF_TEST(group, dies_once_and_for_all)
{
    static const uint64_t seqs[] = {1, 2};
    struct mf_group g;
    struct mf_journal_append a, b, c;
    struct mf_journal_erase e, f;
    struct mf_journal_park p = {.seq = 1}, q = {.seq = 2}, r = {.seq = 3};

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    erase(&g, &e, seqs, 2);
    mf_group_park(&g, &p);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 1));
    mf_group_park(&g, &q);
    mf_group_finish(&g, &fatal, 0);
    MF_CHECK(g.is_dead);
    MF_CHECK_INT(a.rc, MF_EFATAL);
    MF_CHECK_INT(b.rc, MF_EFATAL);
    MF_CHECK_INT(e.rc, MF_EFATAL);
    MF_CHECK_INT(p.rc, MF_EFATAL);
    MF_CHECK_INT(q.rc, MF_EFATAL);
    MF_CHECK_INT(g.done_appends.n, 2);
    MF_CHECK_INT(add(&g, &c, 1), MF_EFATAL);
    erase(&g, &f, seqs, 2);
    mf_group_park(&g, &r);
    MF_CHECK_INT(f.rc, MF_EFATAL);
    MF_CHECK_INT(r.rc, MF_EFATAL);
    MF_CHECK_INT(g.done_erases.n, 2);
    MF_CHECK_INT(g.done_parks.n, 3);
    MF_CHECK_INT(mf_group_seal(&g, 1 << 30), MF_GROUP_NOTHING);
    MF_CHECK(mf_group_wake_at(&g) == MF_GROUP_NEVER);
}

MF_TEST(group, takes_an_unknown_code_as_fatal)
{
    struct mf_group_result odd = {.rc = MF_EIO, .free_bytes = UINT64_MAX};
    struct mf_group g;
    struct mf_journal_append a;

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    mf_group_finish(&g, &odd, 0);
    MF_CHECK(g.is_dead);
    MF_CHECK_INT(a.rc, MF_EFATAL);
}

MF_TEST(group, checkpoints_a_short_wal_when_nobody_waits)
{
    struct mf_group_result grown = {.free_bytes = UINT64_MAX, .wal_pages = 10};
    struct mf_group g;
    struct mf_journal_append a, b;

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 1));
    mf_group_finish(&g, &grown, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT); /* a burst goes first */
    mf_group_finish(&g, &grown, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_CHECKPOINT);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
}

MF_TEST(group, checkpoints_between_commits_when_the_wal_is_long)
{
    struct mf_group_result grown = {.free_bytes = UINT64_MAX,
                                    .wal_pages = 10 * MF_GROUP_LATE_CHECKPOINT};
    struct mf_group g;
    struct mf_journal_append a, b;

    start(&g);
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_OK(add(&g, &b, 1));
    mf_group_finish(&g, &grown, 0);
    MF_CHECK_INT(g.done_appends.n, 1); /* told before the checkpoint */
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_CHECKPOINT);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK_INT(g.sent_appends.n, 0);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_appends.n, 1);
}

MF_TEST(group, closes_after_one_try_of_what_stands_in_line)
{
    static const uint64_t seq = 1;
    struct mf_group g;
    struct mf_journal_append a;
    struct mf_journal_erase e, f;

    start(&g);
    erase(&g, &e, &seq, 1);
    mf_group_start(&g, true, UINT64_MAX, 0);
    mf_group_close(&g);
    MF_CHECK_INT(add(&g, &a, 1), MF_ECLOSED);
    erase(&g, &f, &seq, 1);
    MF_CHECK_INT(f.rc, MF_ECLOSED);
    forget_done(&g);
    MF_CHECK(!mf_group_is_idle(&g));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT); /* before its retry time */
    mf_group_finish(&g, &no_room, 0);
    MF_CHECK_INT(e.rc, MF_ENOSPC);
    MF_CHECK_INT(mf_group_seal(&g, 1 << 20), MF_GROUP_NOTHING);
    forget_done(&g);
    MF_CHECK(mf_group_is_idle(&g));
}

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
