/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace: background work (embedding, flush) stands back while a burst of messages needs
 * the processors to be acknowledged: the buffers are there to take bursts. Pure.
 *
 * It begins to when many rounds arrive and what acknowledges them is held up: the loop
 * thread waits for a processor, or commits take long. It ends with the burst, or when
 * the buffers are half full or the time is up; then the store catches up before another
 * burst is taken.
 *
 * Owns:    its own numbers
 * Thread:  the owner's
 * Limits:  the constants below
 * Fails:   never
 */
#ifndef MF_ENGINE_PACE_H
#define MF_ENGINE_PACE_H

#include "base/base.h"

/* What acknowledging costs: a round counts MF_PACE_ROUND, each of its messages one. */
#define MF_PACE_ROUND          64
/* Of that a second (2,500 rounds of few messages) a burst is a burst. */
#define MF_PACE_BUSY_RATE      (2500 * MF_PACE_ROUND)
/* Rates are smoothed over about so long: one late commit is no end of a burst. */
#define MF_PACE_SMOOTH_MS      200
/* A burst has ended when it was none for so long: a checkpoint between two commits is
 * no end. */
#define MF_PACE_HOLD_MS        500
/* Share of the time that the loop wanted to run and could not. */
#define MF_PACE_SHORT_SHARE    0.03
/* A commit that shares neither disk nor processor takes a tenth of that. */
#define MF_PACE_SLOW_COMMIT_US 3000
/* A burst that lasts longer is a load: the store has to keep up with it. */
#define MF_PACE_MAX_MS         5000
/* Share of buffer.max_bytes beyond which the store comes first again, and below which a
 * new burst may be taken. */
#define MF_PACE_FULL_SHARE     0.5
#define MF_PACE_CAUGHT_SHARE   0.1

struct mf_pace {
    uint64_t at_ms;                 /* of the last look */
    uint64_t n_work;                /* acknowledged until then */
    uint64_t delay_ns;              /* waited for a processor until then */
    uint64_t n_commits, commits_us; /* until then */
    double rate;                    /* smoothed, work a second */
    uint64_t busy_ms;               /* when the rate was a burst's last */
    uint64_t since_ms;              /* standing back since; 0: not */
    bool is_catching_up;            /* it stood back as long as it may */
};

struct mf_pace_view {
    uint64_t now_ms;
    uint64_t n_work;                /* acknowledged so far */
    uint64_t delay_ns;              /* the loop waited for a processor so far */
    uint64_t n_commits, commits_us; /* of the journal so far */
    double full_share;              /* of buffer.max_bytes */
    uint64_t max_wait_ms;           /* never longer than this */
};

MF_ANY bool mf_pace_stands_back(struct mf_pace *p, const struct mf_pace_view *v);

/* What the calling thread waited for a processor, from /proc/thread-self/schedstat
 * (second field, nanoseconds); 0 where the kernel does not tell. */
MF_ANY uint64_t mf_pace_thread_delay_ns(void);

#endif
