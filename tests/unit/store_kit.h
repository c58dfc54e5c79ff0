/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_kit: a store in the case's own folder (or schema), one request at a time, and
 * rows and entities in few words.
 *
 * Owns:    loop and store between open and close
 * Thread:  the case's, which becomes the loop thread
 * Limits:  one kit a case
 * Fails:   through cmocka's assertions
 */
#ifndef MF_STORE_KIT_H
#define MF_STORE_KIT_H

#include "lib/loop_fixture.h"
#include "lib/mf_test.h"
#include "store/store.h"

struct store_kit {
    struct mf_loop *loop;
    struct mf_store *store;
    const char *dir;
    size_t max_waiting; /* 0: 100 */
    uint32_t space;
    bool is_shared; /* Postgres: others write to it, whatever MF_TEST_PG_SHARED says */
    char dsn[512];  /* of the case's own schema */
};

/* Whether the program runs beside a Postgres (MF_TEST_DSN): each case then has a schema
 * of its own there, and SQL goes to that. */
MF_ANY bool kit_is_postgres(void);

/* Opens loop and store; the case then holds the loop's role. */
MF_ANY void kit_open(struct store_kit *k) MF_ASSERTS_LOOP;
MF_LOOP void kit_close(struct store_kit *k);
/* The store alone. */
MF_LOOP int kit_open_store(struct store_kit *k, struct mf_err *err);
MF_LOOP void kit_close_store(struct store_kit *k);
/* Submits, waits for `done`, and gives its rc. */
MF_LOOP int kit_run(struct store_kit *k, struct mf_store_req *req);

MF_ANY struct mf_slice kit_s(const char *s);
MF_ANY bool kit_is(struct mf_slice a, const char *s);
/* seq is also the time of creation and of update. */
MF_ANY struct mf_store_row kit_row(const char *user, const char *session,
                                   const char *id, uint64_t seq);
/* By a verb that takes rows; `n_changed` and `err` may be NULL. */
MF_LOOP int kit_write_as(struct store_kit *k, enum mf_store_op op,
                         const struct mf_store_row *rows, size_t n, size_t *n_changed,
                         struct mf_err *err);
MF_LOOP int kit_write(struct store_kit *k, const struct mf_store_row *rows, size_t n,
                      size_t *n_changed);
/* Creates; NULL for what the kind has not. */
MF_LOOP int kit_create(struct store_kit *k, enum mf_entity_kind kind,
                       const struct mf_entity *in);
/* User u1 and u2, agent a1 and a2, session s1 (u1, a1), s2 (u1, a2), s3 (u2, a1). */
MF_LOOP void kit_people(struct store_kit *k);
MF_ANY struct mf_entity kit_knowledge(const char *user, const char *id, uint64_t seq);
/* How many rows `sql` counts, by a connection of its own. Postgres, too, knows blob as
 * a type's name in it. */
MF_ANY int64_t kit_count(const struct store_kit *k, const char *sql);
/* Runs `sql` on the file (or schema), which need not be a store. */
MF_ANY void kit_exec(const struct store_kit *k, const char *sql);
/* What the store itself counts (Postgres has no such count: the rows). */
MF_ANY int64_t kit_n_messages(const struct store_kit *k);
/* The vector space that is written down. */
MF_ANY int64_t kit_space(const struct store_kit *k);

#endif
