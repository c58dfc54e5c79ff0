/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library: the shelves in memory. A user's shelf is made when the user is first asked
 * about: stored records are loaded on workers, what the buffers hold is put beside
 * them, and from then on the shelf holds every message of the user, wherever it is. It
 * is dropped again, least recently used first, under recall.max_bytes.
 *
 * Nothing is done for users who are not asked about: an added message costs nothing
 * here until the next question, which first puts what the buffers got since (records
 * not made yet are made on a worker, by keyword only).
 *
 * A user with more than max_resident messages has no shelf: each question streams the
 * records from the store through the same scoring.
 *
 * When other processes write to the store, too (info.is_shared), a scan first asks for
 * what was written since the shelf's mark; scans share a request that began after they
 * came. What was deleted elsewhere stays on the shelf until somebody looks for its text
 * and tells us (mf_library_removed).
 *
 * Owns:    shelves, loads under way
 * Thread:  loop; loading and scanning on workers
 * Limits:  recall.max_bytes, recall.max_resident, recall.store_timeout
 * Fails:   see mf_library_scan
 */
#ifndef MF_QUERY_LIBRARY_H
#define MF_QUERY_LIBRARY_H

#include "base/base.h"
#include "base/err.h"
#include "buffer/buffer.h"
#include "loop/loop.h"
#include "recall/shelf.h"
#include "store/store.h"

#define MF_LIBRARY_MAX_SCANS 1024 /* between submit and done */

struct mf_library;

struct mf_library_config {
    struct mf_recall_weights weights;
    size_t max_bytes;
    size_t max_resident;
    uint64_t store_timeout_ms;
    unsigned scan_permits;
    bool as_f32; /* records made here: recall.vectors */
};

MF_MUST MF_LOOP int mf_library_open(struct mf_library **out, struct mf_loop *l,
                                    struct mf_store *store, struct mf_buffers *buffers,
                                    const struct mf_library_config *cfg);

/* One ranking. `request` and what it points to stay until done. */
struct mf_library_scan {
    struct mf_slice user_id;
    struct mf_scan_request request; /* top_k hits have room in `hits`; weights: ours */
    struct mf_scan_hit *hits;
    void (*done)(struct mf_library_scan *s,
                 int rc); /* loop, once, never before return */
    /* out */
    size_t n_hits;
    bool is_partial; /* the store was late or failed: only what is in memory was ranked
                      */
    /* the library's own */
    struct mf_link link;
    void *state;
};

/* Ranks every message that was acknowledged before this call (by another process: that
 * was stored), wherever it is, once, and none whose removal was told before `done`.
 * MF_EINVAL (no user id), MF_EBUSY (too many in line; from `done`: the user changed
 * faster than we could look), MF_ENOMEM, MF_ECLOSED. A store that is late
 * (store_timeout_ms) or fails is no error: is_partial. Rounds must come into the
 * buffers in order of seq. */
MF_MUST MF_LOOP int mf_library_scan(struct mf_library *lib, struct mf_library_scan *s);

/* What happened elsewhere. Each is cheap when the user has no shelf. */
/* A better record was made for a message that is or was in the buffers. */
MF_LOOP void mf_library_record_made(struct mf_library *lib, struct mf_slice user_id,
                                    uint64_t seq, struct mf_slice rec);
/* The store confirmed: entries that a load under way may not have seen. Call before
 * mf_entry_stored, while the entry is still listed. */
MF_LOOP void mf_library_stored(struct mf_library *lib, struct mf_entry *e);
/* Rows that came into the store not through the buffers (knowledge). */
MF_LOOP void mf_library_put(struct mf_library *lib, struct mf_slice user_id,
                            uint64_t seq, struct mf_slice session_id,
                            struct mf_slice agent_id, struct mf_slice rec);
/* The store confirmed: changed text of a stored row, or rows that are gone. */
MF_LOOP void mf_library_replaced(struct mf_library *lib, struct mf_slice user_id,
                                 uint64_t seq, struct mf_slice rec);
MF_LOOP void mf_library_removed(struct mf_library *lib, struct mf_slice user_id,
                                uint64_t seq);
MF_LOOP void mf_library_session_gone(struct mf_library *lib, struct mf_slice user_id,
                                     struct mf_slice session_id);
MF_LOOP void mf_library_user_gone(struct mf_library *lib, struct mf_slice user_id);

MF_LOOP size_t mf_library_bytes(const struct mf_library *lib);
MF_LOOP size_t mf_library_n_shelves(const struct mf_library *lib);

typedef void (*mf_library_closed_fn)(void *arg);
/* Scans in line end as MF_ECLOSED, running ones are waited for. */
MF_LOOP void mf_library_close(struct mf_library *lib, mf_library_closed_fn closed,
                              void *arg);

#endif
