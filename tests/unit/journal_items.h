/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_items: rounds whose every byte follows from their seq, so that what comes
 * back can be checked without a table, in any process.
 */
#ifndef MF_JOURNAL_ITEMS_H
#define MF_JOURNAL_ITEMS_H

#include "item/item.h"

/* There is no loop here: this thread is as good as the loop's. */
static inline void as_loop(void) MF_ASSERTS_LOOP
{
}

/* One message, texts of a length that depends on `seq`. */
struct mf_item *kit_item(uint64_t seq);
/* n_msgs messages with `content_bytes` of content each. */
struct mf_item *kit_big_item(uint64_t seq, uint32_t n_msgs, size_t content_bytes);
bool kit_items_equal(const struct mf_item *a, const struct mf_item *b);
bool kit_is_right(const struct mf_item *it); /* equal to kit_item(it->seq) */

#endif
