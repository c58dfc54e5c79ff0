/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terms_pool: stemming scratch for whoever builds a record, on any thread: taken for
 * one text, given back, kept for the next.
 *
 * Owns:    the scratch that is not taken
 * Thread:  take and give: any (one mutex, held for a push or a pop); new, free: loop
 * Limits:  as many as threads build at once
 * Fails:   NULL on exhaustion
 */
#ifndef MF_ENGINE_TERMS_POOL_H
#define MF_ENGINE_TERMS_POOL_H

#include "base/base.h"
#include "recall/searchrec.h"

struct mf_terms_pool;

MF_ANY struct mf_terms_pool *mf_terms_pool_new(void);
MF_ANY void mf_terms_pool_free(struct mf_terms_pool *s); /* all given back */
MF_ANY struct mf_terms *mf_terms_pool_take(struct mf_terms_pool *s);
MF_ANY void mf_terms_pool_give(struct mf_terms_pool *s, struct mf_terms *t);

#endif
