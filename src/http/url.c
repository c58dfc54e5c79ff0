/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int mf_http_decode(struct mf_arena *a, struct mf_slice in, bool plus,
                   struct mf_slice *out)
{
    char *d = mf_arena_alloc(a, in.n + 1);
    size_t n = 0;

    if (d == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < in.n; i++) {
        int high, low;

        if (in.p[i] != '%') {
            d[n++] = (char)(plus && in.p[i] == '+' ? ' ' : in.p[i]);
            continue;
        }
        high = i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1;
        low = i + 2 < in.n ? hex_digit(in.p[i + 2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
            return MF_EINVAL; /* cut off, no hex, or a NUL that ends C strings early */
        }
        d[n++] = (char)(high * 16 + low);
        i += 2;
    }
    d[n] = '\0';
    *out = mf_slice_of(d, n);
    return 0;
}

int mf_http_query_get(struct mf_arena *a, struct mf_slice query, const char *name,
                      struct mf_slice *out)
{
    const char *at = query.p;
    const char *end = at + query.n;

    while (at != NULL && at < end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp == NULL ? end : amp;
        const char *eq = memchr(at, '=', (size_t)(stop - at));
        const char *key_end = eq == NULL ? stop : eq;
        const char *value = eq == NULL ? stop : eq + 1;
        struct mf_slice key;
        int rc = mf_http_decode(a, mf_slice_of(at, (size_t)(key_end - at)), true, &key);

        if (rc < 0) {
            return rc;
        }
        if (mf_slice_is(key, name)) {
            return mf_http_decode(a, mf_slice_of(value, (size_t)(stop - value)), true,
                                  out);
        }
        at = stop + 1;
    }
    return MF_ENOTFOUND;
}
