/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_job: a verb on the Postgres store, and how it runs.
 *
 * A verb is a function that is called again and again on a worker: each time it looks
 * at the results of the round before (none at first) and adds the statements of the
 * next one, until it adds none. A round is one pipeline, one round trip. Around a
 * verb that writes stand BEGIN (in its first round) and, when a step adds nothing,
 * COMMIT; a verb whose statements are all known at once says so with mf_pg_is_last, and
 * everything up to COMMIT goes in that one round trip. A negative return rolls back.
 *
 *     int mf_pg_idem_get(struct mf_pg_job *j)
 *     {
 *         if (j->n_rounds == 0) { add the statement; return 0; }
 *         read mf_pg_result(j, 0);
 *     }
 *
 * Who runs it (pg_run.c): worker step -> loop sends the round -> results are collected
 * on the loop as the server sends them -> worker step. The results belong to the job
 * until its next step returned.
 *
 * Owns:    results and what a verb keeps (arena `kept`), until the end of the job
 * Thread:  verbs: worker, one step at a time; all else loop
 * Limits:  none of its own
 * Fails:   the verb's code; what the server said, translated by pg_code.h
 */
#ifndef MF_STORE_PG_JOB_H
#define MF_STORE_PG_JOB_H

#include "base/base.h"
#include "store/pg_args.h"
#include "store/store.h"

#include <libpq-fe.h>

/* What the store has found out about the database and was told; read-only to verbs. */
struct mf_pg_env {
    struct mf_store_pg_config cfg;
    uint32_t space;      /* mf_store_config.space */
    uint32_t vector_oid; /* the server's number of pgvector's vector[] element type; 0:
                            no column to write */
    uint32_t max_dim;    /* of that column; 16000, pgvector's limit */
    size_t (*vector_of)(struct mf_slice search, float *to, size_t max_dim);
};

struct mf_pg_job {
    struct mf_store_req *req; /* NULL: the store's own (migration) */
    const struct mf_pg_env *env;
    struct mf_err *err;       /* req->err, or the store's own */
    struct mf_pg_round round; /* the next one */
    bool is_last;             /* COMMIT goes along */
    unsigned n_rounds;        /* answered ones */
    PGresult **results;       /* of the last one: a verb's statements only */
    size_t n_results;
    struct mf_arena kept;
    void *state; /* the verb's own, in `kept`; NULL at first */
};

typedef int (*mf_pg_step_fn)(struct mf_pg_job *j); /* worker */
/* Worker: rows of a statement that streams, in order, as they come; each PGresult is
 * one row. Positive: enough, the rest is not wanted; negative: fails the job. */
typedef int (*mf_pg_rows_fn)(struct mf_pg_job *j, PGresult *const *rows, size_t n);

struct mf_pg_verb {
    mf_pg_step_fn step;
    mf_pg_rows_fn rows; /* NULL: it does not stream */
    bool is_write;      /* in a transaction, on a writer's connection */
};

MF_WORKER static inline const PGresult *mf_pg_result(const struct mf_pg_job *j,
                                                     size_t i)
{
    MF_ASSERT(i < j->n_results);
    return j->results[i];
}

/* After the last statement of a verb that writes: no step will look at it before the
 * commit. The step is called once more, after it, to take the results. */
MF_WORKER static inline void mf_pg_is_last(struct mf_pg_job *j)
{
    j->is_last = true;
}

/* The verbs (pg_write.c, pg_load.c, pg_messages.c, pg_search.c, pg_walk.c,
 * pg_entities.c, pg_change.c, pg_delete.c, pg_idem.c). */
MF_MUST MF_WORKER int mf_pg_write_rounds(struct mf_pg_job *j);
/* Instead of it, when the request has room for `parts`. */
MF_MUST MF_WORKER int mf_pg_tell_parts(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_update_messages(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_set_search(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_get_messages(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_list_messages(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_delete_messages(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_pending(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_mark_foreign(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_load_search(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_load_search_rows(struct mf_pg_job *j, PGresult *const *rows,
                                             size_t n);
MF_MUST MF_WORKER int mf_pg_get(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_find(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_list(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_create(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_update(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_delete(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_idem_get(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_idem_purge(struct mf_pg_job *j);
MF_MUST MF_WORKER int mf_pg_load_rounds(struct mf_pg_job *j);

/* Parts that verbs share (pg_idem.c): adds the statement. */
MF_WORKER void mf_pg_add_idems(struct mf_pg_job *j, const struct mf_store_idem *idems,
                               size_t n);

#endif
