/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/gguf.h"

#include "jdoc/jdoc.h"
#include "weights/gguf_meta.h"
#include "weights/gguf_vocab.h"

#include <stdio.h>

#define MAX_ALIGNMENT    65536U
/* The shortest declarations: empty names, no dimensions. */
#define MIN_PAIR_BYTES   13U
#define MIN_TENSOR_BYTES 24U

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

/* ---- the plan ---- */

static int take_size(const struct mf_gguf_cursor *c, const char *key, uint32_t v,
                     uint32_t max, uint32_t *out)
{
    if (v < 1 || v > max) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: %s is %u or missing, expected 1 to %u", c->file, key, v,
                          max);
    }
    *out = v;
    return 0;
}

static int plan_sizes(const struct mf_gguf_cursor *c, const struct mf_gguf_meta *m,
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

static int plan_pooling(const struct mf_gguf_cursor *c, const struct mf_gguf_meta *m,
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

static int check_kind(const struct mf_gguf_cursor *c, const struct mf_gguf_meta *m)
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
static int make_plan(const struct mf_gguf_cursor *c, const struct mf_gguf_meta *m,
                     struct mf_plan *plan)
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

static int read_type(const struct mf_gguf_cursor *c, struct mf_wentry *e, uint32_t type)
{
    struct mf_shown shown;

    if (type >= mf_countof(types) || types[type].name == NULL) {
        return mf_err_set(c->err, MF_EINVAL, "%s: tensor %s: unknown type %u", c->file,
                          mf_shown(&shown, e->name), type);
    }
    e->type = &types[type];
    return 0;
}

static int read_tensor(struct mf_gguf_cursor *c, const struct mf_wtable *t,
                       struct mf_wentry *e)
{
    struct mf_shown shown;
    int rc;

    e->name = mf_gguf_take_text(c);
    e->n_dims = mf_gguf_take_u32(c);
    if (e->n_dims > MF_WTABLE_DIMS) {
        return mf_err_set(c->err, MF_EINVAL, "%s: tensor %s: %u dimensions", c->file,
                          mf_shown(&shown, e->name), e->n_dims);
    }
    for (uint32_t i = e->n_dims; i > 0; i--) {
        e->dim[i - 1] = mf_gguf_take_u64(c); /* the fastest first */
    }
    rc = read_type(c, e, mf_gguf_take_u32(c));
    e->begin = mf_gguf_take_u64(c);
    if (c->is_short) {
        return mf_gguf_cut_off(c);
    }
    return rc < 0 ? rc : mf_wtable_size(t, e, c->err);
}

static int read_tensors(struct mf_gguf_cursor *c, struct mf_wtable *t)
{
    for (size_t i = 0; i < t->n; i++) {
        int rc = read_tensor(c, t, &t->all[i]);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int check_alignment(const struct mf_gguf_cursor *c, uint32_t n)
{
    if (n == 0 || n > MAX_ALIGNMENT || (n & (n - 1)) != 0) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: general.alignment %u must be a power of 2 up to %u",
                          c->file, n, MAX_ALIGNMENT);
    }
    return 0;
}

static int read_table(struct mf_gguf_cursor *c, struct mf_wtable *t,
                      struct mf_slice bytes, uint32_t align)
{
    int rc = read_tensors(c, t);
    size_t begin = (c->at + align - 1) / align * align;

    if (rc == 0 && begin > bytes.n) {
        return mf_gguf_cut_off(c);
    }
    t->data = mf_slice_of(bytes.p + begin, bytes.n - mf_min(begin, bytes.n));
    return rc < 0 ? rc : mf_wtable_check(t, align, c->err);
}

/* Said here, where the key is known, rather than of a tensor of the wrong shape. */
static int check_rows(const struct mf_gguf_cursor *c, const struct mf_weights_vocab *v,
                      const struct mf_wtable *t)
{
    const struct mf_wentry *words = mf_wtable_find(t, "token_embd.weight");

    if (words != NULL && words->n_dims == 2 && words->dim[0] != v->n) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: tokenizer.ggml.tokens has %u pieces, token_embd.weight "
                          "%llu rows",
                          c->file, v->n, (unsigned long long)words->dim[0]);
    }
    return 0;
}

static int read_head(struct mf_gguf_cursor *c, uint64_t *n_tensors, uint64_t *n_pairs)
{
    const char *magic = mf_gguf_take(c, 4);
    uint32_t version = mf_gguf_take_u32(c);

    if (magic == NULL || memcmp(magic, "GGUF", 4) != 0) {
        return mf_err_set(c->err, MF_EINVAL, "%s: no GGUF file", c->file);
    }
    if (version != 2 && version != 3) {
        return mf_err_set(c->err, MF_EINVAL,
                          "%s: GGUF version %u is not supported; 2 and 3 are", c->file,
                          version);
    }
    *n_tensors = mf_gguf_take_u64(c);
    *n_pairs = mf_gguf_take_u64(c);
    if (c->is_short || *n_tensors > c->bytes.n / MIN_TENSOR_BYTES ||
        *n_pairs > c->bytes.n / MIN_PAIR_BYTES) {
        return mf_gguf_cut_off(c);
    }
    return 0;
}

int mf_gguf_read(struct mf_plan *plan, struct mf_arena *arena, struct mf_wtable *t,
                 const char *file, struct mf_slice bytes, struct mf_err *err)
{
    struct mf_gguf_cursor c = {.file = file, .bytes = bytes, .err = err};
    struct mf_gguf_meta m;
    uint64_t n_tensors = 0, n_pairs = 0;
    int rc;

    c.bytes.n = mf_min(bytes.n, (size_t)MF_WEIGHTS_HEADER_MAX);
    rc = read_head(&c, &n_tensors, &n_pairs);
    rc = rc < 0 ? rc : mf_gguf_read_meta(&c, n_pairs, &m);
    rc = rc < 0 ? rc : check_alignment(&c, m.alignment);
    rc = rc < 0 ? rc : make_plan(&c, &m, plan);
    rc = rc < 0 ? rc : mf_gguf_read_vocab(&c, &m, arena, &plan->vocab);
    rc = rc < 0 ? rc : mf_wtable_init(t, file, (size_t)n_tensors, err);
    if (rc < 0) {
        return rc;
    }
    rc = read_table(&c, t, bytes, m.alignment);
    rc = rc < 0 ? rc : check_rows(&c, &plan->vocab, t);
    if (rc < 0) {
        mf_wtable_fini(t);
    }
    return rc;
}
