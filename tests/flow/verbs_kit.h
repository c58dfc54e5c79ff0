/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs_kit: one run of a verb of the engine: begun, ended later, its answer kept.
 *
 * Owns:    struct run: the caller's, from run_init or begin_* to run_end
 * Thread:  loop
 * Limits:  four ids and four messages a run
 * Fails:   through cmocka's assertions
 */
#ifndef MF_TEST_VERBS_KIT_H
#define MF_TEST_VERBS_KIT_H

#include "engine/engine_priv.h"
#include "flow/engine_kit.h"

extern const char *const quick[];
/* Nothing is flushed unless somebody asks for it. */
extern const char *const still[];

struct run {
    union {
        struct mf_call call;
        struct mf_add_call add;
        struct mf_messages_call messages;
        struct mf_ask_call ask;
        struct mf_entity_call entity;
    } c;

    struct mf_arena arena;
    struct mf_slice ids[4];
    struct mf_msg news[4];
    struct mf_entity in;
    struct kit_id made;
    char text[128];
    size_t n_rows;
    unsigned n_done;
    bool is_done;
    int rc;
};

/* What a run is done with, by the kind of its call. */
void on_run_done(struct mf_call *c, int rc);
void on_entity_done(struct mf_call *c, int rc);
void on_ask_done(struct mf_call *c, int rc);

void run_init(struct run *r, const struct mf_scope *scope,
              void (*done)(struct mf_call *c, int rc));
/* A verb that refused is done, too. */
void began(struct run *r, int rc);
MF_LOOP int run_end(struct kit *k, struct run *r);

MF_LOOP void begin_add(struct kit *k, struct run *r, const struct mf_scope *s,
                       const char *id, const char *text);
MF_LOOP void begin_update(struct kit *k, struct run *r, const struct mf_scope *s,
                          const char *id);
MF_LOOP void begin_delete(struct kit *k, struct run *r, const struct mf_scope *s,
                          const char *id);
MF_LOOP void begin_list(struct kit *k, struct run *r, const struct mf_scope *s);
MF_LOOP void begin_read(struct kit *k, struct run *r, const struct mf_scope *s,
                        const char *id);
MF_LOOP void begin_ask(struct kit *k, struct run *r, const struct mf_scope *s,
                       const char *user_id, const char *session_id);
MF_LOOP void begin_entity_delete(struct kit *k, struct run *r, const struct mf_scope *s,
                                 enum mf_entity_kind kind, const char *id);
MF_LOOP void begin_create(struct kit *k, struct run *r, const struct mf_scope *s,
                          enum mf_entity_kind kind, struct mf_entity in);
/* A call about one message, not begun. */
MF_LOOP void fill_messages(struct kit *k, struct run *r, const struct mf_scope *s,
                           const char *id);
/* Begun and ended; its id to *out. */
MF_LOOP void create(struct kit *k, enum mf_entity_kind kind, struct mf_entity in,
                    struct kit_id *out);

long n_stored(struct kit *k);
size_t n_parked(struct kit *k);

#endif
