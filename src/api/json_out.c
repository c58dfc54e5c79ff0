/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json_out.h"

#include "base/wallclock.h"
#include "item/utf8.h"

#include <math.h>

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

static void put_escape(struct mf_buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btn\0fr";
    char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (c == '"' || c == '\\') {
        char pair[2] = {'\\', (char)c};

        mf_buf_add(b, pair, sizeof(pair));
    } else if (c >= '\b' && c <= '\r' && letters[c - '\b'] != '\0') {
        char pair[2] = {'\\', letters[c - '\b']};

        mf_buf_add(b, pair, sizeof(pair));
    } else {
        mf_buf_add(b, u, sizeof(u));
    }
}

/* Bytes of the valid sequence at `at`, or 0. */
static size_t sequence_at(struct mf_slice s, size_t at)
{
    uint32_t cp;
    size_t n = mf_utf8_next(s, at, &cp);
    bool is_short = (n == 3 && cp < 0x800) || (n == 4 && cp < 0x10000);

    return n == 1 || is_short || (cp >= 0xD800 && cp <= 0xDFFF) || cp > 0x10FFFF ? 0
                                                                                 : n;
}

bool mf_json_is_utf8(struct mf_slice s)
{
    for (size_t at = 0; at < s.n;) {
        size_t n = (unsigned char)s.p[at] < 0x80 ? 1 : sequence_at(s, at);

        if (n == 0) {
            return false;
        }
        at += n;
    }
    return true;
}

void mf_json_put_text(struct mf_buf *b, struct mf_slice s)
{
    size_t from = 0, at = 0;

    mf_buf_add_char(b, '"');
    while (at < s.n) {
        unsigned char c = (unsigned char)s.p[at];
        size_t n = is_plain(c) ? 1 : c < 0x80 ? 0 : sequence_at(s, at);

        if (n > 0) {
            at += n;
            continue;
        }
        mf_buf_add(b, s.p + from, at - from);
        if (c < 0x80) {
            put_escape(b, c);
        } else {
            MF_JSON_PUT(b, "\xEF\xBF\xBD");
        }
        from = ++at;
    }
    if (at > from) {
        mf_buf_add(b, s.p + from, at - from);
    }
    mf_buf_add_char(b, '"');
}

void mf_json_put_str(struct mf_buf *b, const char *s)
{
    mf_json_put_text(b, mf_slice_str(s));
}

void mf_json_put_text_or_null(struct mf_buf *b, struct mf_slice s)
{
    if (s.n == 0) {
        MF_JSON_PUT(b, "null");
    } else {
        mf_json_put_text(b, s);
    }
}

void mf_json_put_bool(struct mf_buf *b, bool v)
{
    mf_buf_add_str(b, v ? "true" : "false");
}

void mf_json_put_real(struct mf_buf *b, double v)
{
    mf_buf_addf(b, "%.6f", isfinite(v) ? v : 0.0);
}

void mf_json_put_time(struct mf_buf *b, int64_t us)
{
    char text[MF_ISO8601_LEN + 3];

    text[0] = '"';
    mf_iso8601_format(us, text + 1);
    text[MF_ISO8601_LEN + 1] = '"';
    mf_buf_add(b, text, MF_ISO8601_LEN + 2);
}
