/* SPDX-License-Identifier: Apache-2.0 */
/*
 * marks: the few combining marks that stay when accents are stripped (vowel signs, tone
 * and note marks), in canonical order.
 *
 * Decomposing sorts a run of marks by their combining classes. The peer library then
 * takes the i-th of the sorted marks for the i-th of the text: that decides which bytes
 * a piece is said to come from, so it is done the same way here.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  time grows with the run, times the classes that stay in it (about ten)
 * Fails:   never
 */
#ifndef MF_TOKENIZER_MARKS_H
#define MF_TOKENIZER_MARKS_H

#include "tokenizer/normalise.h"

/* One character of the result and the bytes it is said to come from. */
typedef void (*mf_marks_fn)(void *arg, uint32_t cp, uint32_t from, uint32_t to);

/* The character at `at` is_ordered; `begin` is behind the last character before it that
 * left a letter. Calls `put` for all that stays up to the next character that is no
 * mark, whose place is returned. */
MF_ANY size_t mf_marks_take(const struct mf_normaliser *z, struct mf_slice text,
                            size_t begin, size_t at, mf_marks_fn put, void *arg);

#endif
