/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_write: what the verbs that write rows share: WRITE_ROUNDS, UPDATE_MESSAGES,
 * SET_SEARCH (pg_write.c) and LOAD_ROUNDS (pg_copy.c).
 *
 * Owns:    nothing: all of it lives in the job's arena `kept`
 * Thread:  worker
 * Limits:  none
 * Fails:   MF_EPOISON with the message's id for a row that breaks a rule of the table,
 *          MF_ENOMEM, MF_ECORRUPT
 */
#ifndef MF_STORE_PG_WRITE_H
#define MF_STORE_PG_WRITE_H

#include "store/pg_batch.h"

/* What was asked last. */
enum mf_pg_phase { MF_PG_PHASE_MARKS, MF_PG_PHASE_ROWS, MF_PG_PHASE_PASSAGES };

enum { MF_PG_MESSAGES, MF_PG_KNOWLEDGE, MF_PG_N_BATCHES };

struct mf_pg_writing { /* j->state */
    struct mf_pg_batch *batches[MF_PG_N_BATCHES];
    enum mf_pg_phase phase;
};

/* Of new messages: at the beginning of each step until the phase is ROWS, for which the
 * statements are then to be added. It checks the rows, sorts them, and, when the store
 * is shared, asks for marks in a round of its own. */
MF_MUST MF_WORKER int mf_pg_begin_rows(struct mf_pg_job *j);
MF_WORKER bool mf_pg_has_vectors(const struct mf_pg_batch *b);
/* mf_pg_vector_at_fn: the vector of row i of the batch; 0: none that pgvector takes. */
MF_WORKER size_t mf_pg_batch_vector(const void *batch, size_t i, float *to,
                                    size_t max_dim);

#endif
