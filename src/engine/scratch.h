/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch: stemming scratch for whoever builds a record, on any thread: taken for one
 * text, given back, kept for the next.
 *
 * Owns:    the scratch that is not taken
 * Thread:  take and give: any (one mutex, held for a push or a pop); new, free: loop
 * Limits:  as many as threads build at once
 * Fails:   NULL on exhaustion
 */
#ifndef MF_ENGINE_SCRATCH_H
#define MF_ENGINE_SCRATCH_H

#include "base/base.h"
#include "recall/searchrec.h"

struct mf_scratch;

MF_ANY struct mf_scratch *mf_scratch_new(void);
MF_ANY void mf_scratch_free(struct mf_scratch *s); /* all given back */
MF_ANY struct mf_terms *mf_scratch_take(struct mf_scratch *s);
MF_ANY void mf_scratch_give(struct mf_scratch *s, struct mf_terms *t);

#endif
