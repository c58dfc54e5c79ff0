/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gguf: the header of a GGUF file (versions 2 and 3, little-endian): metadata, then the
 * tensors' declarations, then the data.
 *
 * Owns:    on 0 the table is the caller's to mf_wtable_fini; pieces of the vocabulary
 *          are in the arena and in the file's bytes
 * Thread:  any
 * Limits:  MF_WEIGHTS_HEADER_MAX bytes before the data
 * Fails:   MF_EINVAL with file and key or tensor, MF_ENOMEM; the table is then empty
 */
#ifndef MF_WEIGHTS_GGUF_H
#define MF_WEIGHTS_GGUF_H

#include "base/mem.h"
#include "weights/plan.h"
#include "weights/wtable.h"

/* The plan, with the vocabulary, from the metadata; the table from the declarations. */
MF_MUST MF_ANY int mf_gguf_read(struct mf_plan *plan, struct mf_arena *arena,
                                struct mf_wtable *t, const char *file,
                                struct mf_slice bytes, struct mf_err *err);

#endif
