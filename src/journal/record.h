/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: a round as bytes in the journal: length-checked, with a checksum. Pure.
 * docs/journal-format.md draws it.
 *
 * Owns:    nothing; unpack gives a fresh item
 * Thread:  any
 * Limits:  MF_RECORD_MAX_BYTES, MF_RECORD_MAX_SEQ
 * Fails:   MF_ENOMEM, MF_ECORRUPT, MF_ETOOBIG
 */
#ifndef MF_JOURNAL_RECORD_H
#define MF_JOURNAL_RECORD_H

#include "base/base.h"
#include "base/str.h"
#include "item/item.h"

#define MF_RECORD_MAX_BYTES ((size_t)256 << 20)
#define MF_RECORD_MAX_SEQ   ((uint64_t)INT64_MAX) /* SQLite's rowids are signed */

/* What mf_record_pack will add, to the byte; SIZE_MAX when no record can hold it. */
MF_ANY size_t mf_record_size(const struct mf_item *it);
/* Adds one record to `out`; on an error `out` is as it was. The item's seq must be in
 * 1..MF_RECORD_MAX_SEQ. */
MF_MUST MF_ANY int mf_record_pack(struct mf_buf *out, const struct mf_item *it);

struct mf_record_head {
    uint64_t seq;
    uint32_t n_msgs;
};

/* Whether `rec` is a whole record by its frame and checksum, and whose. */
MF_ANY bool mf_record_peek(struct mf_slice rec, struct mf_record_head *head);
/* `rec` is exactly one record: a byte more, less or other than what was packed is
 * MF_ECORRUPT. */
MF_MUST MF_ANY int mf_record_unpack(struct mf_slice rec, struct mf_item **out);

#endif
