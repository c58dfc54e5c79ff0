/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolve: the first step of most verbs: is there such a user, agent or session, and is
 * it the scope's? One after the other, from memory or the store.
 *
 * Owns:    nothing; embedded in the verb's work
 * Thread:  loop
 * Limits:  MF_RESOLVE_MAX things
 * Fails:   MF_ENOTFOUND with MemFuse's sentence and field; the store's codes
 */
#ifndef MF_ENGINE_RESOLVE_H
#define MF_ENGINE_RESOLVE_H

#include "engine/engine_priv.h"

#define MF_RESOLVE_MAX 4

struct mf_resolved {
    struct mf_slice id, user_id, agent_id, name; /* in the call's arena */
};

struct mf_resolve {
    struct mf_call *call;
    void (*done)(struct mf_resolve *r, int rc); /* call.err is set when rc < 0 */

    struct {
        enum mf_entity_kind kind;
        struct mf_slice id;
    } want[MF_RESOLVE_MAX];

    size_t n;
    struct mf_resolved got[MF_RESOLVE_MAX]; /* out */
    /* its own */
    size_t i;
    struct mf_directory_wait wait;
    int rc;
    struct mf_turn_hook hook;
};

MF_LOOP void mf_resolve_want(struct mf_resolve *r, enum mf_entity_kind kind,
                             struct mf_slice id);
/* `done` comes later, never before this returns. */
MF_LOOP void mf_resolve_start(struct mf_resolve *r, struct mf_call *c,
                              void (*done)(struct mf_resolve *r, int rc));

#endif
