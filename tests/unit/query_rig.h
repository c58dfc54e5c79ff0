/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_rig: a query beside the kit's library, store and buffers, for the tests of
 * whole answers. User "u1" (Ann) asks.
 *
 * Owns:    all of it, between open and close
 * Thread:  loop
 */
#ifndef MF_QUERY_RIG_H
#define MF_QUERY_RIG_H

#include "unit/query_kit.h"

struct rig {
    struct kit k;
    struct mf_model *model;
    struct mf_embed *embed;
    struct mf_query *query;
    bool is_closed;
};

/* One question. */
struct ask {
    struct mf_query_req r;
    struct mf_arena arena;
    unsigned n_done;
    bool is_done;
    int rc;
};

/* `model` NULL: the built-in one, as the kit's records have it. */
MF_ANY void rig_open(struct rig *g, struct mf_model *model) MF_ASSERTS_LOOP;
MF_LOOP void rig_close_embed(struct rig *g);
MF_LOOP void rig_close(struct rig *g);
MF_ANY void rig_on_closed(void *arg); /* the rig; says so in is_closed */

/* Prepares a question, which may be changed before it is submitted. */
MF_ANY void rig_prepare(struct ask *a, const char *text);
MF_LOOP void rig_submit(struct rig *g, struct ask *a);
MF_LOOP void rig_wait(struct rig *g, struct ask *a);
/* All of these, and checks that it succeeded. */
MF_LOOP void rig_ask(struct rig *g, struct ask *a, const char *text);
MF_ANY void rig_forget(struct ask *a);
/* The hit, which must be there. */
MF_ANY const struct mf_query_hit *rig_hit(const struct ask *a, uint64_t seq);
MF_ANY void rig_check_slice(struct mf_slice s, const char *want);

#endif
