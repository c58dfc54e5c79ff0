/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gguf_vocab: the vocabulary in a GGUF's metadata, in WordPiece's own writing.
 *
 * A GGUF marks the pieces that begin a word (U+2581 before them), WordPiece those that
 * continue one ("##"); what is no word stands as it is ("[SEP]").
 *
 * Owns:    nothing: pieces are in the arena and in the file's bytes
 * Thread:  any
 * Limits:  MF_PLAN_MAX_VOCAB pieces
 * Fails:   MF_EINVAL with file and key, MF_ENOMEM
 */
#ifndef MF_WEIGHTS_GGUF_VOCAB_H
#define MF_WEIGHTS_GGUF_VOCAB_H

#include "base/mem.h"
#include "weights/gguf_meta.h"
#include "weights/weights.h"

MF_MUST MF_ANY int mf_gguf_read_vocab(const struct mf_gguf_cursor *c,
                                      const struct mf_gguf_meta *m,
                                      struct mf_arena *arena,
                                      struct mf_weights_vocab *out);

#endif
