/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk: cuts a text that is longer than a model's window into passages, at sentence
 * ends where possible. Pure: the caller brings the piece offsets.
 *
 * Owns:    nothing; passages are views (offset, length) into the text
 * Thread:  any
 * Limits:  MF_PASSAGE_PIECES pieces a passage
 * Fails:   never; passages cover the text without gap or overlap (blanks at a cut
 *          belong to the passage before)
 */
#ifndef MF_ITEM_CHUNK_H
#define MF_ITEM_CHUNK_H

#include "base/base.h"
#include "base/str.h"

#define MF_PASSAGE_PIECES 254

struct mf_span {
    uint32_t at, n; /* bytes */
};

/*
 * `piece_at[i]` is the byte offset where piece i begins, ascending, n_pieces of them.
 * Cuts after at most max_pieces pieces, at the last sentence end (. ! ? and their CJK
 * forms, or a line end) in the window's second half, else at the last blank, else
 * between pieces, never inside a UTF-8 sequence. Writes at most `cap` spans and returns
 * how many there are in all (the last one written then covers the rest when cap is
 * short).
 */
MF_ANY size_t mf_chunk(struct mf_slice text, const uint32_t *piece_at, size_t n_pieces,
                       size_t max_pieces, struct mf_span *out, size_t cap);

#endif
