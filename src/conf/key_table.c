/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/key_table.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/dsn_mask.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct mf_conf, field)
#define KEY_STR(field, key, d, lo, hi, doc)                                            \
    {key, doc, MF_CONF_STR, false, AT(field), d, NULL, 0, lo, hi},
#define KEY_DSN(field, key, d, lo, hi, doc)                                            \
    {key, doc, MF_CONF_STR, true, AT(field), d, NULL, 0, lo, hi},
#define KEY_ENUM(field, key, d, w, hi, doc)                                            \
    {key, doc, MF_CONF_ENUM, false, AT(field), d, w, 0, 0, hi},
#define KEY_NUMBER(field, key, t, d, lo, hi, doc)                                      \
    {key,  doc,  t,           false,        AT(field),                                 \
     NULL, NULL, (double)(d), (double)(lo), (double)(hi)},
#define KEY_BOOL(field, key, d, lo, hi, doc)                                           \
    KEY_NUMBER(field, key, MF_CONF_BOOL, d, lo, hi, doc)
#define KEY_UINT(field, key, d, lo, hi, doc)                                           \
    KEY_NUMBER(field, key, MF_CONF_UINT, d, lo, hi, doc)
#define KEY_SIZE(field, key, d, lo, hi, doc)                                           \
    KEY_NUMBER(field, key, MF_CONF_SIZE, d, lo, hi, doc)
#define KEY_TIME(field, key, d, lo, hi, doc)                                           \
    KEY_NUMBER(field, key, MF_CONF_TIME, d, lo, hi, doc)
#define KEY_REAL(field, key, d, lo, hi, doc)                                           \
    KEY_NUMBER(field, key, MF_CONF_REAL, d, lo, hi, doc)

static const struct mf_conf_key keys[] = {
#define X(type, field, key, def, min, max, doc)                                        \
    KEY_##type(field, key, def, min, max, doc)
    MF_CONF_KEYS(X)
#undef X
};

struct unit {
    const char *name;
    double factor;
};

static const struct unit size_units[] = {
    {"", 1},         {"B", 1},        {"KiB", 0x1p10}, {"KB", 0x1p10},
    {"K", 0x1p10},   {"MiB", 0x1p20}, {"MB", 0x1p20},  {"M", 0x1p20},
    {"GiB", 0x1p30}, {"GB", 0x1p30},  {"G", 0x1p30},
};

static const struct unit time_units[] = {
    {"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

const struct mf_conf_key *mf_conf_keys(size_t *n)
{
    *n = mf_countof(keys);
    return keys;
}

const struct mf_conf_key *mf_conf_key_find(struct mf_slice name)
{
    for (size_t i = 0; i < mf_countof(keys); i++) {
        if (mf_slice_is(name, keys[i].name)) {
            return &keys[i];
        }
    }
    return NULL;
}

bool mf_conf_is_section(struct mf_slice name)
{
    for (size_t i = 0; i < mf_countof(keys); i++) {
        if (strncmp(keys[i].name, name.p, name.n) == 0 && keys[i].name[name.n] == '.') {
            return true;
        }
    }
    return false;
}

/* Levenshtein's distance, one row; names beyond the row count as far. */
#define MAX_NAME 96

static size_t distance(struct mf_slice a, struct mf_slice b)
{
    size_t row[MAX_NAME + 1];

    if (a.n > MAX_NAME || b.n > MAX_NAME) {
        return MAX_NAME;
    }
    for (size_t j = 0; j <= b.n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);

            diagonal = row[j];
            row[j] = mf_min(change, mf_min(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.n];
}

const struct mf_conf_key *mf_conf_key_nearest(struct mf_slice name)
{
    const struct mf_conf_key *best = NULL;
    size_t least = name.n / 3 + 2;

    for (size_t i = 0; i < mf_countof(keys); i++) {
        size_t d = distance(name, mf_slice_str(keys[i].name));

        if (d < least) {
            least = d;
            best = &keys[i];
        }
    }
    return best;
}

/* ---- values ---- */

static void *field_of(struct mf_conf *c, const struct mf_conf_key *k)
{
    return (char *)c + k->offset;
}

static const void *field_of_const(const struct mf_conf *c, const struct mf_conf_key *k)
{
    return (const char *)c + k->offset;
}

/* Of one character: its length, or 0 when it is no UTF-8. */
static size_t read_char(const char *p, size_t n, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = (uint8_t)p[0];
    size_t len = lead < 0x80   ? 1
                 : lead < 0xc2 ? 0
                 : lead < 0xe0 ? 2
                 : lead < 0xf0 ? 3
                 : lead < 0xf5 ? 4
                               : 0;
    uint32_t c = len == 1 ? lead : lead & (0x7fu >> len);

    if (len > n) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if (((uint8_t)p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | ((uint8_t)p[i] & 0x3f);
    }
    *out = c;
    return len > 0 && c < least[len] ? 0 : len;
}

/* What can stand on one line of YAML between quotes, so that print-config can say it:
 * no control characters, line breaks, surrogates or byte order marks. */
static bool is_one_line(struct mf_slice v)
{
    size_t len;

    for (size_t i = 0; i < v.n; i += len) {
        uint32_t c;

        len = read_char(v.p + i, v.n - i, &c);
        if (len == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
            c == 0x2029 || (c >= 0xd800 && c < 0xe000) || c == 0xfeff || c == 0xfffe ||
            c == 0xffff || c > 0x10ffff) {
            return false;
        }
    }
    return true;
}

static int set_text(struct mf_conf *c, const struct mf_conf_key *k, struct mf_slice v)
{
    char **at = field_of(c, k);
    char *copy = mf_strndup(v.n > 0 ? v.p : "", v.n);

    if (copy == NULL) {
        return MF_ENOMEM;
    }
    mf_free(*at);
    *at = copy;
    return 0;
}

static void set_number(struct mf_conf *c, const struct mf_conf_key *k, double v)
{
    if (k->type == MF_CONF_BOOL) {
        *(bool *)field_of(c, k) = v != 0;
    } else if (k->type == MF_CONF_REAL) {
        *(double *)field_of(c, k) = v;
    } else {
        *(uint64_t *)field_of(c, k) = (uint64_t)v;
    }
}

int mf_conf_key_reset(struct mf_conf *c, const struct mf_conf_key *k)
{
    if (k->type == MF_CONF_STR || k->type == MF_CONF_ENUM) {
        return set_text(c, k, mf_slice_str(k->text));
    }
    set_number(c, k, k->def);
    return 0;
}

void mf_conf_key_clear(struct mf_conf *c, const struct mf_conf_key *k)
{
    if (k->type == MF_CONF_STR || k->type == MF_CONF_ENUM) {
        char **at = field_of(c, k);

        mf_free(*at);
        *at = NULL;
    } else {
        set_number(c, k, 0);
    }
}

static bool is_word_of(const char *words, struct mf_slice v)
{
    const char *p = words;

    while (*p != '\0') {
        size_t n = strcspn(p, "|");

        if (mf_slice_eq(mf_slice_of(p, n), v)) {
            return true;
        }
        p += n + (p[n] == '|');
    }
    return false;
}

static int fail_bounds(const struct mf_conf_key *k, struct mf_err *err)
{
    struct mf_buf b;
    int rc;

    mf_buf_init(&b);
    mf_conf_key_print_bounds(k, &b);
    rc = mf_err_set(err, MF_EINVAL, "must be %.*s", (int)b.n, b.n > 0 ? b.p : "");
    mf_buf_fini(&b);
    return rc;
}

static int parse_unit(const struct unit *units, size_t n, const char *name,
                      double *factor)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(units[i].name, name) == 0) {
            *factor = units[i].factor;
            return 0;
        }
    }
    return MF_EINVAL;
}

static int parse_unit_of(const struct mf_conf_key *k, const char *name, double *factor)
{
    if (k->type == MF_CONF_SIZE) {
        return parse_unit(size_units, mf_countof(size_units), name, factor);
    }
    if (k->type == MF_CONF_TIME) {
        return parse_unit(time_units, mf_countof(time_units), name, factor);
    }
    *factor = 1;
    return *name == '\0' ? 0 : MF_EINVAL;
}

/* A decimal number and a unit; strtod alone would take "inf", "nan" and hex. */
static int parse_number(const struct mf_conf_key *k, struct mf_slice v, double *out)
{
    char text[64];
    char *end;
    double factor;

    if (v.n == 0 || v.n >= sizeof(text) || memchr(v.p, '\0', v.n) != NULL) {
        return MF_EINVAL;
    }
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    if (strspn(text, "+-.0123456789") == 0 || strpbrk(text, "xX") != NULL) {
        return MF_EINVAL;
    }
    *out = strtod(text, &end);
    if (end == text || parse_unit_of(k, end + strspn(end, " "), &factor) < 0) {
        return MF_EINVAL;
    }
    *out *= factor;
    /* Half a millisecond is nothing, half a thing is a mistake; 1.001 s is 1001 ms
     * although the product is a hair less. */
    if (k->type == MF_CONF_TIME) {
        *out = round(*out);
    }
    return k->type == MF_CONF_REAL || *out == floor(*out) ? 0 : MF_EINVAL;
}

static int set_checked_number(struct mf_conf *c, const struct mf_conf_key *k,
                              struct mf_slice v, struct mf_err *err)
{
    double n;

    if (parse_number(k, v, &n) < 0 || !(n >= k->min && n <= k->max)) {
        return fail_bounds(k, err);
    }
    set_number(c, k, n);
    return 0;
}

static int set_bool(struct mf_conf *c, const struct mf_conf_key *k, struct mf_slice v,
                    struct mf_err *err)
{
    bool yes = mf_slice_is_nocase(v, "true") || mf_slice_is_nocase(v, "yes") ||
               mf_slice_is_nocase(v, "on") || mf_slice_is(v, "1");
    bool no = mf_slice_is_nocase(v, "false") || mf_slice_is_nocase(v, "no") ||
              mf_slice_is_nocase(v, "off") || mf_slice_is(v, "0");

    if (!yes && !no) {
        return mf_err_set(err, MF_EINVAL, "must be true or false");
    }
    set_number(c, k, yes);
    return 0;
}

int mf_conf_key_set(struct mf_conf *c, const struct mf_conf_key *k,
                    struct mf_slice value, struct mf_err *err)
{
    switch (k->type) {
    case MF_CONF_STR:
        if ((double)value.n < k->min || (double)value.n > k->max) {
            return fail_bounds(k, err);
        }
        if (!is_one_line(value)) {
            return mf_err_set(err, MF_EINVAL,
                              "must be one line of UTF-8 without control characters");
        }
        return set_text(c, k, value);
    case MF_CONF_ENUM:
        return is_word_of(k->words, value) ? set_text(c, k, value)
                                           : fail_bounds(k, err);
    case MF_CONF_BOOL: return set_bool(c, k, value, err);
    case MF_CONF_UINT:
    case MF_CONF_SIZE:
    case MF_CONF_TIME:
    case MF_CONF_REAL: break;
    }
    return set_checked_number(c, k, value, err);
}

/* ---- printing ---- */

static void print_size(struct mf_buf *out, double v)
{
    static const struct unit big[] = {
        {"GiB", 0x1p30}, {"MiB", 0x1p20}, {"KiB", 0x1p10}};

    for (size_t i = 0; i < mf_countof(big) && v > 0; i++) {
        double n = v / big[i].factor;

        if (n == floor(n)) {
            mf_buf_addf(out, "%.0f%s", n, big[i].name);
            return;
        }
    }
    mf_buf_addf(out, "%.0f", v);
}

static void print_time(struct mf_buf *out, double ms)
{
    if (ms != 0 && fmod(ms, 1000) != 0) {
        mf_buf_addf(out, "%.0fms", ms);
    } else {
        mf_buf_addf(out, "%.0fs", ms / 1000);
    }
}

/* The fewest digits that read back as the same number. */
static void print_real(struct mf_buf *out, double v)
{
    char text[40];

    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    mf_buf_add_str(out, text);
}

static void print_number(struct mf_buf *out, const struct mf_conf_key *k, double v)
{
    switch (k->type) {
    case MF_CONF_BOOL: mf_buf_add_str(out, v != 0 ? "true" : "false"); break;
    case MF_CONF_SIZE: print_size(out, v); break;
    case MF_CONF_TIME: print_time(out, v); break;
    case MF_CONF_REAL: print_real(out, v); break;
    case MF_CONF_UINT:
    case MF_CONF_STR:
    case MF_CONF_ENUM: mf_buf_addf(out, "%.0f", v); break;
    }
}

static double number_of(const struct mf_conf *c, const struct mf_conf_key *k)
{
    const void *at = field_of_const(c, k);

    if (k->type == MF_CONF_BOOL) {
        return *(const bool *)at;
    }
    return k->type == MF_CONF_REAL ? *(const double *)at
                                   : (double)*(const uint64_t *)at;
}

/* Double-quoted YAML; the rest is harmless, see is_one_line. */
static void print_text(struct mf_buf *out, struct mf_slice s)
{
    mf_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') {
            mf_buf_add_char(out, '\\');
        }
        mf_buf_add_char(out, s.p[i]);
    }
    mf_buf_add_char(out, '"');
}

static void print_dsn(struct mf_buf *out, const char *dsn)
{
    struct mf_buf shown;

    mf_buf_init(&shown);
    mf_conf_mask_dsn(mf_slice_str(dsn), &shown);
    print_text(out, mf_slice_of(shown.p, shown.n));
    out->failed |= shown.failed;
    mf_buf_fini(&shown);
}

void mf_conf_key_print(const struct mf_conf *c, const struct mf_conf_key *k,
                       bool is_default, struct mf_buf *out)
{
    if (k->type == MF_CONF_STR || k->type == MF_CONF_ENUM) {
        const char *v = is_default ? k->text : *(char *const *)field_of_const(c, k);

        if (k->type == MF_CONF_ENUM) {
            mf_buf_add_str(out, v);
        } else if (k->is_dsn) {
            print_dsn(out, v);
        } else {
            print_text(out, mf_slice_str(v));
        }
        return;
    }
    print_number(out, k, is_default ? k->def : number_of(c, k));
}

static void print_words(struct mf_buf *out, const char *words)
{
    for (; *words != '\0'; words++) {
        if (*words == '|') {
            mf_buf_add_str(out, " or ");
        } else {
            mf_buf_add_char(out, *words);
        }
    }
}

void mf_conf_key_print_bounds(const struct mf_conf_key *k, struct mf_buf *out)
{
    switch (k->type) {
    case MF_CONF_ENUM: print_words(out, k->words); return;
    case MF_CONF_BOOL: mf_buf_add_str(out, "true or false"); return;
    case MF_CONF_STR:
        mf_buf_addf(out, "%.0f to %.0f bytes long", k->min, k->max);
        return;
    case MF_CONF_UINT: mf_buf_add_str(out, "a whole number, "); break;
    case MF_CONF_SIZE: mf_buf_add_str(out, "bytes (KiB, MiB, GiB), "); break;
    case MF_CONF_TIME: mf_buf_add_str(out, "seconds (ms, s, m, h, d), "); break;
    case MF_CONF_REAL: mf_buf_add_str(out, "a number, "); break;
    }
    print_number(out, k, k->min);
    mf_buf_add_str(out, " to ");
    print_number(out, k, k->max);
}

/* ---- complaints ---- */

int mf_conf_complain(struct mf_conf_report *r, const char *where, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    mf_buf_addf(&r->text, "%s: %s\n", where, text);
    r->n_problems++;
    return MF_EINVAL;
}

static int complain_of_name(struct mf_conf_report *r, const char *where,
                            struct mf_slice name)
{
    const struct mf_conf_key *k = mf_conf_key_nearest(name);
    char shown[128];

    (void)mf_log_quote(shown, sizeof(shown), name.p, name.n);
    if (mf_conf_is_section(name)) {
        return mf_conf_complain(r, where, "'%s' is a section: it takes keys, no value",
                                shown);
    }
    if (k == NULL) {
        return mf_conf_complain(r, where, "unknown key '%s'", shown);
    }
    return mf_conf_complain(r, where, "unknown key '%s' (did you mean '%s'?)", shown,
                            k->name);
}

int mf_conf_assign(struct mf_conf *c, struct mf_slice name, struct mf_slice value,
                   const char *where, struct mf_conf_report *r)
{
    const struct mf_conf_key *k = mf_conf_key_find(name);
    struct mf_err err = {0};
    char shown[80];
    int rc;

    if (k == NULL) {
        return complain_of_name(r, where, name);
    }
    rc = mf_conf_key_set(c, k, value, &err);
    if (rc == MF_EINVAL && k->is_dsn) { /* the value may hold a password */
        return mf_conf_complain(r, where, "%s: %s", k->name, err.msg);
    }
    if (rc == MF_EINVAL) {
        (void)mf_log_quote(shown, sizeof(shown), value.p, value.n);
        return mf_conf_complain(r, where, "%s: %s, not %s", k->name, err.msg, shown);
    }
    return rc;
}
