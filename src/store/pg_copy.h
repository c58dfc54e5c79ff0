/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_copy: rows in the binary format of COPY (PostgreSQL's manual, "COPY", file
 * formats; the fields are those of pg_args.h): a head, for each row the number of its
 * fields and each field's length and bytes, an end.
 *
 * Owns:    nothing: what it makes lives in the arena
 * Thread:  worker
 * Limits:  1 GiB, since libpq counts its bytes in an int
 * Fails:   MF_ENOMEM, MF_ETOOBIG
 */
#ifndef MF_STORE_PG_COPY_H
#define MF_STORE_PG_COPY_H

#include "store/pg_batch.h"

struct mf_pg_copy {
    const char *text; /* COPY table (columns) FROM STDIN .. */
    struct mf_slice data;
};

/* Each place of the batch as a row of messages, with the vector where the server has
 * the column. */
MF_MUST MF_WORKER int mf_pg_copy_messages(struct mf_arena *a,
                                          const struct mf_pg_batch *b,
                                          struct mf_pg_copy *out);
/* Each place of the batch, whose rows have passages. */
MF_MUST MF_WORKER int mf_pg_copy_passages(struct mf_arena *a,
                                          const struct mf_pg_batch *b,
                                          struct mf_pg_copy *out);

#endif
