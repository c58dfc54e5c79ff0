/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: the table of store verbs. SQLite or Postgres behind it, chosen in one place.
 *
 * Every verb is a request struct of the caller: fill it, submit it, get `done` once on
 * the loop. Results live in the request's arena until mf_store_req_fini. All requests
 * are idempotent, so that one whose outcome is unknown may be sent again.
 *
 * Owns:    connections and what runs on them; a request from submit to done
 * Thread:  loop
 * Limits:  max_waiting requests: MF_EBUSY from submit
 * Fails:   done's rc: MF_ENOTFOUND, MF_EEXIST (names taken), MF_ECONFLICT (the
 * session's user or agent is gone), MF_EPOISON (this row, for ever), MF_EUNAVAILABLE
 * (later perhaps), MF_ENOSPC, MF_ETIMEOUT, MF_EDB; the sentence is in req.err
 */
#ifndef MF_STORE_STORE_H
#define MF_STORE_STORE_H

#include "base/base.h"
#include "base/err.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "item/item.h"
#include "loop/lane.h"
#include "loop/loop.h"

struct mf_store;

enum mf_store_op {
    MF_STORE_WRITE_ROUNDS,    /* struct mf_store_write */
    MF_STORE_GET_MESSAGES,    /* struct mf_store_messages: by ids or by seqs */
    MF_STORE_LIST_MESSAGES,   /* struct mf_store_messages: of a session */
    MF_STORE_UPDATE_MESSAGES, /* struct mf_store_write */
    MF_STORE_DELETE_MESSAGES, /* struct mf_store_messages: ids; rows: what was deleted
                               */
    MF_STORE_PENDING_VECTORS, /* struct mf_store_messages: rows without a vector */
    MF_STORE_SET_SEARCH,      /* struct mf_store_write: search and passages only */
    MF_STORE_MARK_FOREIGN,    /* struct mf_store_walk */
    MF_STORE_LOAD_SEARCH,     /* struct mf_store_search */
    MF_STORE_GET,             /* struct mf_store_entity: by id */
    MF_STORE_FIND, /* by name (session: and user_id when given) or key hash */
    MF_STORE_LIST, /* by filter */
    MF_STORE_CREATE,
    MF_STORE_UPDATE,
    MF_STORE_DELETE,     /* cascades */
    MF_STORE_IDEM_GET,   /* struct mf_store_idem_req */
    MF_STORE_IDEM_PURGE, /* answers older than before_us */
    MF_STORE_LOAD_ROUNDS /* struct mf_store_write, without answers */
};

struct mf_store_req {
    enum mf_store_op op;
    void (*done)(struct mf_store_req *req, int rc);
    enum mf_urgency urgency;
    struct mf_err err;
    struct mf_arena arena; /* results; filled by the worker */
    /* the store's own */
    struct mf_job job;
    struct mf_store *store;
    unsigned attempts;
    int rc;
};

/* A recorded answer: sent again for the same key and body. */
struct mf_store_idem {
    struct mf_slice key; /* scoped: who, route, the client's key */
    uint8_t body_hash[32];
    int status;
    struct mf_slice response;
    int64_t created_us;
};

struct mf_store_row {
    uint64_t seq;
    struct mf_slice user_id, session_id, round_id;
    struct mf_msg msg;
    struct mf_slice search;   /* searchrec; empty only while unknown */
    struct mf_slice passages; /* empty: none */
    bool is_pending;          /* stored without a vector, to be embedded later */
};

/*
 * WRITE_ROUNDS: inserts all rows and answers in one transaction; rows whose (user_id,
 * id) is there stay as they are. UPDATE_MESSAGES: content, role, metadata, search,
 * passages, is_pending, updated_us of existing rows of (user_id, session_id, id), all
 * or none: MF_ENOTFOUND. SET_SEARCH: search, passages, is_pending of rows whose
 * updated_us still equals msg.updated_us; knowledge rows when session_id is empty.
 * LOAD_ROUNDS: as WRITE_ROUNDS, for many rows that are likely to be new, by the way
 * that is fastest for those (Postgres: COPY). A store that cannot then pass over a row
 * that is there answers MF_EEXIST and has written nothing: send them as WRITE_ROUNDS.
 */
struct mf_store_write {
    struct mf_store_req req;
    const struct mf_store_row *rows;
    size_t n_rows;
    const struct mf_store_idem *idems;
    size_t n_idems;
    size_t n_changed; /* out: rows inserted or changed */
    /* out: WRITE_ROUNDS ended with MF_EUNAVAILABLE for a part of the store alone, a
     * node of a cluster; rows of other parts may be written. Asked again with room for
     * n_rows in `parts` it writes nothing and tells to which part each row belongs. */
    bool is_part_away;
    uint32_t *parts;
};

enum mf_sort { MF_SORT_TIMESTAMP, MF_SORT_ID };

struct mf_store_messages {
    struct mf_store_req req;
    struct mf_slice user_id;
    struct mf_slice session_id; /* GET, DELETE: empty for any; DELETE: must match */
    const struct mf_slice *ids;
    const uint64_t *seqs; /* GET: instead of ids; messages and knowledge alike */
    size_t n;
    size_t limit;      /* LIST, PENDING_VECTORS; 0: all */
    enum mf_sort sort; /* TIMESTAMP: created_us, then seq */
    bool is_descending;
    uint64_t after_seq; /* PENDING_VECTORS: rows with a greater seq, ascending; of all
                           users when user_id is empty; knowledge too */
    /* out */
    struct mf_store_row *rows; /* GET: those found, in any order. knowledge: session_id
                                  empty */
    size_t n_rows;
};

/*
 * MARK_FOREIGN: one step of a walk over all messages, then all knowledge, in the order
 * of their keys: rows whose search record is_foreign become pending (the record stays,
 * and is found by its words). The step that comes to the end writes `space` down as the
 * one of all rows that are not pending. A walk that was cut off begins anew.
 */
struct mf_store_walk {
    struct mf_store_req req;
    struct mf_slice user_id; /* after this row; empty and 0: from the beginning */
    uint64_t seq;
    bool in_knowledge;
    size_t max_rows; /* looked at; > 0 */
    uint32_t space;
    bool (*is_foreign)(const struct mf_store_walk *w,
                       struct mf_slice search); /* worker */
    /* out */
    size_t n_marked;
    bool is_at_end;
    struct mf_slice next_user_id; /* where the next step goes on */
    uint64_t next_seq;
    bool next_in_knowledge;
};

/*
 * Marks of a shared store. A user's first one is made of the clock, in milliseconds,
 * above MF_STORE_MARK_BITS; each transaction of the user adds one. A user who is
 * deleted and made again with the same id so begins above the marks of the one before,
 * and it is seen that all of what was read of that one is gone. (Nobody commits a
 * million times in one millisecond; after a million times in a life the user is taken
 * for a new one, which costs a load.)
 */
#define MF_STORE_MARK_BITS 20

static inline bool mf_store_marks_are_akin(uint64_t older, uint64_t newer)
{
    return newer >= older && newer >> MF_STORE_MARK_BITS == older >> MF_STORE_MARK_BITS;
}

/* One piece of a user's search records, ascending seq: messages and knowledge. */
struct mf_store_search_row {
    uint64_t seq;
    struct mf_slice session_id, agent_id; /* empty for knowledge */
    struct mf_slice search;
};

struct mf_store_search {
    struct mf_store_req req;
    struct mf_slice user_id;
    uint64_t after_seq;
    /* Of a shared store: only rows that were written or changed since that mark; 0:
     * all. They ascend by seq too; one may have been given before. */
    uint64_t after_mark;
    size_t max_rows; /* 0: all */
    /* Worker, instead of rows: called for pieces as they are read; what it is given
     * lives until it returns. Positive ends the load, negative fails it with that. */
    int (*feed)(struct mf_store_search *req, const struct mf_store_search_row *rows,
                size_t n);
    void *feed_arg;
    struct mf_store_search_row *rows; /* out, when feed is NULL */
    size_t n_rows;                    /* out: in rows, or fed */
    bool has_more;                    /* out */
    uint64_t mark; /* out, of a shared store: nothing up to it is missing. Marks that
                      are not mf_store_marks_are_akin: of a user made anew */
};

enum mf_entity_kind {
    MF_ENTITY_USER,
    MF_ENTITY_AGENT,
    MF_ENTITY_SESSION,
    MF_ENTITY_KNOWLEDGE,
    MF_ENTITY_API_KEY
};

#define MF_ENTITY_KIND_COUNT 5

struct mf_entity {
    struct mf_slice id, user_id, agent_id; /* user_id: session, knowledge, key */
    struct mf_slice name;     /* user, agent: unique; session: unique per user; key */
    struct mf_slice text;     /* user, agent: description; knowledge: content; key:
                                 permissions (JSON) */
    bool has_text;            /* false: null */
    struct mf_slice key_hash; /* key: SHA-256, 32 bytes */
    int64_t created_us, updated_us;
    int64_t expires_us;     /* key; 0: never */
    uint64_t seq;           /* knowledge */
    struct mf_slice search; /* knowledge */
    bool is_pending;        /* knowledge: without a vector */
};

/*
 * GET: by in.id (knowledge, key: and in.user_id; session: where given), many by ids/n:
 * those found. FIND: in.name (session: and in.user_id; else the oldest of that name),
 * key: in.key_hash. LIST: oldest first; sessions by in.user_id and in.agent_id where
 * given, knowledge and keys by in.user_id. CREATE: `ins`/n_ins in one transaction, with
 * `idem` when it has a key; the session's user and agent and the user of knowledge and
 * keys must exist: MF_ECONFLICT; the same id with the same fields once more is no
 * error. UPDATE: set_name, set_text say which fields of `in`, and in.updated_us;
 * knowledge: ins/n_ins, those found. DELETE: in.id (MF_ENOTFOUND) or ids (those found);
 * user: its sessions, messages, knowledge, keys; agent: its sessions with their
 * messages; session: its messages.
 */
struct mf_store_entity {
    struct mf_store_req req;
    enum mf_entity_kind kind;
    struct mf_entity in;
    const struct mf_slice *ids;
    size_t n;
    const struct mf_entity *ins;
    size_t n_ins;
    size_t limit;                     /* LIST; 0: all */
    bool set_name, set_text;          /* UPDATE */
    const struct mf_store_idem *idem; /* NULL: none */
    /* out */
    struct mf_entity *rows; /* what was found, created, updated or deleted */
    size_t n_rows;
    struct mf_entity *sessions; /* DELETE: the sessions that went too (id, user_id) */
    size_t n_sessions;
};

struct mf_store_idem_req {
    struct mf_store_req req;
    struct mf_slice key;
    int64_t before_us;          /* PURGE */
    struct mf_store_idem found; /* GET */
    size_t n_purged;
};

struct mf_store_info {
    const char *backend; /* "sqlite" */
    uint64_t next_seq;   /* one more than the greatest seq stored */
    uint64_t n_messages; /* at open */
    uint64_t n_pending;  /* rows without a vector, at open */
    uint32_t space; /* vector space of all rows that are not pending; 0: not known */
    /* The store cannot tell next_seq when it is opened (it may be away), or is not ours
     * alone: order numbers are made of the clock and `node`. next_seq, n_messages,
     * n_pending and space are then 0. */
    bool is_remote;
    bool is_shared; /* other processes write to it too: shelves ask for what is new */
    unsigned node;  /* 0..1023, different for each process on one store */
};

struct mf_store_health {
    bool is_up;           /* false: it failed lately and has not answered since */
    char why[MF_ERR_MAX]; /* when it is not; no secret in it */
};

typedef void (*mf_store_closed_fn)(void *arg);

struct mf_store_ops {
    const char *name;
    int (*submit)(struct mf_store *s, struct mf_store_req *req);
    void (*close)(struct mf_store *s, mf_store_closed_fn closed, void *arg);
    void (*health)(const struct mf_store *s, struct mf_store_health *out);
};

struct mf_store { /* first member of every implementation */
    const struct mf_store_ops *ops;
    struct mf_store_info info;
    struct mf_loop *loop;
};

struct mf_store_pg_config {
    const char *dsn, *password_file;
    bool wants_vector; /* write the vector column where pgvector is */
    bool is_citus;     /* distribute the tables by user_id */
    bool is_shared;
    unsigned node; /* 0: drawn from the host's name and data.dir */
    unsigned readers, writers;
    uint64_t connect_timeout_ms, statement_timeout_ms, lock_timeout_ms;
    uint64_t deadline_ms; /* of the server's answer; more than statement_timeout_ms */
    uint64_t idle_ms, age_ms, first_backoff_ms, max_backoff_ms;
};

struct mf_store_config {
    const char *backend; /* store.backend */
    const char *dir;     /* data.dir */
    unsigned readers;    /* store.sqlite.readers: read-only connections */
    size_t max_waiting;
    size_t cache_bytes; /* store.sqlite.cache */
    /* Vector space of what will be written; when the rows are of another one, that is
     * written down at open (info.space 0), before the first new vector. 0: no vector
     * will be written, and what is known of the rows stays. */
    uint32_t space;
    struct mf_store_pg_config pg;
    /* The vector in a search record, as floats; 0: it has none. For the column that
     * people search in SQL. */
    size_t (*vector_of)(struct mf_slice search, float *to, size_t max_dim);
};

/* Opens, migrates forward (a newer schema than ours is refused). Before the loop runs.
 * A remote store connects and migrates once the loop runs, and again whenever it was
 * away: only its configuration can fail here. */
MF_MUST MF_ANY int mf_store_open(struct mf_store **out, struct mf_loop *l,
                                 const struct mf_store_config *cfg, struct mf_err *err);
/* Submits; on an error nothing happened. The caller zeroed the struct and filled op,
 * done, urgency and its own fields; this initialises err, arena and the rest. */
MF_MUST MF_LOOP int mf_store_submit(struct mf_store *s, struct mf_store_req *req);
MF_ANY void mf_store_req_fini(struct mf_store_req *req); /* after done; frees results */
/* Requests in line are canceled, running ones waited for. */
MF_LOOP void mf_store_close(struct mf_store *s, mf_store_closed_fn closed, void *arg);

MF_LOOP void mf_store_health(const struct mf_store *s, struct mf_store_health *out);

/* The backends; each in its own files. */
MF_MUST MF_ANY int mf_store_sqlite_open(struct mf_store **out, struct mf_loop *l,
                                        const struct mf_store_config *cfg,
                                        struct mf_err *err);
MF_MUST MF_ANY int mf_store_pg_open(struct mf_store **out, struct mf_loop *l,
                                    const struct mf_store_config *cfg,
                                    struct mf_err *err);

#endif
