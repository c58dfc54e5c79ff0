/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_out: a small checked writer of JSON into a buffer. Callers write the punctuation
 * between values as literals; what is data goes through here.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   as the buffer does: look at mf_buf_status once, at the end. Bytes that are
 *          no UTF-8 become U+FFFD, so that what leaves is JSON whatever came in
 */
#ifndef MF_API_JSON_OUT_H
#define MF_API_JSON_OUT_H

#include "base/base.h"
#include "base/str.h"

MF_ANY bool mf_json_is_utf8(struct mf_slice s);
MF_ANY void mf_json_put_text(struct mf_buf *b, struct mf_slice s); /* with quotes */
MF_ANY void mf_json_put_str(struct mf_buf *b, const char *s);
/* null instead of an empty one */
MF_ANY void mf_json_put_text_or_null(struct mf_buf *b, struct mf_slice s);
MF_ANY void mf_json_put_bool(struct mf_buf *b, bool v);
MF_ANY void mf_json_put_real(struct mf_buf *b, double v); /* 6 places; not finite: 0 */
MF_ANY void mf_json_put_time(struct mf_buf *b, int64_t us); /* ISO 8601, with quotes */

/* A literal piece: braces, commas, keys. */
#define MF_JSON_PUT(b, literal) mf_buf_add((b), "" literal, sizeof(literal) - 1)

#endif
