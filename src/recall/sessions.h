/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sessions: small numbers for the session ids of one shelf, with each one's agent.
 *
 * Owns:    copies of the ids
 * Thread:  the owner's
 * Limits:  2^32 - 1 sessions
 * Fails:   MF_ENOMEM
 */
#ifndef MF_RECALL_SESSIONS_H
#define MF_RECALL_SESSIONS_H

#include "base/base.h"
#include "base/map.h"

struct mf_session {
    struct mf_map_node node;
    uint32_t index;
    size_t n_records;
    struct mf_slice id, agent; /* of the bytes below */
    char bytes[];
};

struct mf_sessions {
    struct mf_map by_id;
    struct mf_session **by_index; /* NULL: free */
    uint32_t *free_indexes;
    size_t n, cap, n_free, cap_free;
    size_t bytes;
};

MF_ANY void mf_sessions_init(struct mf_sessions *s);
MF_ANY void mf_sessions_fini(struct mf_sessions *s);
MF_ANY struct mf_session *mf_sessions_find(const struct mf_sessions *s,
                                           struct mf_slice id);
/* The session of this id, made when it is not there; NULL without memory. */
MF_ANY struct mf_session *mf_sessions_get(struct mf_sessions *s, struct mf_slice id,
                                          struct mf_slice agent);
/* Forgets a session without records. */
MF_ANY void mf_sessions_tidy(struct mf_sessions *s, struct mf_session *x);
MF_ANY size_t mf_sessions_bytes(const struct mf_sessions *s);

#endif
