/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json_in.h"

#include "base/map.h"
#include "jdoc/jdoc.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Bodies up to about 5 KiB need no memory but this and their arena. */
#define POOL_BYTES ((size_t)64 * 1024)
/* Fewer keys are compared with each other. */
#define FEW_KEYS   12U
#define SEEN_SLOTS 2048U

static const yyjson_read_flag read_flags =
    YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW;

/* ---- faults ---- */

static unsigned weight(int code)
{
    return code == MF_ENOMEM    ? 4
           : code == MF_EINVAL  ? 3
           : code == MF_ETOOBIG ? 2
           : code != 0          ? 1
                                : 0;
}

static int add_fault(struct mf_faults *f, int code, const struct mf_fault *given,
                     const char *fmt, va_list ap) MF_PRINTF(4, 0);

static int add_fault(struct mf_faults *f, int code, const struct mf_fault *given,
                     const char *fmt, va_list ap)
{
    char msg[MF_ERR_MAX];
    struct mf_fault *at;

    if (weight(code) > weight(f->code)) {
        f->code = code;
    }
    if (f->n++ >= MF_FAULTS_MAX) {
        return f->code;
    }
    if (f->all == NULL) {
        f->all = mf_arena_alloc(f->arena, MF_FAULTS_MAX * sizeof(*f->all));
    }
    if (f->all == NULL) {
        f->n = 0;
        return f->code = MF_ENOMEM;
    }
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    at = &f->all[f->n - 1];
    at->type = given->type;
    at->field = mf_arena_strndup(f->arena, given->field, strlen(given->field));
    at->msg = mf_arena_strndup(f->arena, msg, strlen(msg));
    if (at->field == NULL || at->msg == NULL) {
        f->n--;
        f->code = MF_ENOMEM;
    }
    return f->code;
}

int mf_fault_add(struct mf_faults *f, int code, const char *type, const char *field,
                 const char *fmt, ...)
{
    struct mf_fault given = {.type = type, .field = field};
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = add_fault(f, code, &given, fmt, ap);
    va_end(ap);
    return rc;
}

int mf_json_fault(const struct mf_json_at *at, const char *key, int code,
                  const char *type, const char *fmt, ...)
{
    char field[128];
    struct mf_fault given = {.type = type, .field = field};
    va_list ap;
    int rc;

    if (at->list == NULL) {
        (void)snprintf(field, sizeof(field), "%s", key == NULL ? "body" : key);
    } else {
        (void)snprintf(field, sizeof(field), "%s[%zu]%s%s", at->list, at->i,
                       key == NULL ? "" : ".", key == NULL ? "" : key);
    }
    va_start(ap, fmt);
    rc = add_fault(at->faults, code, &given, fmt, ap);
    va_end(ap);
    return rc;
}

/* ---- memory ---- */

static void *arena_malloc(void *ctx, size_t n)
{
    return mf_arena_alloc(ctx, n);
}

static void *arena_realloc(void *ctx, void *p, size_t old, size_t n)
{
    void *q = n <= old ? p : mf_arena_alloc(ctx, n);

    if (q != NULL && q != p) {
        memcpy(q, p, old);
    }
    return q;
}

static void arena_free(MF_UNUSED void *ctx, MF_UNUSED void *p)
{
}

int mf_json_init(struct mf_json *j, size_t max_depth)
{
    memset(j, 0, sizeof(*j));
    j->max_depth = max_depth;
    j->pool = mf_malloc(POOL_BYTES);
    j->ends = mf_array(max_depth, sizeof(yyjson_val *));
    j->seen = mf_calloc(SEEN_SLOTS, sizeof(*j->seen));
    if (j->pool == NULL || j->ends == NULL || j->seen == NULL) {
        mf_json_fini(j);
        return MF_ENOMEM;
    }
    return 0;
}

void mf_json_fini(struct mf_json *j)
{
    MF_ASSERT(j->doc == NULL);
    mf_free(j->pool);
    mf_free((void *)j->ends);
    mf_free(j->seen);
    memset(j, 0, sizeof(*j));
}

/* ---- what every value must be ---- */

/* The values of a document stand in one row, each container before what it holds. */
static size_t path_add(char *out, size_t cap, size_t n, const char *fmt, ...)
    MF_PRINTF(4, 5);

static size_t path_add(char *out, size_t cap, size_t n, const char *fmt, ...)
{
    va_list ap;
    int m;

    va_start(ap, fmt);
    m = vsnprintf(out + n, cap - n, fmt, ap);
    va_end(ap);
    return m < 0 ? n : mf_min(n + (size_t)m, cap - 1);
}

static bool holds(const yyjson_val *outer, const yyjson_val *inner,
                  const yyjson_val *next)
{
    return inner >= outer && inner < next;
}

/* Into `in`, the child of `*at` that holds `target`, and its name or number. */
static size_t path_step(char *out, size_t cap, size_t n, yyjson_val **at,
                        const yyjson_val *target)
{
    bool is_obj = yyjson_is_obj(*at);
    size_t n_children = unsafe_yyjson_get_len(*at);
    yyjson_val *key = NULL, *child = unsafe_yyjson_get_first(*at);

    for (size_t i = 0; i < n_children; i++) {
        yyjson_val *next;

        key = child;
        child = is_obj ? child + 1 : child;
        next = unsafe_yyjson_get_next(child);
        if (holds(key, target, next)) {
            *at = child;
            return is_obj ? path_add(out, cap, n, "%s%.*s", n == 0 ? "" : ".",
                                     (int)mf_min(unsafe_yyjson_get_len(key), cap),
                                     unsafe_yyjson_get_str(key))
                          : path_add(out, cap, n, "[%zu]", i);
        }
        child = next;
    }
    *at = NULL;
    return n;
}

/* "messages[3].metadata.when"; a key stands for its value. */
static void path_to(yyjson_val *root, const yyjson_val *target, char *out, size_t cap)
{
    yyjson_val *at = root;
    size_t n = 0;

    out[0] = '\0';
    while (at != NULL && at != target && at - 1 != target && yyjson_is_ctn(at)) {
        n = path_step(out, cap, n, &at, target);
    }
    if (n == 0) {
        (void)snprintf(out, cap, "body");
    }
}

static int refuse(const struct mf_json *j, struct mf_faults *f, const yyjson_val *v,
                  const char *sentence)
{
    char path[128];

    path_to(yyjson_doc_get_root(j->doc), v, path, sizeof(path));
    return mf_fault_add(f, MF_EINVAL, "value_error", path, "%s", sentence);
}

static bool is_same_key(yyjson_val *a, yyjson_val *b)
{
    size_t n = unsafe_yyjson_get_len(a);

    return n == unsafe_yyjson_get_len(b) &&
           memcmp(unsafe_yyjson_get_str(a), unsafe_yyjson_get_str(b), n) == 0;
}

static bool is_among(yyjson_val *const *keys, size_t n, yyjson_val *key)
{
    for (size_t i = 0; i < n; i++) {
        if (is_same_key(keys[i], key)) {
            return true;
        }
    }
    return false;
}

/* The key that stands twice, or NULL. */
static yyjson_val *find_twin(yyjson_val *obj)
{
    yyjson_val *keys[FEW_KEYS], *key = unsafe_yyjson_get_first(obj);
    size_t n = unsafe_yyjson_get_len(obj);

    for (size_t i = 0; i < n; i++) {
        if (is_among(keys, i, key)) {
            return key;
        }
        keys[i] = key;
        key = unsafe_yyjson_get_next(key + 1);
    }
    return NULL;
}

/* Marks the key as seen; false: it was. */
static bool mark_seen(struct mf_json *j, yyjson_val *key)
{
    uint64_t h = mf_hash_bytes(unsafe_yyjson_get_str(key), unsafe_yyjson_get_len(key));
    struct mf_json_seen *s = &j->seen[h % SEEN_SLOTS];

    while (s->round == j->seen_round) {
        if (is_same_key(s->key, key)) {
            return false;
        }
        s = &j->seen[++h % SEEN_SLOTS];
    }
    s->round = j->seen_round;
    s->key = key;
    return true;
}

static yyjson_val *find_twin_of_many(struct mf_json *j, yyjson_val *obj)
{
    yyjson_val *key = unsafe_yyjson_get_first(obj);
    size_t n = unsafe_yyjson_get_len(obj);

    if (++j->seen_round == 0) { /* old marks would look like new ones */
        memset(j->seen, 0, SEEN_SLOTS * sizeof(*j->seen));
        j->seen_round = 1;
    }
    for (size_t i = 0; i < n; i++) {
        if (!mark_seen(j, key)) {
            return key;
        }
        key = unsafe_yyjson_get_next(key + 1);
    }
    return NULL;
}

static int check_object(struct mf_json *j, struct mf_faults *f, yyjson_val *obj)
{
    size_t n = unsafe_yyjson_get_len(obj);
    yyjson_val *twin;

    if (n > MF_JSON_MAX_KEYS) {
        return refuse(j, f, obj, "an object has at most 1000 keys");
    }
    twin = n <= FEW_KEYS ? find_twin(obj) : find_twin_of_many(j, obj);
    return twin == NULL ? 0 : refuse(j, f, twin, "the key stands twice in its object");
}

static int check_number(const struct mf_json *j, struct mf_faults *f, yyjson_val *v)
{
    char digits[MF_JSON_MAX_DIGITS + 1];
    size_t n = unsafe_yyjson_get_len(v);

    if (n > MF_JSON_MAX_DIGITS) {
        return refuse(j, f, v, "a number has at most 64 characters");
    }
    memcpy(digits, unsafe_yyjson_get_str(v), n);
    digits[n] = '\0';
    return isfinite(strtod(digits, NULL))
               ? 0
               : refuse(j, f, v, "the number is too large for a 64-bit float");
}

static int check_value(struct mf_json *j, struct mf_faults *f, yyjson_val *v,
                       size_t depth)
{
    if (yyjson_is_str(v)) {
        return memchr(unsafe_yyjson_get_str(v), '\0', unsafe_yyjson_get_len(v)) == NULL
                   ? 0
                   : refuse(j, f, v, "no text may contain NUL (\\u0000)");
    }
    if (yyjson_is_raw(v)) {
        return check_number(j, f, v);
    }
    if (!yyjson_is_ctn(v)) {
        return 0;
    }
    if (depth == j->max_depth) {
        char sentence[96];

        (void)snprintf(sentence, sizeof(sentence),
                       "nested deeper than %zu levels (limits.json_depth)",
                       j->max_depth);
        return refuse(j, f, v, sentence);
    }
    return yyjson_is_obj(v) ? check_object(j, f, v) : 0;
}

/* One pass over the row; the reader itself keeps no stack either. */
static int check_all(struct mf_json *j, struct mf_faults *f)
{
    yyjson_val *v = yyjson_doc_get_root(j->doc);
    yyjson_val *end = v + yyjson_doc_get_val_count(j->doc);
    size_t depth = 0;

    for (; v < end; v++) {
        int rc;

        while (depth > 0 && v >= j->ends[depth - 1]) {
            depth--;
        }
        rc = check_value(j, f, v, depth);
        if (rc < 0) {
            return rc;
        }
        if (yyjson_is_ctn(v)) {
            j->ends[depth++] = unsafe_yyjson_get_next(v);
        }
    }
    return 0;
}

/* ---- open, close ---- */

static int read_failed(struct mf_faults *f, const yyjson_read_err *e)
{
    if (e->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return MF_ENOMEM;
    }
    if (e->code == YYJSON_READ_ERROR_INVALID_STRING) {
        return mf_fault_add(f, MF_EINVAL, "json_invalid", "body",
                            "invalid text at byte %zu of the body: %s", e->pos, e->msg);
    }
    if (e->code == YYJSON_READ_ERROR_UNEXPECTED_CONTENT) {
        return mf_fault_add(f, MF_EINVAL, "json_invalid", "body",
                            "byte %zu of the body: nothing may follow the JSON value",
                            e->pos);
    }
    return mf_fault_add(f, MF_EUNPROCESSABLE, "json_invalid", "body",
                        "invalid JSON at byte %zu of the body: %s", e->pos, e->msg);
}

int mf_json_open(struct mf_json *j, struct mf_slice body, struct mf_faults *faults,
                 yyjson_val **root)
{
    yyjson_alc alc = mf_jdoc_memory;
    size_t need = yyjson_read_max_memory_usage(body.n, read_flags);
    yyjson_read_err e;
    char *copy;
    int rc;

    MF_ASSERT(j->doc == NULL);
    if (body.n == 0) {
        return mf_fault_add(faults, MF_EUNPROCESSABLE, "missing", "body",
                            "Field required: the body is empty");
    }
    copy = mf_arena_alloc(faults->arena, body.n + YYJSON_PADDING_SIZE);
    if (copy == NULL) {
        return MF_ENOMEM;
    }
    memcpy(copy, body.p, body.n);
    memset(copy + body.n, 0, YYJSON_PADDING_SIZE);
    if (need <= POOL_BYTES) {
        (void)yyjson_alc_pool_init(&alc, j->pool, POOL_BYTES);
    }
    j->doc = yyjson_read_opts(copy, body.n, read_flags, &alc, &e);
    if (j->doc == NULL) {
        return read_failed(faults, &e);
    }
    rc = check_all(j, faults);
    if (rc < 0) {
        mf_json_close(j);
        return rc;
    }
    *root = yyjson_doc_get_root(j->doc);
    return 0;
}

void mf_json_close(struct mf_json *j)
{
    yyjson_doc_free(j->doc);
    j->doc = NULL;
}

int mf_json_compact(yyjson_val *v, struct mf_arena *a, struct mf_slice *out)
{
    const yyjson_alc alc = {arena_malloc, arena_realloc, arena_free, a};
    size_t n = 0;
    char *text = yyjson_val_write_opts(v, YYJSON_WRITE_NOFLAG, &alc, &n, NULL);

    *out = mf_slice_of(text, n);
    return text == NULL ? MF_ENOMEM : 0;
}

/* ---- keys of text we wrote ourselves ---- */

/* Behind the string that begins at `at`. */
static size_t skip_string(struct mf_slice s, size_t at)
{
    for (at++; at < s.n && s.p[at] != '"'; at++) {
        at += s.p[at] == '\\';
    }
    return at + 1;
}

bool mf_json_has_key(struct mf_slice object, const char *key)
{
    size_t n = strlen(key), depth = 0;

    for (size_t at = 0; at < object.n; at++) {
        char c = object.p[at];
        size_t end;

        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        if (c != '"') {
            continue;
        }
        end = skip_string(object, at);
        if (depth == 1 && end < object.n && object.p[end] == ':' && end - at == n + 2 &&
            memcmp(object.p + at + 1, key, n) == 0) {
            return true;
        }
        at = end - 1;
    }
    return false;
}
