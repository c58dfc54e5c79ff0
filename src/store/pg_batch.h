/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_batch: the rows of a request in the order of writing.
 *
 * A batch is sorted by (user_id, id), so that two processes take the locks of the same
 * rows in the same order, and has each of them once: a statement that met one twice
 * would choose by itself which of the two stays.
 *
 * Owns:    nothing: batches live in the job's arena `kept`, rows are the request's
 * Thread:  worker
 * Limits:  none
 * Fails:   MF_ENOMEM, MF_ECORRUPT; NULL is MF_ENOMEM, with the sentence in the job
 */
#ifndef MF_STORE_PG_BATCH_H
#define MF_STORE_PG_BATCH_H

#include "store/pg_job.h"

struct mf_pg_place {
    const struct mf_store_row *row;
    int64_t mark;    /* its user's, in a shared store */
    bool is_changed; /* the server said so */
};

struct mf_pg_batch {
    struct mf_pg_place *places;
    size_t n;
    const struct mf_pg_env *env;
};

typedef bool (*mf_pg_wants_fn)(const struct mf_pg_place *p);

enum mf_pg_keep { /* which one of several rows with one (user_id, id) */
                  MF_PG_KEEP_FIRST, /* the lowest seq */
                  MF_PG_KEEP_NEWEST /* the greatest updated_us, of those the last */
};

/* The request's rows that `wants` (NULL: all). */
MF_WORKER struct mf_pg_batch *
mf_pg_batch_sort(struct mf_pg_job *j, mf_pg_wants_fn wants, enum mf_pg_keep keep);
/* Those places of `all` that `wants`, in their order. */
MF_WORKER struct mf_pg_batch *mf_pg_batch_pick(struct mf_pg_job *j,
                                               const struct mf_pg_batch *all,
                                               mf_pg_wants_fn wants);
MF_ANY struct mf_pg_place *mf_pg_batch_find(const struct mf_pg_batch *b,
                                            struct mf_slice user_id,
                                            struct mf_slice id);
/* Takes down which rows the server wrote: (user_id, id) in each row of result `at`. */
MF_MUST MF_WORKER int mf_pg_batch_read_changed(struct mf_pg_job *j, size_t at,
                                               struct mf_pg_batch *b);

/*
 * The mark of a user who has none yet, see MF_STORE_MARK_BITS. It must differ from what
 * the shelf of another process has of a deleted user of the same id, or rows are never
 * asked for. The clocks of nodes may differ: a mark that comes out lower than the old
 * one is seen as well (query/library_delta.c), so nothing is missed unless two clocks
 * that are apart by exactly the old user's life, to the millisecond, make the two
 * marks. A row that outlived its user would be exact, but would keep an id of somebody
 * who asked to be forgotten.
 */
MF_ANY int64_t mf_pg_first_mark(void);
/* Asks for the next mark of each user of the batches. */
MF_MUST MF_WORKER int mf_pg_take_marks(struct mf_pg_job *j,
                                       struct mf_pg_batch *const *batches, size_t n);
/* Gives their places the marks of the answer. */
MF_MUST MF_WORKER int mf_pg_read_marks(struct mf_pg_job *j,
                                       struct mf_pg_batch *const *batches, size_t n);

#endif
