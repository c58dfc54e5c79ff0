/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush_rig: a flusher between real buffers and the fake store, for one case.
 *
 * Owns:    all of it between open and close
 * Thread:  loop
 */
#ifndef MF_TEST_FLUSH_RIG_H
#define MF_TEST_FLUSH_RIG_H

#include "flush/flush.h"
#include "lib/fake_store.h"
#include "lib/loop_fixture.h"
#include "lib/mf_test.h"
#include "lib/rounds.h"

#include <limits.h>

#define RIG_MAX_SEQS   1024
#define RIG_MAX_MAKES  16
#define RIG_HOLD_MAKES UINT_MAX

struct rig {
    struct mf_loop *loop;
    struct mf_store *store;
    struct mf_buffers *buffers;
    struct mf_flush *flush;
    /* what was seen */
    size_t n_storing, n_stored, n_parked, n_room, n_prepared, n_settled_wanted;
    uint64_t parked_seqs[RIG_MAX_SEQS];
    uint64_t written[RIG_MAX_SEQS]; /* first row of each round, as submitted */
    size_t n_written;
    size_t rows_of_write[RIG_MAX_SEQS];
    size_t n_seen;
    int parked_code;
    size_t n_prepare_fails; /* to come, of rounds from this number on */
    uint64_t prepare_fails_seq;
    unsigned make_turns; /* rows are made so many turns long; 0: none is lacking;
                            RIG_HOLD_MAKES: until rig_finish_makes */

    struct {
        struct mf_flush_make *make;
        unsigned turns_left;
    } makes[RIG_MAX_MAKES];

    size_t n_making, n_makes; /* now; ever */
    struct mf_turn_hook make_hook;
    bool is_done, is_turned, is_closed, is_store_closed;
    unsigned n_turns;
    struct mf_turn_hook turns;
};

/* A worker, five levels, batches of ten rows, at once, backoff of a millisecond. */
struct mf_flush_config rig_config(void);
void rig_open(struct rig *r, const struct mf_flush_config *cfg) MF_ASSERTS_LOOP;
MF_MUST MF_LOOP int rig_open_second(struct rig *r, const struct mf_flush_config *cfg,
                                    struct mf_flush **out);
MF_LOOP struct mf_entry *rig_add(struct rig *r, const char *user, uint64_t seq,
                                 uint32_t n_msgs);
/* All of the user's hybrid list as one job. */
MF_MUST MF_LOOP int rig_push(struct rig *r, const char *user, enum mf_flush_priority p);
/* A round of its own job. */
MF_LOOP struct mf_entry *rig_job(struct rig *r, const char *user, uint64_t seq,
                                 enum mf_flush_priority p);
MF_LOOP void rig_turn(struct rig *r, unsigned n);
/* Until so many rounds are stored or parked, from the beginning. */
MF_LOOP void rig_settle(struct rig *r, size_t n);
MF_LOOP void rig_finish_makes(struct rig *r); /* all that are being made */
MF_LOOP void rig_close_flush(struct rig *r);
MF_LOOP void rig_close(struct rig *r);
MF_LOOP const struct mf_fake_stats *rig_stats(struct rig *r);
/* Message `seq` is in the store with the bytes it had. */
MF_LOOP void rig_check_stored(struct rig *r, const char *user, uint64_t seq);
MF_LOOP bool rig_is_stored(struct rig *r, const char *user, uint64_t seq);

#endif
