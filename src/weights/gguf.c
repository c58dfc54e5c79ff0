/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/gguf.h"

#include "weights/wjson.h"

#include <stdio.h>

#define DEFAULT_ALIGNMENT 32U
#define MAX_ALIGNMENT     65536U
/* The shortest declarations: empty names, no dimensions. */
#define MIN_PAIR_BYTES    13U
#define MIN_TENSOR_BYTES  24U

enum value_type {
    V_U8,
    V_I8,
    V_U16,
    V_I16,
    V_U32,
    V_I32,
    V_F32,
    V_BOOL,
    V_STRING,
    V_ARRAY,
    V_U64,
    V_I64,
    V_F64,
    V_TYPES
};

static const uint8_t value_bytes[V_TYPES] = {
    [V_U8] = 1,  [V_I8] = 1,   [V_U16] = 2, [V_I16] = 2, [V_U32] = 4, [V_I32] = 4,
    [V_F32] = 4, [V_BOOL] = 1, [V_U64] = 8, [V_I64] = 8, [V_F64] = 8};

/* By ggml's number; a hole has no name. Those that we do not compute with are known all
 * the same, to be called by their name. */
static const struct mf_wtype types[] = {
    [0] = {"F32", 1, 4, MF_DTYPE_F32},      [1] = {"F16", 1, 2, MF_DTYPE_F16},
    [2] = {"Q4_0", 32, 18, MF_NO_DTYPE},    [3] = {"Q4_1", 32, 20, MF_NO_DTYPE},
    [6] = {"Q5_0", 32, 22, MF_NO_DTYPE},    [7] = {"Q5_1", 32, 24, MF_NO_DTYPE},
    [8] = {"Q8_0", 32, 34, MF_DTYPE_Q8_0},  [10] = {"Q2_K", 256, 84, MF_NO_DTYPE},
    [11] = {"Q3_K", 256, 110, MF_NO_DTYPE}, [12] = {"Q4_K", 256, 144, MF_NO_DTYPE},
    [13] = {"Q5_K", 256, 176, MF_NO_DTYPE}, [14] = {"Q6_K", 256, 210, MF_NO_DTYPE},
    [20] = {"IQ4_NL", 32, 18, MF_NO_DTYPE}, [23] = {"IQ4_XS", 256, 136, MF_NO_DTYPE},
    [24] = {"I8", 1, 1, MF_NO_DTYPE},       [25] = {"I16", 1, 2, MF_NO_DTYPE},
    [26] = {"I32", 1, 4, MF_NO_DTYPE},      [27] = {"I64", 1, 8, MF_NO_DTYPE},
    [28] = {"F64", 1, 8, MF_NO_DTYPE},      [30] = {"BF16", 1, 2, MF_DTYPE_BF16},
};

/* The header, read from front to back; short once it ended early. */
struct cursor {
    const char *file;
    struct mf_slice bytes;
    size_t at;
    bool is_short;
    struct mf_err *err;
};

/* What we read of the metadata. */
struct meta {
    struct mf_slice architecture, name;
    uint32_t alignment, n_parts, pooling;
    bool is_causal;
    uint32_t layers, hidden, ffn, heads, context;
    float eps;
};

enum field_kind { FIELD_COUNT, FIELD_REAL, FIELD_BOOL, FIELD_TEXT };

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
};

#define FIELD(key, kind, member)                                                       \
    {                                                                                  \
        key, kind, offsetof(struct meta, member)                                       \
    }

static const struct field fields[] = {
    FIELD("general.architecture", FIELD_TEXT, architecture),
    FIELD("general.name", FIELD_TEXT, name),
    FIELD("general.alignment", FIELD_COUNT, alignment),
    FIELD("split.count", FIELD_COUNT, n_parts),
    FIELD("bert.block_count", FIELD_COUNT, layers),
    FIELD("bert.embedding_length", FIELD_COUNT, hidden),
    FIELD("bert.feed_forward_length", FIELD_COUNT, ffn),
    FIELD("bert.attention.head_count", FIELD_COUNT, heads),
    FIELD("bert.context_length", FIELD_COUNT, context),
    FIELD("bert.attention.layer_norm_epsilon", FIELD_REAL, eps),
    FIELD("bert.attention.causal", FIELD_BOOL, is_causal),
    FIELD("bert.pooling_type", FIELD_COUNT, pooling),
};

/* ---- bytes ---- */

static const char *take(struct cursor *c, uint64_t n)
{
    const char *p = c->bytes.p + c->at;

    if (c->is_short || n > c->bytes.n - c->at) {
        c->is_short = true;
        return NULL;
    }
    c->at += (size_t)n;
    return p;
}

static uint32_t take_u32(struct cursor *c)
{
    const char *p = take(c, sizeof(uint32_t));

    return p == NULL ? 0 : mf_get_u32(p);
}

static uint64_t take_u64(struct cursor *c)
{
    const char *p = take(c, sizeof(uint64_t));

    return p == NULL ? 0 : mf_get_u64(p);
}

static struct mf_slice take_text(struct cursor *c)
{
    uint64_t n = take_u64(c);
    const char *p = take(c, n);

    return mf_slice_of(p, p == NULL ? 0 : (size_t)n);
}

static int cut_off(const struct cursor *c)
{
    return mf_err_set(c->err, MF_EINVAL,
                      "%s: the header ends behind the file, or is longer than %d bytes",
                      c->file, MF_WEIGHTS_HEADER_MAX);
}

/* ---- metadata ---- */

static int refuse_key(const struct cursor *c, struct mf_slice key, const char *why)
{
    struct mf_shown shown;

    return mf_err_set(c->err, MF_EINVAL, "%s: %s: %s", c->file, mf_shown(&shown, key),
                      why);
}

static void skip_texts(struct cursor *c, uint64_t n)
{
    for (; n > 0 && !c->is_short; n--) {
        (void)take_text(c);
    }
}

/* Lists of lists are allowed by the format, but nobody writes them. */
static int skip_array(struct cursor *c, struct mf_slice key)
{
    uint32_t type = take_u32(c);
    uint64_t n = take_u64(c), n_bytes;

    if (c->is_short) {
        return cut_off(c);
    }
    if (type == V_ARRAY || type >= V_TYPES) {
        return refuse_key(c, key, "a list of an unknown type");
    }
    if (type == V_STRING) {
        skip_texts(c, n);
        return c->is_short ? cut_off(c) : 0;
    }
    if (__builtin_mul_overflow(n, value_bytes[type], &n_bytes) ||
        take(c, n_bytes) == NULL) {
        return cut_off(c);
    }
    return 0;
}

static int skip_value(struct cursor *c, struct mf_slice key, uint32_t type)
{
    if (type == V_ARRAY) {
        return skip_array(c, key);
    }
    if (type == V_STRING) {
        (void)take_text(c);
        return 0;
    }
    (void)take(c, value_bytes[type]);
    return 0;
}

static int read_count(struct cursor *c, struct mf_slice key, uint32_t type,
                      uint32_t *out)
{
    uint64_t v = type == V_U64 || type == V_I64 ? take_u64(c) : take_u32(c);

    if (type != V_U32 && type != V_I32 && type != V_U64 && type != V_I64) {
        return refuse_key(c, key, "must be a whole number");
    }
    if (v > INT32_MAX) {
        return refuse_key(c, key, "is too large");
    }
    *out = (uint32_t)v;
    return 0;
}

static int read_field(struct cursor *c, const struct field *f, uint32_t type,
                      struct meta *m)
{
    struct mf_slice key = mf_slice_str(f->key);
    void *out = (char *)m + f->offset;
    uint32_t bits;
    const char *p;

    switch (f->kind) {
    case FIELD_COUNT: return read_count(c, key, type, out);
    case FIELD_REAL:
        bits = take_u32(c);
        memcpy(out, &bits, sizeof(float));
        return type == V_F32 ? 0 : refuse_key(c, key, "must be a float32");
    case FIELD_BOOL:
        p = take(c, 1);
        *(bool *)out = p != NULL && *p != 0;
        return type == V_BOOL ? 0 : refuse_key(c, key, "must be true or false");
    case FIELD_TEXT:
        *(struct mf_slice *)out = take_text(c);
        return type == V_STRING ? 0 : refuse_key(c, key, "must be text");
    }
    return 0;
}

static const struct field *find_field(struct mf_slice key)
{
    for (size_t i = 0; i < mf_countof(fields); i++) {
        if (mf_slice_is(key, fields[i].key)) {
            return &fields[i];
        }
    }
    return NULL;
}

static int read_pair(struct cursor *c, struct meta *m, bool *seen)
{
    struct mf_slice key = take_text(c);
    uint32_t type = take_u32(c);
    const struct field *f = find_field(key);

    if (c->is_short) {
        return cut_off(c);
    }
    if (type >= V_TYPES) {
        return refuse_key(c, key, "a value of an unknown type");
    }
    if (f == NULL) {
        return skip_value(c, key, type);
    }
    if (seen[f - fields]) {
        return refuse_key(c, key, "is there twice");
    }
    seen[f - fields] = true;
    return read_field(c, f, type, m);
}

static int read_pairs(struct cursor *c, struct meta *m, uint64_t n)
{
    bool seen[mf_countof(fields)] = {false};

    for (; n > 0; n--) {
        int rc = read_pair(c, m, seen);

        if (rc < 0) {
            return rc;
        }
    }
    return c->is_short ? cut_off(c) : 0;
}

/* ---- the plan ---- */

static int take_size(const struct cursor *c, const char *key, uint32_t v, uint32_t max,
                     uint32_t *out)
{
    if (v < 1 || v > max) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: %s is %u or missing, expected 1 to %u", c->file, key, v,
                          max);
    }
    *out = v;
    return 0;
}

static int plan_sizes(const struct cursor *c, const struct meta *m,
                      struct mf_weights_info *i)
{
    int rc =
        take_size(c, "bert.block_count", m->layers, MF_PLAN_MAX_LAYERS, &i->n_layers);

    rc = rc < 0 ? rc
                : take_size(c, "bert.embedding_length", m->hidden, MF_PLAN_MAX_WIDTH,
                            &i->hidden);
    rc = rc < 0 ? rc
                : take_size(c, "bert.feed_forward_length", m->ffn, MF_PLAN_MAX_WIDTH,
                            &i->ffn);
    rc = rc < 0 ? rc
                : take_size(c, "bert.attention.head_count", m->heads, i->hidden,
                            &i->n_heads);
    rc = rc < 0 ? rc
                : take_size(c, "bert.context_length", m->context, MF_PLAN_MAX_POSITIONS,
                            &i->window);
    if (rc == 0 && i->window < MF_PLAN_MIN_WINDOW) {
        return mf_err_set(c->err, MF_EINVAL, "%s: bert.context_length %u is too small",
                          c->file, i->window);
    }
    if (rc == 0 && i->hidden % i->n_heads != 0) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: bert.embedding_length %u is no multiple of "
                          "bert.attention.head_count %u",
                          c->file, i->hidden, i->n_heads);
    }
    return rc;
}

static int plan_pooling(const struct cursor *c, const struct meta *m,
                        struct mf_weights_info *i)
{
    static const enum mf_pooling poolings[] = {MF_POOL_MEAN, MF_POOL_CLS, MF_POOL_LAST};

    if (m->pooling < 1 || m->pooling > mf_countof(poolings)) {
        return mf_err_set(
            c->err, MF_EINVAL,
            "%s: bert.pooling_type %u or missing; 1 (mean), 2 (cls) and 3 "
            "(last) are supported",
            c->file, m->pooling);
    }
    i->pooling = poolings[m->pooling - 1];
    return 0;
}

static int check_kind(const struct cursor *c, const struct meta *m)
{
    struct mf_shown shown;

    if (!mf_slice_is(m->architecture, "bert")) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: general.architecture %s is not supported; bert is",
                          c->file, mf_shown(&shown, m->architecture));
    }
    if (m->is_causal) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: bert.attention.causal true is not supported", c->file);
    }
    if (m->n_parts > 1) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: one of %u parts: join them (split.count)", c->file,
                          m->n_parts);
    }
    if (!(m->eps > 0 && m->eps < 1)) {
        return mf_err_set(
            c->err, MF_EINVAL,
            "%s: bert.attention.layer_norm_epsilon must be between 0 and 1", c->file);
    }
    return 0;
}

/* The file says neither the activation nor whether vectors are brought to unit length:
 * all encoders of this architecture have the exact GELU, and who serves such a file
 * normalises. RoBERTa's positions are stored from the first one that is used. */
static int make_plan(const struct cursor *c, const struct meta *m, struct mf_plan *plan)
{
    int rc = check_kind(c, m);

    rc = rc < 0 ? rc : plan_sizes(c, m, &plan->info);
    rc = rc < 0 ? rc : plan_pooling(c, m, &plan->info);
    plan->naming = MF_NAMING_GGUF;
    plan->info.arch = MF_ARCH_BERT;
    plan->info.activation = MF_ACT_GELU;
    plan->info.norm_eps = m->eps;
    plan->info.normalise = true;
    (void)snprintf(plan->published, sizeof(plan->published), "%.*s",
                   (int)mf_min(m->name.n, sizeof(plan->published) - 1),
                   m->name.n == 0 ? "" : m->name.p);
    return rc;
}

/* ---- tensors ---- */

static int read_type(const struct cursor *c, struct mf_wentry *e, uint32_t type)
{
    struct mf_shown shown;

    if (type >= mf_countof(types) || types[type].name == NULL) {
        return mf_err_set(c->err, MF_EINVAL, "%s: tensor %s: unknown type %u", c->file,
                          mf_shown(&shown, e->name), type);
    }
    e->type = &types[type];
    return 0;
}

static int read_tensor(struct cursor *c, const struct mf_wtable *t, struct mf_wentry *e)
{
    struct mf_shown shown;
    int rc;

    e->name = take_text(c);
    e->n_dims = take_u32(c);
    if (e->n_dims > MF_WTABLE_DIMS) {
        return mf_err_set(c->err, MF_EINVAL, "%s: tensor %s: %u dimensions", c->file,
                          mf_shown(&shown, e->name), e->n_dims);
    }
    for (uint32_t i = e->n_dims; i > 0; i--) {
        e->dim[i - 1] = take_u64(c); /* the fastest first */
    }
    rc = read_type(c, e, take_u32(c));
    e->begin = take_u64(c);
    if (c->is_short) {
        return cut_off(c);
    }
    return rc < 0 ? rc : mf_wtable_size(t, e, c->err);
}

static int read_tensors(struct cursor *c, struct mf_wtable *t)
{
    for (size_t i = 0; i < t->n; i++) {
        int rc = read_tensor(c, t, &t->all[i]);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int check_alignment(const struct cursor *c, uint32_t n)
{
    if (n == 0 || n > MAX_ALIGNMENT || (n & (n - 1)) != 0) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: general.alignment %u must be a power of 2 up to %u",
                          c->file, n, MAX_ALIGNMENT);
    }
    return 0;
}

static int read_table(struct cursor *c, struct mf_wtable *t, struct mf_slice bytes,
                      uint32_t align)
{
    int rc = read_tensors(c, t);
    size_t begin = (c->at + align - 1) / align * align;

    if (rc == 0 && begin > bytes.n) {
        return cut_off(c);
    }
    t->data = mf_slice_of(bytes.p + begin, bytes.n - mf_min(begin, bytes.n));
    return rc < 0 ? rc : mf_wtable_check(t, align, c->err);
}

static int read_head(struct cursor *c, uint64_t *n_tensors, uint64_t *n_pairs)
{
    const char *magic = take(c, 4);
    uint32_t version = take_u32(c);

    if (magic == NULL || memcmp(magic, "GGUF", 4) != 0) {
        return mf_err_set(c->err, MF_EINVAL, "%s: no GGUF file", c->file);
    }
    if (version != 2 && version != 3) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: GGUF version %u is not supported; 2 and 3 are", c->file,
                          version);
    }
    *n_tensors = take_u64(c);
    *n_pairs = take_u64(c);
    if (c->is_short || *n_tensors > c->bytes.n / MIN_TENSOR_BYTES ||
        *n_pairs > c->bytes.n / MIN_PAIR_BYTES) {
        return cut_off(c);
    }
    return 0;
}

int mf_gguf_read(struct mf_plan *plan, struct mf_wtable *t, const char *file,
                 struct mf_slice bytes, struct mf_err *err)
{
    struct cursor c = {.file = file, .bytes = bytes, .err = err};
    struct meta m = {.alignment = DEFAULT_ALIGNMENT};
    uint64_t n_tensors = 0, n_pairs = 0;
    int rc;

    c.bytes.n = mf_min(bytes.n, (size_t)MF_WEIGHTS_HEADER_MAX);
    rc = read_head(&c, &n_tensors, &n_pairs);
    rc = rc < 0 ? rc : read_pairs(&c, &m, n_pairs);
    rc = rc < 0 ? rc : check_alignment(&c, m.alignment);
    rc = rc < 0 ? rc : make_plan(&c, &m, plan);
    rc = rc < 0 ? rc : mf_wtable_init(t, file, (size_t)n_tensors, err);
    if (rc < 0) {
        return rc;
    }
    rc = read_table(&c, t, bytes, m.alignment);
    if (rc < 0) {
        mf_wtable_fini(t);
    }
    return rc;
}
