/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_kit: a whole engine for one case: real journal and store in a fresh folder, a
 * fake model, one user with an agent and a session. The verbs wait for their answers.
 *
 * Owns:    loop, engine, model and folder between kit_open and kit_close
 * Thread:  the case's, which becomes the loop thread
 * Limits:  a wait ends after a minute: the case fails
 * Fails:   through cmocka's assertions
 */
#ifndef MF_ENGINE_KIT_H
#define MF_ENGINE_KIT_H

#include "engine/engine.h"
#include "lib/fake_model.h"
#include "lib/loop_fixture.h"
#include "lib/mf_test.h"

#include <sqlite3.h>

#define KIT_MAX_IDS 64
#define KIT_TEXT    256

struct kit_id {
    char s[40];
};

struct kit {
    struct mf_loop *loop;
    struct mf_conf conf;
    struct mf_fake_model *model;
    struct mf_engine *e;
    struct mf_scope scope;
    char dir[256];
    struct kit_id user, agent, session;
    bool is_closed;
    unsigned n_fatal;
};

/* `settings`: "section.key=value", ended by NULL; may be NULL. */
MF_ANY void kit_open(struct kit *k, const struct mf_fake_config *model,
                     const char *const *settings) MF_ASSERTS_LOOP;
MF_LOOP void kit_close(struct kit *k);
/* Closes the engine only, with its drain; kit_reopen makes a new one on what it left.
 */
MF_LOOP void kit_stop(struct kit *k);
MF_LOOP void kit_reopen(struct kit *k);
MF_ANY void kit_on_closed(void *kit); /* for mf_engine_close */
/* The folder as a power cut would leave it at this moment, and an engine on it. */
MF_LOOP void kit_cut_power(struct kit *k);

/* ---- adds ---- */

struct kit_add {
    struct mf_add_call c;
    struct mf_arena arena;
    struct mf_msg msgs[4];
    struct kit_id ids[4]; /* of the answer */
    char text[4][KIT_TEXT];
    bool is_done;
    int rc;
};

/* The two halves of kit_add_begin: what is added may be changed between them. */
MF_LOOP void kit_fill_add(struct kit *k, struct kit_add *a, const char *text);
MF_LOOP void kit_submit_add(struct kit *k, struct kit_add *a);
/* Adds a round of one message; kit_add_end waits for its answer. */
MF_LOOP void kit_add_begin(struct kit *k, struct kit_add *a, const char *text);
MF_LOOP int kit_add_end(struct kit *k, struct kit_add *a); /* fini included */
/* Both; the id goes to `id` when it is not NULL. Asserts success. */
MF_LOOP void kit_add(struct kit *k, const char *text, struct kit_id *id);
MF_LOOP int kit_try_add(struct kit *k, const char *text, const char *id);

/* ---- what is there ---- */

struct kit_rows {
    struct {
        struct kit_id id;
        char text[KIT_TEXT];
        bool is_stored;
    } row[KIT_MAX_IDS];

    size_t n;
};

MF_LOOP void kit_list(struct kit *k, struct kit_rows *out); /* oldest first */
/* How often a question finds the id. */
MF_LOOP size_t kit_n_found(struct kit *k, const char *text, const struct kit_id *id);

struct kit_answer {
    struct kit_rows rows;
    double similarity[KIT_MAX_IDS];
    bool has_vector[KIT_MAX_IDS];
    bool no_vector, is_partial;
};

MF_LOOP void kit_ask(struct kit *k, const char *text, struct kit_answer *out);
MF_LOOP int kit_update(struct kit *k, const struct kit_id *id, const char *text);
MF_LOOP int kit_delete(struct kit *k, const struct kit_id *id);
MF_LOOP void kit_flush(struct kit *k);
MF_LOOP size_t kit_requeue(struct kit *k); /* dead letters */

/* ---- waiting and looking from outside ---- */

typedef bool (*kit_cond_fn)(struct kit *k, void *arg);
MF_LOOP void kit_wait(struct kit *k, kit_cond_fn cond, void *arg);
/* Runs some turns: time for what must not happen. */
MF_LOOP void kit_linger(struct kit *k, unsigned ms);
/* A second connection to the store's file. */
MF_ANY sqlite3 *kit_store_file(struct kit *k);
MF_ANY void kit_sql(sqlite3 *db, const char *sql);
/* The one number that the statement gives. */
MF_ANY long kit_number(struct kit *k, const char *sql);

#endif
