/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_groupkit: the journal's line without a disk: small bounds, and what a commit
 * may answer.
 */
#ifndef MF_JOURNAL_GROUPKIT_H
#define MF_JOURNAL_GROUPKIT_H

#include "journal/group.h"
#include "lib/mf_test.h"

extern const struct mf_group_limits limits;
extern const struct mf_group_result fine, no_room, fatal;

void start(struct mf_group *g);
int add(struct mf_group *g, struct mf_journal_append *a, size_t bytes);
void erase(struct mf_group *g, struct mf_journal_erase *e, const uint64_t *seqs,
           size_t n);

#endif
