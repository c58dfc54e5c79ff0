/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gguf_meta: a GGUF header's bytes from front to back, and its metadata: keys that we
 * know by their type, all others passed over.
 *
 * Owns:    nothing: texts and lists are views into the file
 * Thread:  any
 * Limits:  the cursor's bytes; a list's elements lie all in them
 * Fails:   MF_EINVAL with file and key; reading behind the end gives zeros and marks
 *          the cursor short
 */
#ifndef MF_WEIGHTS_GGUF_META_H
#define MF_WEIGHTS_GGUF_META_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct mf_gguf_cursor {
    const char *file;
    struct mf_slice bytes;
    size_t at;
    bool is_short; /* ended before what was asked for */
    struct mf_err *err;
};

MF_ANY const char *mf_gguf_take(struct mf_gguf_cursor *c, uint64_t n); /* or NULL */
MF_ANY uint32_t mf_gguf_take_u32(struct mf_gguf_cursor *c);
MF_ANY uint64_t mf_gguf_take_u64(struct mf_gguf_cursor *c);
MF_ANY struct mf_slice mf_gguf_take_text(struct mf_gguf_cursor *c);
/* MF_EINVAL with a sentence for a short cursor. */
MF_ANY int mf_gguf_cut_off(const struct mf_gguf_cursor *c);

/* Elements one behind the other: texts, or numbers of 4 bytes. n 0: not there. */
struct mf_gguf_list {
    uint64_t n;
    struct mf_slice bytes;
};

#define MF_GGUF_NONE UINT32_MAX /* larger than a number that was read */

struct mf_gguf_meta {
    struct mf_slice architecture, name;
    uint32_t alignment, n_parts, pooling;
    bool is_causal;
    uint32_t layers, hidden, ffn, heads, context;
    float eps;
    struct mf_slice tokenizer;
    struct mf_gguf_list pieces, piece_types;
    uint32_t cls_id, bos_id, sep_id, eos_id, unk_id, pad_id, mask_id; /* MF_GGUF_NONE */
};

/* Reads `n` pairs; what is not there keeps the value that it has by itself. */
MF_MUST MF_ANY int mf_gguf_read_meta(struct mf_gguf_cursor *c, uint64_t n,
                                     struct mf_gguf_meta *m);

#endif
