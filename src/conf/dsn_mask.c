/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/dsn_mask.h"

#define HIDDEN "***"

static size_t index_of(struct mf_slice s, size_t from, char c)
{
    while (from < s.n && s.p[from] != c) {
        from++;
    }
    return from;
}

static struct mf_slice part(struct mf_slice s, size_t from, size_t to)
{
    return mf_slice_of(s.p + from, to - from);
}

static bool holds(struct mf_slice s, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= s.n; i++) {
        if (mf_slice_is_nocase(part(s, i, i + n), word)) {
            return true;
        }
    }
    return false;
}

/* password, sslpassword, and whatever libpq may call so one day; a name with escapes
 * in it could be any. */
static bool is_secret(struct mf_slice name)
{
    return !mf_slice_is_nocase(name, "passfile") &&
           (holds(name, "pass") || holds(name, "%"));
}

/* --- scheme://user:password@host/database?name=value&.. */

/* One piece between ? and &. A value that speaks of a password may be the rest of one
 * whose signs were not escaped. */
static void mask_setting(struct mf_slice s, struct mf_buf *out)
{
    size_t eq = index_of(s, 0, '=');
    struct mf_slice name = part(s, 0, eq);

    if (eq < s.n && (is_secret(name) || holds(part(s, eq, s.n), "pass"))) {
        mf_buf_add_slice(out, name);
        mf_buf_add_str(out, "=" HIDDEN);
        return;
    }
    mf_buf_add_slice(out, s);
}

static void mask_settings(struct mf_slice s, struct mf_buf *out)
{
    size_t at = 0;

    while (at < s.n) {
        size_t end = index_of(s, at, '&');
        size_t question = index_of(s, at, '?');

        if (question < mf_min(end, index_of(s, at, '='))) {
            end = question;
        }
        mask_setting(part(s, at, end), out);
        if (end < s.n) {
            mf_buf_add_char(out, s.p[end]);
        }
        at = end + 1;
    }
}

/* Up to the last @: a password that somebody forgot to escape may hold one. */
static size_t end_of_credentials(struct mf_slice uri, size_t from)
{
    for (size_t i = uri.n; i > from; i--) {
        if (uri.p[i - 1] == '@') {
            return i - 1;
        }
    }
    return from;
}

static void mask_uri(struct mf_slice uri, size_t from, struct mf_buf *out)
{
    size_t end = end_of_credentials(uri, from);
    size_t colon = mf_min(index_of(uri, from, ':'), end);

    mf_buf_add_slice(out, part(uri, 0, from));
    mask_settings(part(uri, from, colon), out);
    if (colon < end) {
        mf_buf_add_str(out, ":" HIDDEN);
    }
    mask_settings(part(uri, end, uri.n), out);
}

/* --- name = value name = 'quoted value' */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t skip_blanks(struct mf_slice s, size_t at)
{
    while (at < s.n && is_blank(s.p[at])) {
        at++;
    }
    return at;
}

static size_t end_of_value(struct mf_slice s, size_t at)
{
    bool is_quoted = at < s.n && s.p[at] == '\'';

    for (at += is_quoted; at < s.n; at++) {
        if (s.p[at] == '\\') {
            at++;
        } else if (is_quoted && s.p[at] == '\'') {
            return at + 1;
        } else if (!is_quoted && is_blank(s.p[at])) {
            return at;
        }
    }
    return s.n;
}

static void mask_keywords(struct mf_slice s, struct mf_buf *out)
{
    size_t at = skip_blanks(s, 0);

    while (at < s.n) {
        size_t eq = index_of(s, at, '=');
        struct mf_slice name = mf_slice_trim(part(s, at, eq));
        size_t value = skip_blanks(s, mf_min(eq + 1, s.n));
        size_t end = end_of_value(s, value);

        /* No keyword, or the rest of a value before it: it could be anything. */
        if (eq == s.n || holds(name, " ")) {
            mf_buf_add_str(out, HIDDEN);
            return;
        }
        mf_buf_add_slice(out, part(s, at, value));
        if (is_secret(name)) {
            mf_buf_add_str(out, HIDDEN);
        } else {
            mf_buf_add_slice(out, part(s, value, end));
        }
        at = skip_blanks(s, end);
        if (at < s.n) {
            mf_buf_add_char(out, ' ');
        }
    }
}

void mf_conf_mask_dsn(struct mf_slice dsn, struct mf_buf *out)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};

    for (size_t i = 0; i < mf_countof(schemes); i++) {
        struct mf_slice scheme = mf_slice_str(schemes[i]);

        if (dsn.n >= scheme.n &&
            mf_slice_is_nocase(mf_slice_of(dsn.p, scheme.n), schemes[i])) {
            mask_uri(dsn, scheme.n, out);
            return;
        }
    }
    mask_keywords(dsn, out);
}
