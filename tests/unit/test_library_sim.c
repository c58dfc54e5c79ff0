/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many lives of messages beside many scans, in random order: added, indexed, moved,
 * committed, confirmed, deleted, while loads and streams stand before or behind the
 * store, shelves are dropped and users become too large. Whatever happens, a scan finds
 * once what was acknowledged before it and never what was deleted before its end.
 *
 * Half of the plays are on a shared store, where another process adds, changes and
 * deletes, too: a scan finds what it wrote before the scan came, as it then was.
 */
#include "unit/query_kit.h"

#define MAX_MESSAGES 400
#define MAX_SCANS    24

enum life { BUFFERED, COMMITTED, CONFIRMED, DELETED };

struct message {
    enum life life;
    uint64_t added, delete_begun, deleted; /* moments; 0: not yet */
    uint64_t settled; /* the row is the store's alone, and not changed since */
    bool is_zebra;
};

struct sim_scan {
    struct kit_scan q;
    struct sim *sim;
    bool is_used;
    uint64_t submitted, ended;
};

struct sim {
    struct kit k;
    uint64_t random, moment;
    struct message messages[MAX_MESSAGES]; /* by seq */
    struct sim_scan scans[MAX_SCANS];
    size_t n_whole, n_partial, n_busy, n_judged;
};

static unsigned draw(struct sim *s, unsigned below)
{
    s->random = s->random * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(s->random >> 33) % below;
}

/* Some message in this state; 0: none. */
static uint64_t draw_message(struct sim *s, enum life life)
{
    uint64_t n = s->k.next_seq;
    uint64_t from = n > 1 ? draw(s, (unsigned)n) : 0;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t seq = (from + i) % n;

        if (seq > 0 && s->messages[seq].life == life) {
            return seq;
        }
    }
    return 0;
}

static const char *const texts[] = {"a horse runs", "my zebra eats grass",
                                    "a zebra or a horse?"};

MF_LOOP static void add(struct sim *s)
{
    unsigned text = draw(s, 3);
    uint64_t seq;

    if (s->k.next_seq == MAX_MESSAGES) {
        return;
    }
    seq = kit_add(&s->k, "u1", 1 + (int)draw(s, 2), texts[text]);
    s->messages[seq] = (struct message){.added = ++s->moment, .is_zebra = text > 0};
}

/* ---- another process ---- */

MF_LOOP static void add_elsewhere(struct sim *s)
{
    unsigned text = draw(s, 3);
    uint64_t seq;

    if (s->k.next_seq == MAX_MESSAGES) {
        return;
    }
    seq = kit_other_add(&s->k, "u1", 1 + (int)draw(s, 2), texts[text]);
    s->messages[seq] =
        (struct message){.life = CONFIRMED, .added = ++s->moment, .is_zebra = text > 0};
    s->messages[seq].settled = s->moment;
}

MF_LOOP static void change_elsewhere(struct sim *s, uint64_t seq)
{
    unsigned text = draw(s, 3);
    struct message *m = &s->messages[seq];

    if (seq == 0) {
        return;
    }
    m->settled = 0;
    kit_other_change(&s->k, "u1", seq, texts[text]);
    m->is_zebra = text > 0;
    m->settled = m->life == CONFIRMED ? ++s->moment : 0;
}

/* The library is not told: whether it is still found does not matter. */
MF_LOOP static void delete_elsewhere(struct sim *s, uint64_t seq)
{
    if (seq == 0) {
        return;
    }
    s->messages[seq].life = DELETED;
    s->messages[seq].settled = 0;
    s->messages[seq].delete_begun = ++s->moment;
    kit_other_delete(&s->k, "u1", seq);
}

MF_LOOP static void play_elsewhere(struct sim *s)
{
    unsigned what = draw(s, 10);

    if (what < 5) {
        add_elsewhere(s);
    } else if (what < 7) {
        change_elsewhere(s, draw_message(s, CONFIRMED));
    } else if (what < 9) {
        change_elsewhere(s, draw_message(s, COMMITTED));
    } else {
        delete_elsewhere(s, draw_message(s, CONFIRMED));
    }
}

/* ---- this process ---- */

MF_LOOP static void store_one(struct sim *s, uint64_t seq)
{
    if (seq == 0) {
        return;
    }
    if (s->messages[seq].life == BUFFERED) {
        kit_commit(&s->k, "u1", seq);
        s->messages[seq].life = COMMITTED;
    } else {
        kit_confirm(&s->k, "u1", seq);
        s->messages[seq].life = CONFIRMED;
        s->messages[seq].settled = ++s->moment;
    }
}

MF_LOOP static void delete_one(struct sim *s, uint64_t seq)
{
    if (seq == 0) {
        return;
    }
    s->messages[seq].life = DELETED;
    s->messages[seq].settled = 0;
    s->messages[seq].delete_begun = ++s->moment;
    kit_delete(&s->k, "u1", seq);
    s->messages[seq].deleted = ++s->moment;
}

/* ---- scans ---- */

static void on_sim_scanned(struct mf_library_scan *scan, int rc)
{
    struct sim_scan *x =
        mf_container_of(mf_container_of(scan, struct kit_scan, s), struct sim_scan, q);

    x->q.n_done++;
    x->q.rc = rc;
    x->q.is_done = true;
    x->ended = ++x->sim->moment;
}

MF_LOOP static void scan(struct sim *s)
{
    for (size_t i = 0; i < MAX_SCANS; i++) {
        struct sim_scan *x = &s->scans[i];

        if (!x->is_used) {
            kit_question(&s->k, &x->q, "u1", "zebra");
            x->is_used = true;
            x->sim = s;
            x->ended = 0;
            x->q.s.done = on_sim_scanned;
            x->submitted = ++s->moment;
            MF_CHECK_OK(kit_submit(&x->q));
            return;
        }
    }
}

static void check_message(struct sim *s, const struct sim_scan *x, uint64_t seq)
{
    const struct message *m = &s->messages[seq];
    size_t n = kit_count(&x->q, seq);

    MF_CHECK(n <= 1);
    if (m->deleted > 0 && m->deleted < x->ended) {
        MF_CHECK_INT(n, 0);
    }
    if (!x->q.s.is_partial && m->added < x->submitted &&
        (m->delete_begun == 0 || m->delete_begun > x->ended)) {
        MF_CHECK_INT(n, 1);
    }
    if (!x->q.s.is_partial && m->settled != 0 && m->settled < x->submitted) {
        MF_CHECK_INT(kit_hit(&x->q, seq)->bm25 > 0, m->is_zebra);
        s->n_judged++;
    }
}

MF_LOOP static void check_scans(struct sim *s)
{
    for (size_t i = 0; i < MAX_SCANS; i++) {
        struct sim_scan *x = &s->scans[i];

        if (!x->is_used || !x->q.is_done) {
            continue;
        }
        MF_CHECK_INT(x->q.n_done, 1);
        MF_CHECK(x->q.rc == 0 || x->q.rc == MF_EBUSY);
        for (uint64_t seq = 1; x->q.rc == 0 && seq < s->k.next_seq; seq++) {
            check_message(s, x, seq);
        }
        s->n_busy += x->q.rc == MF_EBUSY;
        s->n_partial += x->q.rc == 0 && x->q.s.is_partial;
        s->n_whole += x->q.rc == 0 && !x->q.s.is_partial;
        kit_forget(&x->q);
        x->is_used = false;
    }
}

/* ---- the play ---- */

MF_LOOP static void disturb(struct sim *s)
{
    switch (draw(s, 5)) {
    case 0: mf_library_user_gone(s->k.lib, mf_slice_str("u1")); break;
    case 1: s->k.lib->cfg.max_resident = draw(s, 2) == 0 ? 100000 : draw(s, 200); break;
    case 2: s->k.lib->cfg.max_bytes = draw(s, 2) == 0 ? 1 : 64 << 20; break;
    case 3: s->k.lib->cfg.store_timeout_ms = draw(s, 2) == 0 ? 2 : KIT_PATIENCE; break;
    default: s->k.fail_done = draw(s, 4) == 0 ? MF_EUNAVAILABLE : 0; break;
    }
}

MF_LOOP static void index_one(struct sim *s)
{
    uint64_t seq = draw_message(s, BUFFERED);

    if (seq != 0) {
        kit_index(&s->k, "u1", seq, draw(s, 3) != 0);
    }
}

MF_LOOP static void step(struct sim *s)
{
    unsigned what = draw(s, 100);

    if (what < 20) {
        add(s);
    } else if (what < 45) {
        scan(s);
    } else if (what < 55) {
        index_one(s);
    } else if (what < 65) {
        store_one(s, draw_message(s, BUFFERED));
    } else if (what < 75) {
        store_one(s, draw_message(s, COMMITTED));
    } else if (what < 80) {
        delete_one(s, draw_message(s, CONFIRMED));
    } else if (what < 88) {
        kit_gate(&s->k, s->k.n_gated > 40 ? KIT_OPEN : (enum kit_gate)draw(s, 3));
    } else if (what < 92) {
        disturb(s);
    } else if (what < 97 && s->k.gate.info.is_shared) {
        play_elsewhere(s);
    } else {
        kit_turns(&s->k, 1);
    }
    check_scans(s);
}

MF_LOOP static void end(struct sim *s)
{
    s->k.fail_done = 0;
    kit_gate(&s->k, KIT_OPEN);
    for (size_t i = 0; i < MAX_SCANS; i++) {
        if (s->scans[i].is_used) {
            MF_CHECK(
                mf_loop_run_until(s->k.loop, &s->scans[i].q.is_done, KIT_PATIENCE));
        }
    }
    check_scans(s);
    kit_close(&s->k);
}

/* Adds to `sum` what came of it. */
MF_LOOP static void count(const struct sim *s, struct sim *sum)
{
    sum->n_whole += s->n_whole;
    sum->n_partial += s->n_partial;
    sum->n_busy += s->n_busy;
    sum->n_judged += s->n_judged;
}

MF_TEST(library, finds_what_it_must_and_nothing_else_in_random_lives)
{
    static struct sim s, sum;

    for (uint64_t seed = 1; seed <= 24; seed++) {
        memset(&s, 0, sizeof(s));
        s.random = seed;
        kit_open(&s.k);
        if (seed > 12) {
            kit_share(&s.k);
        }
        for (int i = 0; i < 800; i++) {
            step(&s);
        }
        end(&s);
        count(&s, &sum);
    }
    MF_CHECK(sum.n_whole > 1000);
    MF_CHECK(sum.n_partial > 40);
    MF_CHECK(sum.n_judged > 10000);
    MF_CHECK(sum.n_busy < sum.n_whole / 10);
}
