/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox: messages from foreign threads onto the loop.
 *
 * Messages are links inside the sender's objects. The loop is woken only when the box
 * was empty; it takes the whole list out of the lock and delivers in order.
 *
 * Owns:    the uv_async_t and the list between post and delivery
 * Thread:  mf_mailbox_post from any thread; all else on the loop
 * Limits:  none here: the sender bounds what it posts
 * Fails:   MF_ENOMEM from open; MF_ECLOSED after close began: the letter stays the
 *          caller's. The box is gone when `closed` is called: its owner sees to it that
 *          no thread posts from then on
 */
#ifndef MF_LOOP_MAILBOX_H
#define MF_LOOP_MAILBOX_H

#include "base/base.h"
#include "loop/loop.h"

struct mf_mailbox;

struct mf_letter { /* embedded in the sender's struct */
    struct mf_letter *next;
};

/* The letter is the receiver's again, and may be posted at once. */
typedef void (*mf_mailbox_deliver_fn)(struct mf_letter *letter, void *arg); /* loop */
typedef void (*mf_mailbox_closed_fn)(void *arg);

MF_MUST MF_LOOP int mf_mailbox_open(struct mf_mailbox **out, struct mf_loop *l,
                                    mf_mailbox_deliver_fn deliver, void *arg);
MF_MUST MF_ANY int mf_mailbox_post(struct mf_mailbox *m, struct mf_letter *letter);
/* What was posted before is still delivered; then the box is gone and `closed` (which
 * may be NULL) is called, never before this returns. Only the first close counts. */
MF_LOOP void mf_mailbox_close(struct mf_mailbox *m, mf_mailbox_closed_fn closed,
                              void *arg);

#endif
