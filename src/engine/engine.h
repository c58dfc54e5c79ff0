/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine: owns all modules and wires them: messages in, memories out, ordered start and
 * stop. Knows no HTTP and no JSON but what it is told to keep.
 *
 * Every verb takes a call struct of the caller, which starts with struct mf_call. On 0
 * `done` comes exactly once, later, never before the verb returned. On a negative code
 * nothing happened, and call.err and call.field say why. Results are views that live in
 * call.arena or, where said, until `done` returned.
 *
 * Every verb asks for a scope (scope.h): what is not the scope's is not found.
 *
 * Owns:    journal, buffers, store, embedding lane, flush, library, directory
 * Thread:  loop
 * Limits:  the configuration's; a full bound is MF_EBUSY (503), MF_ENOSPC (507)
 * Fails:   MF_ENOTFOUND, MF_EEXIST, MF_ECONFLICT, MF_EINVAL, MF_EUNPROCESSABLE,
 * MF_EBUSY, MF_ENOSPC, MF_EUNAVAILABLE, MF_ETIMEOUT, MF_ECLOSED, MF_ENOMEM, MF_EFATAL
 */
#ifndef MF_ENGINE_ENGINE_H
#define MF_ENGINE_ENGINE_H

#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"
#include "embed/model.h"
#include "engine/scope.h"
#include "item/item.h"
#include "loop/loop.h"
#include "query/query.h"
#include "store/store.h"

struct mf_engine;
struct mf_service;

struct mf_engine_events {
    /* The process must end (exit code of its own) and start anew: the journal failed.
     */
    void (*fatal)(const struct mf_err *err, void *arg);
    /* The recorded answer of an add with an Idempotency-Key that a restart found in the
     * journal: written into `out`. */
    void (*format_add)(const struct mf_item *it, struct mf_buf *out, void *arg);
    void *arg;
};

/* Opens everything, replays the journal; before the loop runs. `model` NULL: the one
 * the configuration names; else borrowed. The configuration is borrowed until closed.
 */
MF_MUST MF_ANY int mf_engine_open(struct mf_engine **out, struct mf_loop *l,
                                  const struct mf_conf *conf, struct mf_model *model,
                                  const struct mf_engine_events *events,
                                  struct mf_err *err);

typedef void (*mf_engine_closed_fn)(void *arg);
/* Refuses what would change something (MF_ECLOSED), and all else once the drain is
 * over; flushes what can be flushed within drain.timeout, leaves the rest in the
 * journal, closes all, calls `closed`; the engine is gone. */
MF_LOOP void mf_engine_close(struct mf_engine *e, mf_engine_closed_fn closed,
                             void *arg);

struct mf_call {
    const struct mf_scope *scope; /* stays until done */
    struct mf_arena *arena;       /* results; stays until done returned */
    void (*done)(struct mf_call *c, int rc);
    struct mf_err err;
    const char *field; /* of the input that is to blame; NULL: general */
    /* the engine's own */
    struct mf_engine *engine;
    struct mf_link link;
    int rc;
    void *state;
};

/* ---- messages ---- */

struct mf_add_call {
    struct mf_call call;
    struct mf_slice session_id;
    /* id may be empty (then one is made); created_us 0: now. Known ids with the same
     * content are answered as if added now, other content is MF_ECONFLICT. */
    const struct mf_msg *msgs;
    uint32_t n_msgs;
    /* Of a ticket that may proceed; empty: none. Ids are then made of both (keyids.h):
     * a message of the same key and body that is there is answered as if added now. */
    struct mf_slice idem_key;
    uint8_t idem_hash[32];
    /* out */
    const struct mf_slice *ids; /* of all messages, in order */
    bool transfer_triggered;
    size_t total_messages; /* of the user's write buffer */
    bool is_bypass;        /* buffer.enabled is false */
};

MF_MUST MF_LOOP int mf_engine_add(struct mf_engine *e, struct mf_add_call *c);

enum mf_list_part { MF_LIST_ALL, MF_LIST_WRITE_BUFFER, MF_LIST_BUT_WRITE_BUFFER };

struct mf_listed {
    struct mf_slice id, session_id, user_id, content, metadata;
    enum mf_msg_role role;
    int64_t created_us, updated_us;
    uint64_t seq;
    const char *source; /* "write_buffer", "hybrid_buffer", "store" */
};

struct mf_messages_call {
    struct mf_call call;
    struct mf_slice session_id;
    const struct mf_slice *ids; /* read, update, delete */
    size_t n_ids;
    const struct mf_msg *news; /* update: positional, n_ids of them: role, content,
                                  metadata (empty: kept) */
    size_t limit;              /* list */
    enum mf_sort sort;
    bool is_descending;
    enum mf_list_part part;
    /* out */
    struct mf_listed *rows; /* list: in order; read: in the order of ids */
    size_t n_rows;
    const struct mf_slice *missing; /* MF_ENOTFOUND with n_missing > 0: these ids */
    size_t n_missing;
};

MF_MUST MF_LOOP int mf_engine_list(struct mf_engine *e, struct mf_messages_call *c);
MF_MUST MF_LOOP int mf_engine_read(struct mf_engine *e, struct mf_messages_call *c);
/* All or none. Whatever of the rounds is not stored yet is stored first; MF_ETIMEOUT
 * when that does not happen in time: nothing changed. */
MF_MUST MF_LOOP int mf_engine_update(struct mf_engine *e, struct mf_messages_call *c);
MF_MUST MF_LOOP int mf_engine_delete(struct mf_engine *e, struct mf_messages_call *c);

/* ---- recall ---- */

struct mf_found {
    struct mf_query_hit hit;
    struct mf_slice session_name, agent_id; /* empty: knowledge, or the session went */
    bool in_session;                        /* of the session asked from */
};

struct mf_ask_call {
    struct mf_call call;
    struct mf_slice user_id, text;
    struct mf_slice session_id, agent_id; /* empty: none */
    int64_t top_k;                        /* <= 0: nothing; cut to recall.max_top_k */
    double min_similarity;
    bool no_messages, no_knowledge, no_vector_leg, no_keyword_leg;
    /* out */
    struct mf_found *found;
    size_t n_found;
    bool is_partial, no_vector;
    bool no_sessions; /* nothing was found, and there is no session to find it in */
};

MF_MUST MF_LOOP int mf_engine_ask(struct mf_engine *e, struct mf_ask_call *c);
MF_LOOP const struct mf_model_info *mf_engine_model(const struct mf_engine *e);

/* What computes the model's products beside the CPU (embed.device). */
struct mf_engine_device {
    bool is_there; /* false: the CPU computes, and `why` may say why */
    char backend[16], name[48];
    const char *state;     /* "ready", "degraded", "probing", "lost", "closed" */
    bool simulated;        /* no hardware */
    bool is_verified;      /* its numbers were right at open */
    int64_t min_rows;      /* batches of fewer stay here; -1: all of them */
    double cpu_us, npu_us; /* of a batch of measured_rows; npu_us 0: not measured */
    uint32_t measured_rows;
    double cosine, max_abs_err; /* of the last look at its numbers */
    double agreement;           /* of its vectors with the CPU's */
    uint64_t jobs_ok, jobs_failed, n_offloaded, n_on_cpu, n_checks, n_reopens;
    char why[MF_ERR_MAX]; /* the last failure; "": none. No path, no secret in it */
};

MF_LOOP void mf_engine_device(const struct mf_engine *e, struct mf_engine_device *out);
/* Embedding for others; NULL once the engine closes its rooms. */
MF_LOOP struct mf_service *mf_engine_service(struct mf_engine *e);

/* ---- users, agents, sessions, knowledge, keys ---- */

/*
 * get: in.id (knowledge, key: in.user_id too), or ids/n_ids: those found. find: in.name
 * (session: in.user_id when given; key: in.key_hash). list: filter in.user_id,
 * in.agent_id (must exist). create: ins/n_ins, ids and times made here when empty; a
 * session without a name gets one; two requests that create the same name at the same
 * moment get the same row. update: set_name/set_text with in.id and in.name/in.text;
 * knowledge: ids and ins, positional, those that exist. delete: in.id, or ids: those
 * that exist; cascades through store, buffers and shelves.
 */
struct mf_entity_call {
    struct mf_call call;
    enum mf_entity_kind kind;
    struct mf_entity in;
    const struct mf_slice *ids;
    size_t n_ids;
    const struct mf_entity *ins;
    size_t n_ins;
    bool set_name, set_text;
    struct mf_slice idem_key; /* create: of a ticket that may proceed */
    uint8_t idem_hash[32];
    /* create with idem_key: the answer to record, made from the rows as they will be
     * stored; returns the HTTP status. */
    int (*format)(struct mf_entity_call *c, const struct mf_entity *rows, size_t n,
                  struct mf_buf *out);
    /* out */
    struct mf_entity *rows;
    size_t n_rows;
};

MF_MUST MF_LOOP int mf_engine_entity_get(struct mf_engine *e, struct mf_entity_call *c);
MF_MUST MF_LOOP int mf_engine_entity_find(struct mf_engine *e,
                                          struct mf_entity_call *c);
MF_MUST MF_LOOP int mf_engine_entity_list(struct mf_engine *e,
                                          struct mf_entity_call *c);
MF_MUST MF_LOOP int mf_engine_entity_create(struct mf_engine *e,
                                            struct mf_entity_call *c);
MF_MUST MF_LOOP int mf_engine_entity_update(struct mf_engine *e,
                                            struct mf_entity_call *c);
MF_MUST MF_LOOP int mf_engine_entity_delete(struct mf_engine *e,
                                            struct mf_entity_call *c);

/* ---- Idempotency-Key ---- */

enum mf_idem_outcome {
    MF_IDEM_PROCEED,  /* do it, then mf_engine_idem_end, always */
    MF_IDEM_REPLAY,   /* status and response: send them again */
    MF_IDEM_MISMATCH, /* the key was used for another body: 422 */
    MF_IDEM_FAILED    /* the store could not be asked: err */
};

struct mf_idem_ticket {
    struct mf_slice key; /* scoped by the caller: who, route, the client's key */
    uint8_t body_hash[32];
    struct mf_arena *arena;
    void (*done)(struct mf_idem_ticket *t, enum mf_idem_outcome outcome);
    /* It makes rows of the key's own ids and does not need the store: it may proceed
     * while the store is away and cannot tell whether the key was used. */
    bool may_go_unasked;
    /* out */
    int status;
    struct mf_slice response;
    struct mf_err err;
    /* the engine's own */
    struct mf_link link;
    void *state;
};

/* Requests with the same key that come meanwhile wait for the first one's end. `done`
 * may come before this returns (an answer in memory): touch nothing afterwards. */
MF_MUST MF_LOOP int mf_engine_idem_begin(struct mf_engine *e, struct mf_idem_ticket *t);
/* The answer as sent; it is kept when status < 300, else the key is free again. */
MF_LOOP void mf_engine_idem_end(struct mf_engine *e, struct mf_idem_ticket *t,
                                int status, struct mf_slice response);

/* ---- operations ---- */

struct mf_engine_figures {
    size_t n_write, n_hybrid, n_queued, n_flying, n_parked; /* rounds */
    size_t n_messages, bytes, max_bytes; /* acknowledged, not stored */
    size_t flush_jobs, embed_backlog;
    uint64_t journal_bytes;
    size_t n_shelves, shelf_bytes;
    size_t n_waiting; /* rounds that the store does not have; dead letters aside */
    bool journal_full, store_up, embed_up, is_draining;
    const char *store;
    int64_t store_down_us;      /* since when it is not up; else 0 */
    char store_why[MF_ERR_MAX]; /* why it is not; no secret in it */
};

MF_LOOP void mf_engine_figures(const struct mf_engine *e,
                               struct mf_engine_figures *out);
/* Tries the rounds that the store refused (dead letters) once more, after what was
 * wrong with it was mended. Finished calls leave their number in *n_requeued. MF_EBUSY
 * while somebody waits for a flush. */
MF_MUST MF_LOOP int mf_engine_requeue(struct mf_engine *e, struct mf_call *c,
                                      size_t *n_requeued);
/* Everything in the buffers into the store; done when what was there at the call is. */
MF_MUST MF_LOOP int mf_engine_flush(struct mf_engine *e, struct mf_call *c);

#endif
