/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_store: a store in memory, on the loop, which fails as it is told to.
 *
 * It knows WRITE_ROUNDS (all or nothing; rows whose (user_id, id) is there stay as they
 * are), GET_MESSAGES and IDEM_GET; other verbs end with MF_EINVAL. A request is worked
 * on `turns` loop turns after submit, so requests may overtake each other.
 *
 * Owns:    copies of the rows (plain malloc: allocation sweeps do not reach it)
 * Thread:  loop
 */
#ifndef MF_TEST_FAKE_STORE_H
#define MF_TEST_FAKE_STORE_H

#include "store/store.h"

struct mf_fake_plan {
    int code;     /* the answer; 0: success */
    bool commits; /* with a code: the rows are there all the same, the answer is lost */
    unsigned turns; /* before the work */
};

/* What becomes of write number `nth` (from 1); the plan comes filled with the usual. */
typedef void (*mf_fake_plan_fn)(size_t nth, const struct mf_store_write *w,
                                struct mf_fake_plan *plan, void *arg);
/* Each WRITE_ROUNDS as it is submitted. */
typedef void (*mf_fake_seen_fn)(const struct mf_store_write *w, void *arg);

struct mf_fake_stats {
    size_t n_writes;    /* submitted */
    size_t n_failed;    /* answered with a code */
    size_t n_lost;      /* committed, but answered with a code */
    size_t n_again;     /* rows that were there already */
    size_t n_different; /* of these: with other bytes, which is always wrong */
    size_t n_rows, n_idems;
    size_t n_at_once, max_at_once; /* writes between submit and done */
    size_t n_urgent;
    size_t n_asked_parts; /* of n_writes: wrote nothing, told the parts */
};

struct mf_store *mf_fake_store_open(struct mf_loop *l);
void mf_fake_store_delay(struct mf_store *s, unsigned turns);
void mf_fake_store_fail_nth(struct mf_store *s, size_t nth, int code); /* one write */
void mf_fake_store_lose_nth(struct mf_store *s, size_t nth, int code);
void mf_fake_store_fail_all(struct mf_store *s, int code);    /* 0: no longer */
void mf_fake_store_fail_submit(struct mf_store *s, int code); /* 0: no longer */
void mf_fake_store_poison(struct mf_store *s, const char *message_id);
void mf_fake_store_heal(struct mf_store *s);          /* forgets all poison */
void mf_fake_store_hold(struct mf_store *s, bool on); /* answers wait */
void mf_fake_store_plan(struct mf_store *s, mf_fake_plan_fn fn, void *arg);
/* The part of a user is the first byte of his id; those in `parts` are away. */
void mf_fake_store_part_away(struct mf_store *s, const char *parts);
void mf_fake_store_watch(struct mf_store *s, mf_fake_seen_fn fn, void *arg);
const struct mf_fake_stats *mf_fake_store_stats(struct mf_store *s);
/* NULL: not there. */
const struct mf_store_row *mf_fake_store_find(struct mf_store *s, const char *user_id,
                                              const char *message_id);
const struct mf_store_idem *mf_fake_store_find_idem(struct mf_store *s,
                                                    struct mf_slice key);

#endif
