/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transcript: what the parser makes of some bytes, as text, for tests and the fuzzer.
 *
 * One line `METHOD path ?query n_headers body_bytes framing` with headers and body
 * after it for each request, then `fault STATUS`, or `more` when bytes are missing.
 *
 * Owns:    nothing: the text is the caller's buffer
 * Thread:  any
 * Limits:  the bounds given
 * Fails:   never
 */
#ifndef MF_TRANSCRIPT_H
#define MF_TRANSCRIPT_H

#include "http/parse.h"

/* How many bytes the next piece has, at least 1. */
typedef size_t (*mf_cut_fn)(size_t at, size_t left, void *arg);

/* The sentence of the last fault goes to `fault` when it is not NULL. */
MF_ANY void mf_transcript(struct mf_buf *out, const struct mf_http_bounds *bounds,
                          struct mf_slice bytes, mf_cut_fn cut, void *arg,
                          struct mf_http_fault *fault);

#endif
