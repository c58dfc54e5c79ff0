/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply: an answer as bytes, appended to a buffer.
 *
 * Every answer carries Date, X-Content-Type-Options: nosniff and, unless the caller
 * names its own, Cache-Control: no-store: one block, made anew a few times a second.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none here
 * Fails:   the buffer's `failed` when out of memory
 */
#ifndef MF_HTTP_REPLY_H
#define MF_HTTP_REPLY_H

#include "http/parse.h"

#define MF_HTTP_RETRY_S 1U /* what full bounds of this module ask for */

enum mf_http_shape {                         /* may be combined */
                     MF_HTTP_NO_BODY = 1,    /* HEAD: all but the body */
                     MF_HTTP_SAYS_CLOSE = 2, /* Connection: close */
                     MF_HTTP_SAYS_KEEP = 4   /* Connection: keep-alive, for HTTP/1.0 */
};

struct mf_http_stamp {
    char text[128];
    size_t n;
};

MF_ANY void mf_http_stamp_set(struct mf_http_stamp *s, int64_t unix_s);
MF_ANY void mf_http_write_reply(struct mf_buf *out, const struct mf_http_stamp *stamp,
                                const struct mf_http_reply *reply, unsigned shape);
/* The same for a fault: an error envelope that names the field; always a close. */
MF_ANY void mf_http_write_fault(struct mf_buf *out, const struct mf_http_stamp *stamp,
                                const struct mf_http_fault *f, bool no_body);

#endif
