/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what the files of buffer share among themselves.
 *
 * Owns:    struct mf_buffers
 * Thread:  loop
 * Limits:  those of buffer.h
 * Fails:   those of buffer.h
 */
#ifndef MF_BUFFER_STATE_H
#define MF_BUFFER_STATE_H

#include "buffer/buffer.h"

struct mf_buffers {
    struct mf_map by_user;
    struct mf_list users; /* struct mf_userbuf.in_all */
    size_t bytes, max_bytes;
    size_t n_messages;
    size_t n_entries[MF_PLACE_COUNT];
    mf_userbuf_gone_fn gone;
    void *gone_arg;
};

/* Tells that it goes, forgets and frees it; it has no entry any more. */
MF_LOOP void mf_userbuf_drop(struct mf_buffers *b, struct mf_userbuf *u);
/* Puts a HYBRID entry onto its owner's hybrid list, in order of seq. */
MF_LOOP void mf_userbuf_link_hybrid(struct mf_userbuf *u, struct mf_entry *e);
/* After the hybrid list changed. */
MF_LOOP void mf_userbuf_note_oldest(struct mf_userbuf *u);

#endif
