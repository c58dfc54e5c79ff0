/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_kit: buffers, a real store behind a gate, and a library, for the tests of
 * query. The gate holds back or fails what the library and the queries ask the store,
 * before the store read or after; what the kit itself asks passes.
 *
 * Rounds have one message. Its order number counts from 1, its id is "m<seq>".
 *
 * Owns:    all of it, between open and close
 * Thread:  loop
 */
#ifndef MF_QUERY_KIT_H
#define MF_QUERY_KIT_H

#include "lib/mf_test.h"
#include "query/library_priv.h"
#include "query/query.h"

#include <string.h>

#define KIT_HITS     512
#define KIT_DIM_MAX  4096  /* no model here is larger */
#define KIT_SEQS     4096  /* that a shared store has marks for */
#define KIT_PATIENCE 20000 /* ms before a case that hangs fails */

enum kit_gate { KIT_OPEN, KIT_HOLD_BEFORE, KIT_HOLD_AFTER };

struct kit_gated {
    struct mf_store_req *req;
    void (*done)(struct mf_store_req *req, int rc);
    int rc;
    bool is_read; /* the store has answered */
    size_t max_rows;
};

struct kit {
    struct mf_loop *loop;
    struct mf_store gate; /* what the library sees */
    struct mf_store *store;
    enum kit_gate how;
    int fail_submit, fail_done; /* codes */
    bool is_mine;               /* the kit's own request passes */
    struct kit_gated gated[256];
    size_t n_gated;
    unsigned n_asked; /* gated requests so far */
    struct mf_buffers *buffers;
    struct mf_model *model;
    struct mf_library *lib;
    struct mf_library_config cfg;
    struct mf_terms *terms;
    uint64_t next_seq;
    struct mf_list queued, flying;
    bool is_closed;
    /* As a shared store: the mark of the last write, and each row's. */
    uint64_t mark, marks[KIT_SEQS];
};

struct kit_scan {
    struct mf_library_scan s;
    struct mf_question question;
    struct kit *k;
    float *vector;
    struct mf_scan_hit hits[KIT_HITS];
    unsigned n_done;
    bool is_done;
    int rc;
};

MF_ANY void kit_open(struct kit *k) MF_ASSERTS_LOOP;
MF_LOOP void kit_open_library(struct kit *k);
MF_LOOP void kit_close_library(struct kit *k); /* with the gate open */
MF_LOOP void kit_close(struct kit *k);

/* Users "u1", "u2", .. have sessions "<user>-s1" (agent "a1") and "<user>-s2" ("a2").
 */
MF_LOOP void kit_add_user(struct kit *k, const char *user);
MF_LOOP uint64_t kit_add(struct kit *k, const char *user, int session,
                         const char *text);
MF_LOOP uint64_t kit_add_knowledge(struct kit *k, const char *user, const char *text);
MF_LOOP struct mf_entry_msg *kit_msg(struct kit *k, const char *user, uint64_t seq);
/* Makes the record, with a vector or without; tells the library. */
MF_LOOP void kit_index(struct kit *k, const char *user, uint64_t seq, bool has_vector);
MF_LOOP void kit_move(struct kit *k, const char *user, uint64_t seq, enum mf_place to);
/* From wherever it is: commits the row (and makes a keyword record where none is). */
MF_LOOP void kit_commit(struct kit *k, const char *user, uint64_t seq);
/* What the flush does when the store confirmed. */
MF_LOOP void kit_confirm(struct kit *k, const char *user, uint64_t seq);
MF_LOOP void kit_store(struct kit *k, const char *user, uint64_t seq);  /* both */
MF_LOOP void kit_delete(struct kit *k, const char *user, uint64_t seq); /* and tells */
MF_LOOP void kit_delete_session(struct kit *k, const char *user, int session);
/* The kit's own request, to its end. */
MF_LOOP int kit_ask(struct kit *k, struct mf_store_req *req);

/* ---- a shared store: what another process does to it ---- */

MF_LOOP void kit_share(struct kit *k);
/* Opens one in which u1 has a stored zebra (seq 1), and the shelf that has it. */
MF_ANY void kit_open_shared(struct kit *k) MF_ASSERTS_LOOP;
MF_LOOP uint64_t kit_other_add(struct kit *k, const char *user, int session,
                               const char *text);
MF_LOOP void kit_other_add_many(struct kit *k, const char *user, size_t n,
                                const char *text); /* in one commit */
/* What a client sent us (it is in the buffers) and then to the other one, too. */
MF_LOOP uint64_t kit_other_retry(struct kit *k, const char *user, uint64_t seq);
/* Of a message or of knowledge. */
MF_LOOP void kit_other_change(struct kit *k, const char *user, uint64_t seq,
                              const char *text);
MF_LOOP void kit_other_delete(struct kit *k, const char *user, uint64_t seq);
/* The kit's own: a row was written; a load goes to the store, and comes back. */
MF_ANY void kit_wrote(struct kit *k, uint64_t seq);
MF_ANY void kit_search_out(struct kit *k, struct kit_gated *g);
MF_ANY void kit_search_back(struct kit *k, const struct kit_gated *g);
MF_ANY void kit_build(struct kit *k, struct mf_buf *out, const struct mf_msg *msg,
                      bool is_knowledge, bool has_vector);

MF_LOOP void kit_gate(struct kit *k, enum kit_gate how); /* OPEN lets all go on */
MF_LOOP void kit_let_one(struct kit *k); /* the first that the store has answered */
/* Turns until `n` requests stand at the gate. */
MF_LOOP void kit_wait_gated(struct kit *k, size_t n);
MF_LOOP void kit_turns(struct kit *k, unsigned n);

/* Prepares a scan, which may be changed before it is submitted. */
MF_LOOP void kit_question(struct kit *k, struct kit_scan *q, const char *user,
                          const char *text);
MF_LOOP int kit_submit(struct kit_scan *q);
MF_LOOP void kit_wait(struct kit_scan *q); /* and checks that it succeeded */
MF_ANY void kit_forget(struct kit_scan *q);
MF_LOOP void kit_scan(struct kit *k, struct kit_scan *q, const char *user,
                      const char *text); /* all of these but forget */
/* A scan for u1's zebras whose read stands at the gate, before the store or after it;
 * and the gate is opened, and the scan ends. */
MF_LOOP void kit_hold_read(struct kit *k, struct kit_scan *q, enum kit_gate how);
MF_LOOP void kit_let_read(struct kit *k, struct kit_scan *q);
/* The same with one that no worker takes up. */
MF_LOOP void kit_hold_work(struct kit *k, struct kit_scan *q);
MF_LOOP void kit_let_work(struct kit *k, struct kit_scan *q);

/* Such a read that has two messages, of sessions 1 and 2, while more is told. */
struct kit_held {
    struct kit k;
    struct kit_scan q;
    uint64_t first, second;
};

/* The scan ends, and found of the two what it should. */
MF_LOOP void kit_end_held(struct kit_held *h, bool has_first, bool has_second);
/* How often `seq` is among the hits. */
MF_ANY size_t kit_count(const struct kit_scan *q, uint64_t seq);
MF_ANY const struct mf_scan_hit *kit_hit(const struct kit_scan *q, uint64_t seq);
/* A scan of u1 that ranks `seq` exactly once; or not at all. */
MF_LOOP void kit_check_found(struct kit *k, const char *text, uint64_t seq);
MF_LOOP void kit_check_not_found(struct kit *k, const char *text, uint64_t seq);
MF_ANY void kit_check_same(const struct kit_scan *a, const struct kit_scan *b);

#endif
