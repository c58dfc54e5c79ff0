/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wtable: the tensors of one file by name, as the file's header declares them.
 *
 * Owns:    the entries, and names given to its arena; borrows the file's bytes
 * Thread:  the owner's
 * Limits:  MF_WTABLE_DIMS dimensions
 * Fails:   MF_EINVAL with file and tensor, MF_ENOMEM
 */
#ifndef MF_WEIGHTS_WTABLE_H
#define MF_WEIGHTS_WTABLE_H

#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define MF_WTABLE_DIMS 8
#define MF_NO_DTYPE    (-1)

/* How the file writes an element, or a block of them. */
struct mf_wtype {
    const char *name;
    uint32_t n_elements, n_bytes;
    int dtype; /* enum mf_dtype, or MF_NO_DTYPE: not one that we compute with */
};

struct mf_wentry {
    struct mf_slice name;
    const struct mf_wtype *type;
    uint32_t n_dims;
    uint64_t dim[MF_WTABLE_DIMS]; /* the slowest first */
    uint64_t begin, n_bytes;      /* in the table's data */
};

struct mf_wtable {
    const char *file;
    struct mf_slice data;
    struct mf_wentry *all; /* by name, after the check */
    size_t n;
    struct mf_arena arena;
};

/* Room for `n` entries, zeroed. */
MF_MUST MF_ANY int mf_wtable_init(struct mf_wtable *t, const char *file, size_t n,
                                  struct mf_err *err);
MF_ANY void mf_wtable_fini(struct mf_wtable *t);

/* Fills in n_bytes from the type and the dimensions. */
MF_MUST MF_ANY int mf_wtable_size(const struct mf_wtable *t, struct mf_wentry *e,
                                  struct mf_err *err);
/* Names are there once; the data of one begins where that of another ended, rounded up
 * to `align`, from 0 on, and ends in the file. Sorts. */
MF_MUST MF_ANY int mf_wtable_check(struct mf_wtable *t, uint32_t align,
                                   struct mf_err *err);
MF_ANY const struct mf_wentry *mf_wtable_find(const struct mf_wtable *t,
                                              const char *name);

#endif
