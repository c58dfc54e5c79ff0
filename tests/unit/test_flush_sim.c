/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random runs of the flusher against a store that fails in every way it may. Safety,
 * while faults are on: what is stored is stored once and with its own bytes, nothing is
 * lost, only poison is parked. Liveness, when faults end: all is stored.
 *
 * Each run prints its seed and what it drew; MF_SIM_SEED=n repeats one,
 * MF_SIM_RUNS=n makes more of them. The loop's clock is the real one: a seed
 * repeats what was drawn, not each interleaving.
 */
#include "base/err.h"
#include "unit/flush_rig.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_ROUNDS 600
#define MAX_USERS  8
#define USUAL_RUNS 40

struct sim_round {
    uint64_t seq;
    unsigned user;
    uint32_t n_msgs;
    bool is_poison;
};

/* Faults of a run, in thousandths of the writes. */
struct faults {
    unsigned fail, lose, corrupt, poison, prepare, make, submit;
    unsigned max_turns;
};

struct sim {
    struct rig rig;
    uint64_t rnd;
    struct faults faults;
    bool is_calm;
    struct sim_round rounds[MAX_ROUNDS];
    size_t n_rounds, n_poison, n_users;
    uint64_t next_seq;
};

static struct sim sim;

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators). */
static uint32_t draw(struct sim *s, uint32_t below)
{
    uint64_t z = s->rnd += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ z >> 31) % below);
}

static bool by_chance(struct sim *s, unsigned thousandths)
{
    return draw(s, 1000) < thousandths;
}

static const char *user_name(unsigned user)
{
    static const char *const names[MAX_USERS] = {"u0", "u1", "u2", "u3",
                                                 "u4", "u5", "u6", "u7"};

    return names[user];
}

static void plan(size_t nth, const struct mf_store_write *w, struct mf_fake_plan *p,
                 void *arg)
{
    static const int codes[] = {MF_EUNAVAILABLE, MF_ETIMEOUT, MF_EDB,   MF_ENOSPC,
                                MF_EIO,          MF_ENOMEM,   MF_EBUSY, MF_ECANCELED};
    struct sim *s = arg;

    (void)nth;
    (void)w;
    p->turns = draw(s, s->faults.max_turns);
    if (s->is_calm) {
        return;
    }
    if (by_chance(s, s->faults.fail)) {
        p->code = codes[draw(s, mf_countof(codes))];
    } else if (by_chance(s, s->faults.lose)) {
        p->code = MF_ETIMEOUT;
        p->commits = true;
    } else if (by_chance(s, s->faults.corrupt)) {
        p->code = MF_ECORRUPT;
    }
}

/* Every fault is on in some runs and off in others. */
static unsigned maybe(struct sim *s, unsigned most)
{
    return draw(s, 2) == 0 ? 0 : draw(s, most);
}

static struct mf_flush_config draw_config(struct sim *s)
{
    struct mf_flush_config cfg = rig_config();

    cfg.workers = 1 + draw(s, 4);
    cfg.max_queue = 1 + draw(s, 20);
    cfg.levels = draw(s, 2) == 0 ? 3 : 5;
    cfg.ageing_ms = draw(s, 10);
    cfg.batch_rows = 1 + draw(s, 80);
    cfg.batch_bytes = draw(s, 4) == 0 ? 3000 : 1 << 20;
    cfg.batch_age_ms = draw(s, 4);
    cfg.dep.open_after = draw(s, 4);
    s->faults = (struct faults){.fail = maybe(s, 600),
                                .lose = maybe(s, 300),
                                .corrupt = maybe(s, 50),
                                .poison = maybe(s, 60),
                                .prepare = maybe(s, 200),
                                .make = maybe(s, 800),
                                .submit = maybe(s, 100),
                                .max_turns = 1 + draw(s, 12)};
    s->n_users = 1 + draw(s, MAX_USERS);
    print_message(
        "  workers=%u queue=%u levels=%u rows=%zu bytes=%zu breaker=%u users=%zu "
        "fail=%u lose=%u corrupt=%u poison=%u prepare=%u make=%u submit=%u turns=%u\n",
        cfg.workers, cfg.max_queue, cfg.levels, cfg.batch_rows, cfg.batch_bytes,
        cfg.dep.open_after, s->n_users, s->faults.fail, s->faults.lose,
        s->faults.corrupt, s->faults.poison, s->faults.prepare, s->faults.make,
        s->faults.submit, s->faults.max_turns);
    return cfg;
}

MF_LOOP static void add_round(struct sim *s)
{
    struct sim_round *r = &s->rounds[s->n_rounds++];
    char id[24];

    r->seq = s->next_seq;
    r->user = draw(s, (uint32_t)s->n_users);
    r->n_msgs = 1 + draw(s, 4);
    r->is_poison = by_chance(s, s->faults.poison);
    s->next_seq += r->n_msgs;
    (void)rig_add(&s->rig, user_name(r->user), r->seq, r->n_msgs);
    if (r->is_poison) {
        (void)snprintf(id, sizeof(id), "m%llu",
                       (unsigned long long)r->seq + draw(s, r->n_msgs));
        mf_fake_store_poison(s->rig.store, id);
        s->n_poison++;
    }
}

/* A full line is an answer: the rounds stay where they are, for the next time. */
MF_LOOP static void push_some(struct sim *s, unsigned user)
{
    struct mf_userbuf *u =
        mf_userbuf_find(s->rig.buffers, mf_slice_str(user_name(user)));
    int rc;

    if (u == NULL || mf_list_is_empty(&u->hybrid)) {
        return;
    }
    rc = rig_push(&s->rig, user_name(user), draw(s, MF_FLUSH_PRIORITY_COUNT));
    MF_CHECK(rc == 0 || rc == MF_EBUSY);
}

MF_LOOP static void disturb(struct sim *s)
{
    const struct sim_round *r = &s->rounds[draw(s, (uint32_t)s->n_rounds)];
    struct mf_userbuf *u =
        mf_userbuf_find(s->rig.buffers, mf_slice_str(user_name(r->user)));
    struct mf_entry_msg *m = u == NULL ? NULL : mf_userbuf_find_seq(u, r->seq);

    if (m != NULL && draw(s, 4) == 0) {
        mf_flush_raise(s->rig.flush, m->entry, draw(s, MF_FLUSH_PRIORITY_COUNT));
    }
    if (draw(s, 10) == 0) {
        mf_flush_kick(s->rig.flush);
    }
    if (by_chance(s, s->faults.prepare)) {
        s->rig.n_prepare_fails = 1 + draw(s, 3);
        s->rig.prepare_fails_seq = r->seq;
    }
    s->rig.make_turns = by_chance(s, s->faults.make) ? 1 + draw(s, 12) : 0;
    mf_fake_store_fail_submit(s->rig.store,
                              by_chance(s, s->faults.submit) ? MF_EBUSY : 0);
}

/* Nothing is lost: each round is stored as a whole, or here as a whole. */
MF_LOOP static void check_safety(struct sim *s)
{
    MF_CHECK_INT(rig_stats(&s->rig)->n_different, 0);
    for (size_t i = 0; i < s->n_rounds; i++) {
        const struct sim_round *r = &s->rounds[i];
        const char *user = user_name(r->user);
        struct mf_userbuf *u = mf_userbuf_find(s->rig.buffers, mf_slice_str(user));
        bool is_here = u != NULL && mf_userbuf_find_seq(u, r->seq) != NULL;
        bool is_stored = rig_is_stored(&s->rig, user, r->seq);

        MF_CHECK(is_here || is_stored);
        MF_CHECK(!(r->is_poison && is_stored));
        for (uint32_t k = 1; k < r->n_msgs; k++) {
            MF_CHECK(rig_is_stored(&s->rig, user, r->seq + k) == is_stored);
        }
    }
}

MF_LOOP static void bad_night(struct sim *s)
{
    while (s->n_rounds < MAX_ROUNDS) {
        for (uint32_t n = draw(s, 12); n > 0 && s->n_rounds < MAX_ROUNDS; n--) {
            add_round(s);
        }
        push_some(s, draw(s, (uint32_t)s->n_users));
        if (s->n_rounds > 0) {
            disturb(s);
        }
        rig_turn(&s->rig, draw(s, 30));
        if (draw(s, 16) == 0) {
            check_safety(s);
        }
    }
}

MF_LOOP static void good_morning(struct sim *s)
{
    s->is_calm = true;
    s->rig.n_prepare_fails = 0;
    mf_fake_store_fail_submit(s->rig.store, 0);
    while (mf_buffers_n_entries(s->rig.buffers, MF_PLACE_HYBRID) > 0) {
        for (unsigned user = 0; user < s->n_users; user++) {
            push_some(s, user);
        }
        rig_turn(&s->rig, 5);
    }
    rig_settle(&s->rig, s->n_rounds);
}

MF_LOOP static void check_end(struct sim *s)
{
    const struct mf_fake_stats *st = rig_stats(&s->rig);
    size_t n_rows = 0;

    check_safety(s);
    for (size_t i = 0; i < s->n_rounds; i++) {
        const struct sim_round *r = &s->rounds[i];

        for (uint32_t k = 0; k < r->n_msgs && !r->is_poison; k++) {
            rig_check_stored(&s->rig, user_name(r->user), r->seq + k);
            n_rows++;
        }
    }
    MF_CHECK_INT(st->n_rows, n_rows);
    MF_CHECK_INT(s->rig.n_parked, s->n_poison);
    MF_CHECK_INT(s->rig.n_stored, s->n_rounds - s->n_poison);
    MF_CHECK_INT(s->rig.n_storing, s->rig.n_stored);
    MF_CHECK_INT(mf_buffers_n_entries(s->rig.buffers, MF_PLACE_PARKED), s->n_poison);
    MF_CHECK_INT(mf_flush_n_queued(s->rig.flush) + mf_flush_n_flying(s->rig.flush), 0);
    MF_CHECK(mf_dep_is_up(mf_flush_health(s->rig.flush)));
    print_message("  rounds=%zu poison=%zu writes=%zu failed=%zu lost=%zu again=%zu "
                  "at_once=%zu\n",
                  s->n_rounds, s->n_poison, st->n_writes, st->n_failed, st->n_lost,
                  st->n_again, st->max_at_once);
}

/* The end comes in the middle of it: what is not stored is here, in its place. */
MF_LOOP static void sudden_end(struct sim *s)
{
    const struct mf_buffers *b = s->rig.buffers;

    rig_close_flush(&s->rig);
    check_safety(s);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_QUEUED), 0);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_FLYING), 0);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_PARKED), s->rig.n_parked);
    MF_CHECK_INT(mf_buffers_n_entries(b, MF_PLACE_HYBRID) + s->rig.n_parked +
                     s->rig.n_stored,
                 s->n_rounds);
    print_message("  ended with %zu rounds not stored\n",
                  s->n_rounds - s->rig.n_stored);
}

static void run_seed(uint64_t seed)
{
    struct mf_flush_config cfg;

    memset(&sim, 0, sizeof(sim));
    sim.rnd = seed;
    sim.next_seq = 1;
    print_message("seed %llu:\n", (unsigned long long)seed);
    cfg = draw_config(&sim);
    rig_open(&sim.rig, &cfg);
    mf_fake_store_plan(sim.rig.store, plan, &sim);
    bad_night(&sim);
    if (seed % 4 == 0) {
        sudden_end(&sim);
    } else {
        good_morning(&sim);
        check_end(&sim);
    }
    rig_close(&sim.rig);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    uint64_t n;

    return text != NULL && mf_slice_to_u64(mf_slice_str(text), &n) == 0 ? n : otherwise;
}

MF_TEST(flush_sim, stores_each_round_once_and_parks_exactly_the_poison)
{
    uint64_t one = number_of("MF_SIM_SEED", 0);
    uint64_t runs = number_of("MF_SIM_RUNS", USUAL_RUNS);

    if (one != 0) {
        run_seed(one);
        return;
    }
    for (uint64_t seed = 1; seed <= runs; seed++) {
        run_seed(seed);
    }
}
