/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_out: users, agents, sessions, knowledge, keys and messages as JSON objects.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   as the buffer does
 */
#ifndef MF_API_ENTITY_OUT_H
#define MF_API_ENTITY_OUT_H

#include "base/base.h"
#include "base/str.h"
#include "engine/engine.h"

/* `secret`: a key's text, shown once; empty: masked. */
MF_ANY void mf_entity_put(struct mf_buf *b, enum mf_entity_kind kind,
                          const struct mf_entity *row, struct mf_slice secret);
/* [..] of rows */
MF_ANY void mf_entity_put_list(struct mf_buf *b, enum mf_entity_kind kind,
                               const struct mf_entity *rows, size_t n);
/* {"knowledge_ids":[..]}: the list's name and the rows' ids */
MF_ANY void mf_entity_put_ids(struct mf_buf *b, const char *name,
                              const struct mf_entity *rows, size_t n);
/* [..] of texts */
MF_ANY void mf_slices_put(struct mf_buf *b, const struct mf_slice *s, size_t n);
MF_ANY void mf_listed_put(struct mf_buf *b, const struct mf_listed *m);

#endif
