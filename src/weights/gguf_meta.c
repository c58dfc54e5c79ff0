/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/gguf_meta.h"

#include "jdoc/jdoc.h"
#include "weights/weights.h"

#define DEFAULT_ALIGNMENT 32U

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

enum field_kind {
    FIELD_COUNT,
    FIELD_REAL,
    FIELD_BOOL,
    FIELD_TEXT,
    FIELD_TEXTS, /* lists */
    FIELD_NUMBERS
};

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
};

#define FIELD(key, kind, member)                                                       \
    {                                                                                  \
        key, kind, offsetof(struct mf_gguf_meta, member)                               \
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
    FIELD("tokenizer.ggml.model", FIELD_TEXT, tokenizer),
    FIELD("tokenizer.ggml.tokens", FIELD_TEXTS, pieces),
    FIELD("tokenizer.ggml.token_type", FIELD_NUMBERS, piece_types),
    FIELD("tokenizer.ggml.cls_token_id", FIELD_COUNT, cls_id),
    FIELD("tokenizer.ggml.bos_token_id", FIELD_COUNT, bos_id),
    FIELD("tokenizer.ggml.seperator_token_id", FIELD_COUNT, sep_id), /* so written */
    FIELD("tokenizer.ggml.eos_token_id", FIELD_COUNT, eos_id),
    FIELD("tokenizer.ggml.unknown_token_id", FIELD_COUNT, unk_id),
    FIELD("tokenizer.ggml.padding_token_id", FIELD_COUNT, pad_id),
    FIELD("tokenizer.ggml.mask_token_id", FIELD_COUNT, mask_id),
};

/* ---- bytes ---- */

const char *mf_gguf_take(struct mf_gguf_cursor *c, uint64_t n)
{
    const char *p = c->bytes.p + c->at;

    if (c->is_short || n > c->bytes.n - c->at) {
        c->is_short = true;
        return NULL;
    }
    c->at += (size_t)n;
    return p;
}

uint32_t mf_gguf_take_u32(struct mf_gguf_cursor *c)
{
    const char *p = mf_gguf_take(c, sizeof(uint32_t));

    return p == NULL ? 0 : mf_get_u32(p);
}

uint64_t mf_gguf_take_u64(struct mf_gguf_cursor *c)
{
    const char *p = mf_gguf_take(c, sizeof(uint64_t));

    return p == NULL ? 0 : mf_get_u64(p);
}

struct mf_slice mf_gguf_take_text(struct mf_gguf_cursor *c)
{
    uint64_t n = mf_gguf_take_u64(c);
    const char *p = mf_gguf_take(c, n);

    return mf_slice_of(p, p == NULL ? 0 : (size_t)n);
}

int mf_gguf_cut_off(const struct mf_gguf_cursor *c)
{
    return mf_err_set(c->err, MF_EINVAL,
                      "%s: the header ends behind the file, or is longer than %d bytes",
                      c->file, MF_WEIGHTS_HEADER_MAX);
}

/* ---- metadata ---- */

static int refuse_key(const struct mf_gguf_cursor *c, struct mf_slice key,
                      const char *why)
{
    struct mf_shown shown;

    return mf_err_set(c->err, MF_EINVAL, "%s: %s: %s", c->file, mf_shown(&shown, key),
                      why);
}

static void skip_texts(struct mf_gguf_cursor *c, uint64_t n)
{
    for (; n > 0 && !c->is_short; n--) {
        (void)mf_gguf_take_text(c);
    }
}

/* Its elements and their type. Lists of lists are allowed by the format, but nobody
 * writes them. */
static int read_list(struct mf_gguf_cursor *c, struct mf_slice key,
                     struct mf_gguf_list *out, uint32_t *type)
{
    uint64_t n_bytes;
    size_t begin;

    *type = mf_gguf_take_u32(c);
    out->n = mf_gguf_take_u64(c);
    begin = c->at;
    if (c->is_short) {
        return mf_gguf_cut_off(c);
    }
    if (*type == V_ARRAY || *type >= V_TYPES) {
        return refuse_key(c, key, "a list of an unknown type");
    }
    if (*type == V_STRING) {
        skip_texts(c, out->n);
    } else if (__builtin_mul_overflow(out->n, value_bytes[*type], &n_bytes) ||
               mf_gguf_take(c, n_bytes) == NULL) {
        return mf_gguf_cut_off(c);
    }
    out->bytes = mf_slice_of(c->bytes.p + begin, c->at - begin);
    return c->is_short ? mf_gguf_cut_off(c) : 0;
}

static int skip_value(struct mf_gguf_cursor *c, struct mf_slice key, uint32_t type)
{
    struct mf_gguf_list list;

    if (type == V_ARRAY) {
        return read_list(c, key, &list, &type);
    }
    if (type == V_STRING) {
        (void)mf_gguf_take_text(c);
        return 0;
    }
    (void)mf_gguf_take(c, value_bytes[type]);
    return 0;
}

static int read_count(struct mf_gguf_cursor *c, struct mf_slice key, uint32_t type,
                      uint32_t *out)
{
    uint64_t v =
        type == V_U64 || type == V_I64 ? mf_gguf_take_u64(c) : mf_gguf_take_u32(c);

    if (type != V_U32 && type != V_I32 && type != V_U64 && type != V_I64) {
        return refuse_key(c, key, "must be a whole number");
    }
    if (v > INT32_MAX) {
        return refuse_key(c, key, "is too large");
    }
    *out = (uint32_t)v;
    return 0;
}

/* A list of the one type, or of the other one that means the same here. */
static int read_list_of(struct mf_gguf_cursor *c, struct mf_slice key,
                        const enum value_type want[2], struct mf_gguf_list *out)
{
    uint32_t type;
    int rc = read_list(c, key, out, &type);

    if (rc < 0 || type == (uint32_t)want[0] || type == (uint32_t)want[1]) {
        return rc;
    }
    return refuse_key(c, key,
                      want[0] == V_STRING ? "must be a list of text"
                                          : "must be a list of whole numbers");
}

static int read_field(struct mf_gguf_cursor *c, const struct field *f, uint32_t type,
                      struct mf_gguf_meta *m)
{
    static const enum value_type texts[2] = {V_STRING, V_STRING};

    static const enum value_type numbers[2] = {V_I32, V_U32};
    struct mf_slice key = mf_slice_str(f->key);
    void *out = (char *)m + f->offset;
    uint32_t bits;
    const char *p;

    switch (f->kind) {
    case FIELD_COUNT: return read_count(c, key, type, out);
    case FIELD_REAL:
        bits = mf_gguf_take_u32(c);
        memcpy(out, &bits, sizeof(float));
        return type == V_F32 ? 0 : refuse_key(c, key, "must be a float32");
    case FIELD_BOOL:
        p = mf_gguf_take(c, 1);
        *(bool *)out = p != NULL && *p != 0;
        return type == V_BOOL ? 0 : refuse_key(c, key, "must be true or false");
    case FIELD_TEXT:
        *(struct mf_slice *)out = mf_gguf_take_text(c);
        return type == V_STRING ? 0 : refuse_key(c, key, "must be text");
    case FIELD_TEXTS:
    case FIELD_NUMBERS:
        return type == V_ARRAY
                   ? read_list_of(c, key, f->kind == FIELD_TEXTS ? texts : numbers, out)
                   : refuse_key(c, key, "must be a list");
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

static int read_pair(struct mf_gguf_cursor *c, struct mf_gguf_meta *m, bool *seen)
{
    struct mf_slice key = mf_gguf_take_text(c);
    uint32_t type = mf_gguf_take_u32(c);
    const struct field *f = find_field(key);

    if (c->is_short) {
        return mf_gguf_cut_off(c);
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

int mf_gguf_read_meta(struct mf_gguf_cursor *c, uint64_t n, struct mf_gguf_meta *m)
{
    bool seen[mf_countof(fields)] = {false};

    *m = (struct mf_gguf_meta){.alignment = DEFAULT_ALIGNMENT,
                               .cls_id = MF_GGUF_NONE,
                               .bos_id = MF_GGUF_NONE,
                               .sep_id = MF_GGUF_NONE,
                               .eos_id = MF_GGUF_NONE,
                               .unk_id = MF_GGUF_NONE,
                               .pad_id = MF_GGUF_NONE,
                               .mask_id = MF_GGUF_NONE};
    for (; n > 0; n--) {
        int rc = read_pair(c, m, seen);

        if (rc < 0) {
            return rc;
        }
    }
    return c->is_short ? mf_gguf_cut_off(c) : 0;
}
