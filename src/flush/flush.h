/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush: rounds from the buffers into the store: priority queue, batches, workers,
 * retry, dead letters.
 *
 * A job is some rounds of one user with a priority. The queue (flushq.h, pure) has five
 * levels, FIFO inside, and ageing; the batcher (batch.h, pure) fills a batch by count,
 * bytes and age across jobs; at most `workers` batches fly. Outcome (retry.h, pure):
 *
 *   ok           entries are STORED, `stored` is called
 *   for a while  the batch waits (jittered backoff; its entries are QUEUED) and goes
 *                again, whole
 *   poison       the batch is halved until the bad round stands alone: that one is
 *                parked, all others are stored
 *   partly away  (a node of a cluster is) what belongs elsewhere goes at once; the rest
 *                stands aside, QUEUED, and of each part that is away one batch goes now
 *                and then, to see
 *
 * Nothing leaves journal or buffers before the store's commit returned. A round is
 * never spread over two batches: one with more rows than batch_rows goes alone.
 *
 * Batches that wait hold back new ones once there are as many as workers, so that an
 * outage leaves the rounds in the queue, in order of urgency.
 *
 * What a row needs besides its text may be made just before its batch is written
 * (`make`), so that a long backlog holds texts and nothing else.
 *
 * Owns:    jobs and batches; entries stay the buffers'
 * Thread:  loop
 * Limits:  max_queue jobs: mf_flush_push says MF_EBUSY and the rounds stay HYBRID (they
 *          are offered again when there is room)
 * Fails:   MF_EBUSY, MF_ENOMEM; MF_ECLOSED after mf_flush_close; MF_EINVAL for a
 *          configuration out of bounds
 */
#ifndef MF_FLUSH_FLUSH_H
#define MF_FLUSH_FLUSH_H

#include "base/base.h"
#include "base/list.h"
#include "buffer/buffer.h"
#include "flush/priority.h"
#include "loop/dep.h"
#include "loop/loop.h"
#include "store/store.h"

struct mf_flush;

struct mf_flush_config {
    unsigned workers;      /* buffer.performance.max_flush_workers */
    unsigned max_queue;    /* buffer.performance.max_flush_queue_size, in jobs */
    unsigned levels;       /* flush.priority_levels: 5, or 3 (folded) */
    uint64_t ageing_ms;    /* one level up after so long in line */
    size_t batch_rows;     /* flush.batch_rows */
    size_t batch_bytes;    /* flush.batch_bytes */
    uint64_t batch_age_ms; /* a batch that is not full goes after so long; critical ones
                              go at once */
    struct mf_dep_config dep; /* retry, breaker; max_attempts 0: for ever */
};

/* What the rows of a batch lack is being made; embedded in the batch. */
struct mf_flush_make {
    void (*done)(struct mf_flush_make *m);
};

/* `stored` and `parked` must be there, the others may be NULL. `make`, `prepare` and
 * `idem` must not call back into flush; the others may. */
struct mf_flush_events {
    /* The store committed this entry; next it is taken out of the buffers' lists and
     * maps. Must not call back into flush or buffer. */
    void (*storing)(struct mf_entry *e, void *arg);
    /* The store committed these entries (place STORED already). `entries` is the
     * callee's to empty; each is freed by the callee, later. */
    void (*stored)(struct mf_list *entries, void *arg);
    /* One round the store refuses for ever (place PARKED already). */
    void (*parked)(struct mf_entry *e, const struct mf_err *why, void *arg);
    /* A batch is about to be written: workers make what the rows of these entries (by
     * in_place) lack. True: m->done comes once, later, on the loop, and until then the
     * entries stay where they are. False: nothing is lacking, or `prepare` has to. */
    bool (*make)(const struct mf_list *entries, struct mf_flush_make *m, void *arg);
    /* Just before a batch is written, for each entry: complete its rows (build missing
     * search records). 0, or an error: then the entry goes back in line. */
    int (*prepare)(struct mf_entry *e, void *arg);
    /* The recorded answer of a round with an Idempotency-Key; false: none. Slices must
     * live until the batch is done. */
    bool (*idem)(struct mf_entry *e, struct mf_store_idem *out, void *arg);
    /* There is room in the queue again after MF_EBUSY. */
    void (*room)(void *arg);
    void *arg;
};

MF_MUST MF_LOOP int mf_flush_open(struct mf_flush **out, struct mf_loop *l,
                                  struct mf_store *store, struct mf_buffers *buffers,
                                  const struct mf_flush_config *cfg,
                                  const struct mf_flush_events *events);
/* One job of all entries in `entries` (HYBRID ones of one user, see
 * mf_userbuf_take_ready); on 0 they are QUEUED and `entries` is empty. Its priority is
 * `p` or the most urgent that one of them was asked for. It goes at the end of this
 * turn at the soonest, so that what is pushed in one turn shares a batch. */
MF_MUST MF_LOOP int mf_flush_push(struct mf_flush *f, struct mf_list *entries,
                                  enum mf_flush_priority p);
/* Whether a job would find room; when not, `room` is called once there is. */
MF_LOOP bool mf_flush_has_room(struct mf_flush *f);
/* A queued entry becomes more urgent: its whole job does. One that is elsewhere
 * remembers it for when it is queued. */
MF_LOOP void mf_flush_raise(struct mf_flush *f, struct mf_entry *e,
                            enum mf_flush_priority p);
/* A parked entry is tried again, as a job of its own, in NORMAL line at least. */
MF_MUST MF_LOOP int mf_flush_requeue(struct mf_flush *f, struct mf_entry *e);
/* Batches need not fill up until the queue is empty, backoff is over at once: for drain
 * and for who waits. An open breaker stays open. */
MF_LOOP void mf_flush_kick(struct mf_flush *f);
/* While paused only what somebody waits for (CRITICAL, a kick) goes to the store. */
MF_LOOP void mf_flush_pause(struct mf_flush *f, bool pause);
MF_LOOP size_t mf_flush_n_queued(const struct mf_flush *f); /* jobs */
/* Batches that are being made or written. */
MF_LOOP size_t mf_flush_n_flying(const struct mf_flush *f);
MF_LOOP const struct mf_dep *mf_flush_health(const struct mf_flush *f);
/* Rounds that wait for a part of the store that is away; whether one of them does. */
MF_LOOP size_t mf_flush_n_aside(const struct mf_flush *f);
MF_LOOP bool mf_flush_is_aside(const struct mf_entry *e);

typedef void (*mf_flush_closed_fn)(void *arg);
/* No new batch; flying ones are waited for; queued entries go back to HYBRID. */
MF_LOOP void mf_flush_close(struct mf_flush *f, mf_flush_closed_fn closed, void *arg);

#endif
