/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "lib/model_folder.h"
#include "weights/gguf.h"
#include "weights/weights.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T_U32 = 4, T_F32 = 6, T_BOOL = 7, T_STRING = 8, T_ARRAY = 9, T_U64 = 10 };

enum { G_F32 = 0, G_F16 = 1, G_Q4_0 = 2, G_Q8_0 = 8 };

#define ALIGNMENT   32U
#define Q8_SCALE    0x1800 /* 2^-9 in half precision */
#define Q8_STEP     (1.0F / 512)
#define N_META      16U
#define MAX_TENSORS 64U

/* ---- a writer ---- */

struct meta {
    const char *key;
    uint32_t type;
    uint32_t number; /* U32, U64, BOOL; the bits of F32 */
    const char *text;
};

struct tensor {
    char name[64], source[96]; /* as llama.cpp and as PyTorch call it */
    uint32_t type, n_dims;
    uint64_t dim[4]; /* the fastest first */
    uint64_t offset;
};

struct gguf {
    struct meta meta[N_META];
    size_t n_meta;
    struct tensor tensor[MAX_TENSORS];
    size_t n_tensors;
    uint32_t version;
};

static uint32_t float_bits(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

static void add_u32(struct gguf *g, const char *key, uint32_t v)
{
    g->meta[g->n_meta++] = (struct meta){.key = key, .type = T_U32, .number = v};
}

static void add_text(struct gguf *g, const char *key, const char *text)
{
    g->meta[g->n_meta++] = (struct meta){.key = key, .type = T_STRING, .text = text};
}

static struct meta *find_meta(struct gguf *g, const char *key)
{
    for (size_t i = 0; i < g->n_meta; i++) {
        if (strcmp(g->meta[i].key, key) == 0) {
            return &g->meta[i];
        }
    }
    fail_msg("no key %s", key);
    return NULL;
}

static struct tensor *find_tensor(struct gguf *g, const char *name)
{
    for (size_t i = 0; i < g->n_tensors; i++) {
        if (strcmp(g->tensor[i].name, name) == 0) {
            return &g->tensor[i];
        }
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static void rename_tensor(const char *source, char *out, size_t cap)
{
    static const char *const stems[][2] = {
        {"embeddings.word_embeddings", "token_embd"},
        {"embeddings.position_embeddings", "position_embd"},
        {"embeddings.token_type_embeddings", "token_types"},
        {"embeddings.LayerNorm", "token_embd_norm"},
        {"attention.self.query", "attn_q"},
        {"attention.self.key", "attn_k"},
        {"attention.self.value", "attn_v"},
        {"attention.output.dense", "attn_output"},
        {"attention.output.LayerNorm", "attn_output_norm"},
        {"intermediate.dense", "ffn_up"},
        {"output.dense", "ffn_down"},
        {"output.LayerNorm", "layer_output_norm"},
    };
    const char *stem = source, *end = strrchr(source, '.');
    char layer[8] = "";

    if (strncmp(source, "encoder.layer.", 14) == 0) {
        (void)snprintf(layer, sizeof(layer), "blk.%c.", source[14]);
        stem = source + 16;
    }
    for (size_t i = 0; i < mf_countof(stems); i++) {
        if (strlen(stems[i][0]) == (size_t)(end - stem) &&
            strncmp(stem, stems[i][0], strlen(stems[i][0])) == 0) {
            (void)snprintf(out, cap, "%s%s%s", layer, stems[i][1], end);
            return;
        }
    }
    fail_msg("no name for %s", source);
}

/* Matrices as `type`, vectors, positions and types as F32: so llama.cpp keeps them. */
static void add_tensors(struct gguf *g, const struct mf_model_spec *s, uint32_t type)
{
    struct mf_model_tensors list = mf_model_tensors(s);

    MF_CHECK(list.n <= MAX_TENSORS);
    for (size_t i = 0; i < list.n; i++) {
        const struct mf_model_tensor *from = &list.all[i];
        struct tensor *to = &g->tensor[g->n_tensors++];

        (void)snprintf(to->source, sizeof(to->source), "%s", from->name);
        to->name[0] = '\0';
        rename_tensor(from->name, to->name, sizeof(to->name));
        to->n_dims = from->n_dims;
        for (uint32_t k = 0; k < from->n_dims; k++) {
            to->dim[k] = from->dim[from->n_dims - 1 - k];
        }
        to->type = from->n_dims == 1 || strstr(to->name, "position") != NULL ||
                           strstr(to->name, "types") != NULL
                       ? G_F32
                       : type;
    }
    mf_model_tensors_free(&list);
}

static void small_gguf(struct gguf *g, uint32_t type)
{
    struct mf_model_spec s = mf_model_small();

    memset(g, 0, sizeof(*g));
    g->version = 3;
    add_text(g, "general.architecture", "bert");
    add_text(g, "general.name", "Small Test");
    add_u32(g, "bert.block_count", s.n_layers);
    add_u32(g, "bert.embedding_length", s.hidden);
    add_u32(g, "bert.feed_forward_length", s.ffn);
    add_u32(g, "bert.attention.head_count", s.n_heads);
    add_u32(g, "bert.context_length", s.window);
    add_u32(g, "bert.pooling_type", 2);
    add_u32(g, "bert.attention.layer_norm_epsilon", float_bits(1e-12F));
    g->meta[g->n_meta - 1].type = T_F32;
    add_u32(g, "bert.attention.causal", 0);
    g->meta[g->n_meta - 1].type = T_BOOL;
    add_text(g, "tokenizer.ggml.tokens", "a list");
    g->meta[g->n_meta - 1].type = T_ARRAY;
    add_tensors(g, &s, type);
}

static void put_u32(struct mf_buf *b, uint32_t v)
{
    mf_buf_add(b, &v, sizeof(v));
}

static void put_u64(struct mf_buf *b, uint64_t v)
{
    mf_buf_add(b, &v, sizeof(v));
}

static void put_text(struct mf_buf *b, const char *s)
{
    put_u64(b, strlen(s));
    mf_buf_add_str(b, s);
}

static void put_meta(struct mf_buf *b, const struct meta *m)
{
    put_text(b, m->key);
    put_u32(b, m->type);
    switch (m->type) {
    case T_STRING: put_text(b, m->text); break;
    case T_ARRAY:
        put_u32(b, T_STRING);
        put_u64(b, 2);
        put_text(b, "[PAD]");
        put_text(b, "");
        break;
    case T_BOOL: mf_buf_add_char(b, (char)m->number); break;
    case T_U64: put_u64(b, m->number); break;
    default: put_u32(b, m->number); break;
    }
}

static void pad(struct mf_buf *b)
{
    while (b->n % ALIGNMENT != 0) {
        mf_buf_add_char(b, 0);
    }
}

static uint64_t n_values(const struct tensor *t)
{
    uint64_t n = 1;

    for (uint32_t i = 0; i < t->n_dims; i++) {
        n *= t->dim[i];
    }
    return n;
}

static uint64_t n_bytes(const struct tensor *t)
{
    uint64_t n = n_values(t);

    return t->type == G_F32   ? n * 4
           : t->type == G_F16 ? n * 2
                              : n / 32 * (t->type == G_Q8_0 ? 34 : 18);
}

static void put_data(struct mf_buf *b, const struct tensor *t, uint32_t seed)
{
    uint64_t n = n_values(t);

    for (uint64_t i = 0; i < n && t->type == G_F32; i++) {
        put_u32(b, float_bits(mf_model_value(seed, t->source, i)));
    }
    for (uint64_t i = 0; i < n && t->type == G_Q8_0; i++) {
        float steps = mf_model_value(seed, t->source, i) / Q8_STEP;

        if (i % 32 == 0) {
            uint16_t scale = Q8_SCALE;

            mf_buf_add(b, &scale, sizeof(scale));
        }
        mf_buf_add_char(b, (char)(int8_t)steps);
    }
    for (uint64_t i = 0; i < n_bytes(t) && t->type != G_F32 && t->type != G_Q8_0; i++) {
        mf_buf_add_char(b, 0);
    }
}

static void write_gguf(const struct gguf *g, struct mf_buf *b)
{
    uint64_t at = 0;

    mf_buf_init(b);
    mf_buf_add_str(b, "GGUF");
    put_u32(b, g->version);
    put_u64(b, g->n_tensors);
    put_u64(b, g->n_meta);
    for (size_t i = 0; i < g->n_meta; i++) {
        put_meta(b, &g->meta[i]);
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct tensor *t = &g->tensor[i];

        put_text(b, t->name);
        put_u32(b, t->n_dims);
        for (uint32_t k = 0; k < t->n_dims; k++) {
            put_u64(b, t->dim[k]);
        }
        put_u32(b, t->type);
        put_u64(b, at + t->offset);
        at += (n_bytes(t) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        pad(b);
        put_data(b, &g->tensor[i], 1);
    }
    MF_CHECK_OK(mf_buf_status(b));
}

/* ---- what is written is read ---- */

static struct mf_weights *open_gguf(const struct gguf *g)
{
    struct mf_weights *w = NULL;
    struct mf_err err = {0};
    char path[PATH_MAX];
    struct mf_buf b;

    write_gguf(g, &b);
    mf_model_file(mf_test_tmpdir(), "small.gguf", mf_slice_of(b.p, b.n));
    mf_buf_fini(&b);
    (void)snprintf(path, sizeof(path), "%s/small.gguf", mf_test_tmpdir());
    if (mf_weights_open(&w, path, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return w;
}

static void check_values(const struct mf_tensor *t, const char *source, float tolerance)
{
    float *all = malloc((size_t)t->rows * t->cols * sizeof(*all));

    MF_CHECK(all != NULL);
    mf_tensor_read(t, 0, t->rows, all);
    for (size_t i = 0; i < (size_t)t->rows * t->cols; i++) {
        MF_CHECK(fabsf(all[i] - mf_model_value(1, source, i)) <= tolerance);
    }
    free(all);
}

static void check_small(const struct mf_weights *w, float tolerance)
{
    static const char *const ends[MF_W_LAYER_ROLES] = {
        "attention.self.query.weight",
        "attention.self.query.bias",
        "attention.self.key.weight",
        "attention.self.key.bias",
        "attention.self.value.weight",
        "attention.self.value.bias",
        "attention.output.dense.weight",
        "attention.output.dense.bias",
        "attention.output.LayerNorm.weight",
        "attention.output.LayerNorm.bias",
        "intermediate.dense.weight",
        "intermediate.dense.bias",
        "output.dense.weight",
        "output.dense.bias",
        "output.LayerNorm.weight",
        "output.LayerNorm.bias"};

    check_values(mf_weights_of_model(w, MF_W_WORDS),
                 "embeddings.word_embeddings.weight", tolerance);
    check_values(mf_weights_of_model(w, MF_W_POSITIONS),
                 "embeddings.position_embeddings.weight", 0);
    check_values(mf_weights_of_model(w, MF_W_EMBED_NORM_BIAS),
                 "embeddings.LayerNorm.bias", 0);
    for (uint32_t i = 0; i < 2; i++) {
        for (unsigned role = 0; role < MF_W_LAYER_ROLES; role++) {
            char name[128];

            (void)snprintf(name, sizeof(name), "encoder.layer.%u.%s", i, ends[role]);
            check_values(mf_weights_of_layer(w, i, role), name, tolerance);
        }
    }
}

MF_TEST(gguf, gives_every_tensor_its_role)
{
    static struct gguf g;
    struct mf_weights *w;

    small_gguf(&g, G_F32);
    w = open_gguf(&g);
    check_small(w, 0);
    MF_CHECK_STR(mf_dtype_name(mf_weights_info(w)->dtype), "float32");
    mf_weights_close(w);
}

MF_TEST(gguf, tells_what_the_metadata_say)
{
    static struct gguf g;
    const struct mf_weights_info *i;
    struct mf_weights *w;

    small_gguf(&g, G_F32);
    g.version = 2;
    find_meta(&g, "bert.context_length")->type = T_U64;
    w = open_gguf(&g);
    i = mf_weights_info(w);
    MF_CHECK_INT(i->arch, MF_ARCH_BERT);
    MF_CHECK_INT(i->n_layers, 2);
    MF_CHECK_INT(i->hidden, 32);
    MF_CHECK_INT(i->n_heads, 4);
    MF_CHECK_INT(i->ffn, 64);
    MF_CHECK_INT(i->n_vocab, 160);
    MF_CHECK_INT(i->n_positions, 40);
    MF_CHECK_INT(i->window, 32);
    MF_CHECK(i->norm_eps == 1e-12F);
    MF_CHECK_STR(mf_pooling_name(i->pooling), "cls");
    MF_CHECK(i->normalise);
    MF_CHECK_STR(i->name, "Small Test");
    MF_CHECK_INT(strlen(i->revision), MF_REVISION_LEN);
    mf_weights_close(w);
}

MF_TEST(gguf, reads_q8_matrices_beside_f32_vectors)
{
    static struct gguf g;
    struct mf_weights *w;

    small_gguf(&g, G_Q8_0);
    w = open_gguf(&g);
    MF_CHECK_INT(mf_weights_of_layer(w, 0, MF_W_QUERY)->dtype, MF_DTYPE_Q8_0);
    MF_CHECK_INT(mf_weights_of_layer(w, 0, MF_W_QUERY_BIAS)->dtype, MF_DTYPE_F32);
    MF_CHECK_STR(mf_dtype_name(mf_weights_info(w)->dtype), "q8_0");
    check_small(w, Q8_STEP);
    mf_weights_close(w);
}

MF_TEST(gguf, goes_without_token_types_and_a_name)
{
    static struct gguf g;
    struct mf_weights *w;
    struct tensor *types;

    small_gguf(&g, G_F32);
    find_meta(&g, "general.name")->text = "";
    types = find_tensor(&g, "token_types.weight");
    *types = g.tensor[--g.n_tensors]; /* the last one stands where it stood */
    w = open_gguf(&g);
    MF_CHECK_INT(mf_weights_of_model(w, MF_W_TYPES)->rows, 0);
    MF_CHECK_STR(mf_weights_info(w)->name, "small");
    check_small(w, 0);
    mf_weights_close(w);
}

/* ---- damages ---- */

static void check_refused(const struct gguf *g, const char *sentence)
{
    struct mf_weights *w = NULL;
    struct mf_err err = {0};
    char path[PATH_MAX];
    struct mf_buf b;

    write_gguf(g, &b);
    mf_model_file(mf_test_tmpdir(), "x.gguf", mf_slice_of(b.p, b.n));
    mf_buf_fini(&b);
    (void)snprintf(path, sizeof(path), "%s/x.gguf", mf_test_tmpdir());
    MF_CHECK_INT(mf_weights_open(&w, path, &err), MF_EINVAL);
    MF_CHECK_STR(err.msg, sentence);
}

MF_TEST(gguf, refuses_a_file_cut_off_anywhere)
{
    static struct gguf g;
    struct mf_buf b;
    size_t step = 1;

    small_gguf(&g, G_Q8_0);
    write_gguf(&g, &b);
    for (size_t cut = 0; cut < b.n; cut += step) {
        char *part = malloc(cut == 0 ? 1 : cut);
        struct mf_plan plan = {0};
        struct mf_err err = {0};
        struct mf_wtable t;

        MF_CHECK(part != NULL);
        memcpy(part, b.p, cut);
        MF_CHECK_INT(mf_gguf_read(&plan, &t, "f", mf_slice_of(part, cut), &err),
                     MF_EINVAL);
        MF_CHECK(strncmp(err.msg, "f: ", 3) == 0);
        free(part);
        step = cut > 8192 ? 997 : 1;
    }
    mf_buf_fini(&b);
}

MF_TEST(gguf, refuses_metadata_of_other_models)
{
    static const struct {
        const char *key;
        uint32_t value;
        const char *sentence;
    } all[] = {
        {"bert.block_count", 0,
         "x.gguf: bert.block_count is 0 or missing, expected 1 to 256"},
        {"bert.embedding_length", 16385,
         "x.gguf: bert.embedding_length is 16385 or missing, expected 1 to 16384"},
        {"bert.attention.head_count", 5,
         "x.gguf: bert.embedding_length 32 is no multiple of bert.attention.head_count "
         "5"},
        {"bert.context_length", 2, "x.gguf: bert.context_length 2 is too small"},
        {"bert.pooling_type", 4,
         "x.gguf: bert.pooling_type 4 or missing; 1 (mean), 2 (cls) and 3 (last) are "
         "supported"},
        {"bert.pooling_type", UINT32_MAX, "x.gguf: bert.pooling_type: is too large"},
        {"bert.attention.causal", 1,
         "x.gguf: bert.attention.causal true is not supported"},
        {"bert.attention.layer_norm_epsilon", 0x7fc00000,
         "x.gguf: bert.attention.layer_norm_epsilon must be between 0 and 1"},
    };

    for (size_t i = 0; i < mf_countof(all); i++) {
        static struct gguf g;

        small_gguf(&g, G_F32);
        find_meta(&g, all[i].key)->number = all[i].value;
        check_refused(&g, all[i].sentence);
    }
}

MF_TEST(gguf, refuses_keys_of_wrong_kinds_and_twice)
{
    static struct gguf g;

    small_gguf(&g, G_F32);
    find_meta(&g, "bert.block_count")->type = T_F32;
    check_refused(&g, "x.gguf: bert.block_count: must be a whole number");
    small_gguf(&g, G_F32);
    find_meta(&g, "bert.attention.layer_norm_epsilon")->type = T_U32;
    check_refused(&g, "x.gguf: bert.attention.layer_norm_epsilon: must be a float32");
    small_gguf(&g, G_F32);
    find_meta(&g, "general.name")->key = "general.architecture";
    check_refused(&g, "x.gguf: general.architecture: is there twice");
    small_gguf(&g, G_F32);
    find_meta(&g, "general.architecture")->text = "nomic-bert";
    check_refused(&g,
                  "x.gguf: general.architecture nomic-bert is not supported; bert is");
    small_gguf(&g, G_F32);
    add_u32(&g, "split.count", 3);
    check_refused(&g, "x.gguf: one of 3 parts: join them (split.count)");
    small_gguf(&g, G_F32);
    add_u32(&g, "general.alignment", 24);
    check_refused(&g, "x.gguf: general.alignment 24 must be a power of 2 up to 65536");
    small_gguf(&g, G_F32);
    add_u32(&g, "some.key", 0);
    g.meta[g.n_meta - 1].type = 13;
    check_refused(&g, "x.gguf: some.key: a value of an unknown type");
    small_gguf(&g, G_F32);
    g.version = 4;
    check_refused(&g, "x.gguf: GGUF version 4 is not supported; 2 and 3 are");
}

MF_TEST(gguf, refuses_tensors_that_do_not_hold)
{
    static struct gguf g;

    small_gguf(&g, G_F32);
    find_tensor(&g, "blk.1.attn_k.weight")->type = G_Q4_0;
    check_refused(&g, "x.gguf: tensor blk.1.attn_k.weight is Q4_0, expected F32, F16, "
                      "BF16 or Q8_0");
    small_gguf(&g, G_F32);
    find_tensor(&g, "blk.1.attn_k.weight")->type = 4;
    check_refused(&g, "x.gguf: tensor blk.1.attn_k.weight: unknown type 4");
    small_gguf(&g, G_F32);
    find_tensor(&g, "blk.0.ffn_down.weight")->dim[0] = 63;
    check_refused(&g,
                  "x.gguf: tensor blk.0.ffn_down.weight is 32 x 63, expected 32 x 64");
    small_gguf(&g, G_Q8_0);
    find_tensor(&g, "blk.0.ffn_down.weight")->dim[0] = 63;
    check_refused(&g, "x.gguf: tensor blk.0.ffn_down.weight: rows of 63, Q8_0 needs a "
                      "multiple of 32");
    small_gguf(&g, G_F32);
    (void)snprintf(find_tensor(&g, "blk.0.ffn_up.bias")->name, 64, "blk.0.other");
    check_refused(&g, "x.gguf: tensor blk.0.ffn_up.bias is missing (64 was expected)");
    small_gguf(&g, G_F32);
    (void)snprintf(find_tensor(&g, "blk.0.ffn_up.bias")->name, 64, "blk.1.ffn_up.bias");
    check_refused(&g, "x.gguf: tensor blk.1.ffn_up.bias is there twice");
    small_gguf(&g, G_F32);
    find_tensor(&g, "position_embd.weight")->offset = ALIGNMENT;
    check_refused(&g, "x.gguf: a gap before tensor position_embd.weight: it begins at "
                      "20512, expected 20480");
    small_gguf(&g, G_F32);
    find_tensor(&g, "position_embd.weight")->offset = -(uint64_t)ALIGNMENT;
    check_refused(&g, "x.gguf: tensor position_embd.weight overlaps another: it begins "
                      "at 20448, expected 20480");
}

MF_TEST(gguf, refuses_lists_and_counts_that_no_file_could_hold)
{
    static struct gguf g;
    struct mf_plan plan = {0};
    struct mf_err err = {0};
    struct mf_wtable t;
    struct mf_buf b;

    small_gguf(&g, G_F32);
    write_gguf(&g, &b);
    mf_put_u64(b.p + 8, UINT64_MAX);
    MF_CHECK_INT(mf_gguf_read(&plan, &t, "f", mf_slice_of(b.p, b.n), &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "ends behind the file") != NULL);
    mf_put_u64(b.p + 8, g.n_tensors);
    mf_put_u64(b.p + 16, UINT64_MAX / 2);
    MF_CHECK_INT(mf_gguf_read(&plan, &t, "f", mf_slice_of(b.p, b.n), &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "ends behind the file") != NULL);
    mf_buf_fini(&b);
}

MF_TEST(gguf, ends_cleanly_at_each_failed_allocation)
{
    static struct gguf g;
    char path[PATH_MAX];
    int rc = MF_ENOMEM;
    size_t n = 0;

    small_gguf(&g, G_F16);
    mf_weights_close(open_gguf(&g));
    (void)snprintf(path, sizeof(path), "%s/small.gguf", mf_test_tmpdir());
    while (rc != 0) {
        struct mf_weights *w = NULL;
        struct mf_err err = {0};

        mf_test_fail_nth(++n);
        rc = mf_weights_open(&w, path, &err);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        MF_CHECK_INT(rc == 0, !mf_test_has_failed());
        mf_weights_close(w);
    }
    mf_test_fail_nth(0);
    MF_CHECK_INT(n, 4); /* the model, its table, its layers; then none fails */
}
