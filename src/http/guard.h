/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard: what a head must be beyond what the parser lets pass, so that no two readers
 * of the same bytes see two different requests.
 *
 * The head must be tiled without a gap: `METHOD SP target SP HTTP/1.x CRLF`, then per
 * header `name ":" blanks value blanks CRLF`, then CRLF. No control byte, no fold.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  max_body_bytes against Content-Length
 * Fails:   a fault: 400, 413, 417
 */
#ifndef MF_HTTP_GUARD_H
#define MF_HTTP_GUARD_H

#include "http/parse.h"

/* Fills r->pub and the framing of `r` from r->head and r->names. 0 or MF_EINVAL. */
MF_MUST MF_ANY int mf_http_guard(struct mf_http_parser *p);

#endif
