/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal_groupkit.h"

const struct mf_group_limits limits = {.max_bytes = 1000,
                                       .min_free_bytes = 50,
                                       .max_commit_rounds = 3,
                                       .max_commit_bytes = 100,
                                       .max_commit_erases = 4,
                                       .checkpoint_pages = 10};

const struct mf_group_result fine = {.free_bytes = UINT64_MAX};
const struct mf_group_result no_room = {.rc = MF_ENOSPC, .free_bytes = UINT64_MAX};
const struct mf_group_result fatal = {.rc = MF_EFATAL, .free_bytes = UINT64_MAX};

void start(struct mf_group *g)
{
    mf_group_init(g, &limits);
}

int add(struct mf_group *g, struct mf_journal_append *a, size_t bytes)
{
    *a = (struct mf_journal_append){.bytes = bytes, .rc = 1};
    return mf_group_append(g, a);
}

void erase(struct mf_group *g, struct mf_journal_erase *e, const uint64_t *seqs,
           size_t n)
{
    *e = (struct mf_journal_erase){.seqs = seqs, .n = n, .rc = 1};
    mf_group_erase(g, e);
}
