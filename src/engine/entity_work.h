/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_work: what creating, reading, changing and deleting users, agents, sessions,
 * knowledge and keys have in common.
 *
 * Owns:    one call's work until it is finished
 * Thread:  loop
 * Limits:  none
 * Fails:   see engine.h
 */
#ifndef MF_ENGINE_ENTITY_WORK_H
#define MF_ENGINE_ENTITY_WORK_H

#include "engine/resolve.h"

struct mf_entity_work {
    struct mf_resolve resolve;
    struct mf_settle settle;
    struct mf_entity_call *c;
    struct mf_engine *e;
    struct mf_store_entity req;
    struct mf_link link;    /* engine.creating, or a creator's `waiters` */
    struct mf_list waiters; /* works that want the same name */
    struct mf_entity *ins;  /* rows to create or to change, in the call's arena */
    size_t n_ins;
    struct mf_index_text *texts; /* knowledge */
    struct mf_index_job job;
    struct mf_journal_forget forget; /* what was deleted, in the journal's file */
    struct mf_buf response;          /* of an Idempotency-Key */
    struct mf_store_idem idem;
    bool has_req, has_settle, is_creating;
    bool in_verb; /* nothing may be done before the verb returned */
};

/* Begins the call. MF_ECLOSED, MF_ENOMEM: `*out` stays as it was. */
MF_MUST MF_LOOP int mf_entity_work_new(struct mf_entity_work **out, struct mf_engine *e,
                                       struct mf_entity_call *c, bool is_change);
/* Finishes the call with the request's rows, frees the work. */
MF_LOOP void mf_entity_work_finish(struct mf_entity_work *w, int rc);
/* Submits w->req; failures finish, and `w` is gone. */
MF_LOOP int mf_entity_work_submit(struct mf_entity_work *w, enum mf_store_op op,
                                  void (*done)(struct mf_store_req *req, int rc));
/* The store's answer as the call's: names taken, unknown rows, other trouble. */
MF_LOOP int mf_entity_work_blame(struct mf_entity_work *w, int rc);
MF_LOOP int mf_entity_not_found(struct mf_entity_work *w);

#endif
