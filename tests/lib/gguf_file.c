/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/gguf_file.h"

#include "lib/mf_test.h"

#include <limits.h>
#include <stdio.h>

#define Q8_SCALE  0x1800 /* MF_GGUF_FILE_Q8_STEP in half precision */
#define N_SPECIAL 5U

static uint32_t float_bits(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

struct mf_gguf_key *mf_gguf_file_add(struct mf_gguf_file *g, const char *key,
                                     uint32_t number)
{
    struct mf_gguf_key *k = &g->key[g->n_keys++];

    MF_CHECK(g->n_keys <= MF_GGUF_FILE_KEYS);
    *k = (struct mf_gguf_key){.key = key, .type = T_U32, .number = number};
    return k;
}

static void add_text(struct mf_gguf_file *g, const char *key, const char *text)
{
    struct mf_gguf_key *k = mf_gguf_file_add(g, key, 0);

    k->type = T_STRING;
    k->text = text;
}

static void add_list(struct mf_gguf_file *g, const char *key, uint32_t elements,
                     uint64_t n)
{
    struct mf_gguf_key *k = mf_gguf_file_add(g, key, 0);

    k->type = T_ARRAY;
    k->elements = elements;
    k->n = n;
}

struct mf_gguf_key *mf_gguf_file_key(struct mf_gguf_file *g, const char *key)
{
    for (size_t i = 0; i < g->n_keys; i++) {
        if (strcmp(g->key[i].key, key) == 0) {
            return &g->key[i];
        }
    }
    fail_msg("no key %s", key);
    return NULL;
}

void mf_gguf_file_remove_key(struct mf_gguf_file *g, const char *key)
{
    struct mf_gguf_key *k = mf_gguf_file_key(g, key);

    *k = g->key[--g->n_keys]; /* the last one stands where it stood */
}

struct mf_gguf_tensor *mf_gguf_file_tensor(struct mf_gguf_file *g, const char *name)
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
static void add_tensors(struct mf_gguf_file *g, const struct mf_model_spec *s,
                        uint32_t type)
{
    struct mf_model_tensors list = mf_model_tensors(s);

    MF_CHECK(list.n <= MF_GGUF_FILE_TENSORS);
    for (size_t i = 0; i < list.n; i++) {
        const struct mf_model_tensor *from = &list.all[i];
        struct mf_gguf_tensor *to = &g->tensor[g->n_tensors++];

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

/* "##x" stands as "x", and what begins a word behind a mark. */
static void add_pieces(struct mf_gguf_file *g, uint32_t n)
{
    MF_CHECK(n <= MF_GGUF_FILE_PIECES);
    for (uint32_t id = 0; id < n; id++) {
        char piece[MF_MODEL_PIECE_MAX];
        bool is_special = id < N_SPECIAL;
        const char *rest = piece;

        mf_model_piece(id, piece);
        rest += strncmp(piece, "##", 2) == 0 ? 2 : 0;
        (void)snprintf(g->piece[id], sizeof(g->piece[id]), "%s%s",
                       is_special || rest != piece ? "" : "\u2581", rest);
        g->piece_type[id] = is_special ? 3 : 1;
    }
}

static void add_tokenizer(struct mf_gguf_file *g, uint32_t n)
{
    add_text(g, "tokenizer.ggml.model", "bert");
    add_list(g, "tokenizer.ggml.tokens", T_STRING, n);
    add_list(g, "tokenizer.ggml.scores", T_F32, n); /* nobody reads them */
    add_list(g, "tokenizer.ggml.token_type", T_I32, n);
    (void)mf_gguf_file_add(g, "tokenizer.ggml.bos_token_id", 2);
    (void)mf_gguf_file_add(g, "tokenizer.ggml.seperator_token_id", 3);
    (void)mf_gguf_file_add(g, "tokenizer.ggml.unknown_token_id", 1);
    (void)mf_gguf_file_add(g, "tokenizer.ggml.padding_token_id", 0);
    (void)mf_gguf_file_add(g, "tokenizer.ggml.mask_token_id", 4);
    add_pieces(g, n);
}

void mf_gguf_file_small(struct mf_gguf_file *g, uint32_t type)
{
    struct mf_model_spec s = mf_model_small();

    memset(g, 0, sizeof(*g));
    g->version = 3;
    add_text(g, "general.architecture", "bert");
    add_text(g, "general.name", "Small Test");
    (void)mf_gguf_file_add(g, "bert.block_count", s.n_layers);
    (void)mf_gguf_file_add(g, "bert.embedding_length", s.hidden);
    (void)mf_gguf_file_add(g, "bert.feed_forward_length", s.ffn);
    (void)mf_gguf_file_add(g, "bert.attention.head_count", s.n_heads);
    (void)mf_gguf_file_add(g, "bert.context_length", s.window);
    (void)mf_gguf_file_add(g, "bert.pooling_type", 2);
    mf_gguf_file_add(g, "bert.attention.layer_norm_epsilon", float_bits(1e-12F))->type =
        T_F32;
    mf_gguf_file_add(g, "bert.attention.causal", 0)->type = T_BOOL;
    add_tokenizer(g, s.n_vocab);
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

static void put_list(struct mf_buf *b, const struct mf_gguf_file *g,
                     const struct mf_gguf_key *k)
{
    put_u32(b, k->elements);
    put_u64(b, k->n);
    for (uint64_t i = 0; i < k->n; i++) {
        if (k->elements == T_STRING) {
            put_text(b, g->piece[i]);
        } else {
            put_u32(b, k->elements == T_I32 ? g->piece_type[i] : 0);
        }
    }
}

static void put_key(struct mf_buf *b, const struct mf_gguf_file *g,
                    const struct mf_gguf_key *k)
{
    put_text(b, k->key);
    put_u32(b, k->type);
    switch (k->type) {
    case T_STRING: put_text(b, k->text); break;
    case T_ARRAY: put_list(b, g, k); break;
    case T_BOOL: mf_buf_add_char(b, (char)k->number); break;
    case T_U64: put_u64(b, k->number); break;
    default: put_u32(b, k->number); break;
    }
}

static void pad(struct mf_buf *b)
{
    while (b->n % MF_GGUF_FILE_ALIGNMENT != 0) {
        mf_buf_add_char(b, 0);
    }
}

static uint64_t n_values(const struct mf_gguf_tensor *t)
{
    uint64_t n = 1;

    for (uint32_t i = 0; i < t->n_dims; i++) {
        n *= t->dim[i];
    }
    return n;
}

static uint64_t n_bytes(const struct mf_gguf_tensor *t)
{
    uint64_t n = n_values(t);

    return t->type == G_F32   ? n * 4
           : t->type == G_F16 ? n * 2
                              : n / 32 * (t->type == G_Q8_0 ? 34 : 18);
}

static void put_value(struct mf_buf *b, uint32_t type, uint64_t i, float v)
{
    uint16_t half = mf_model_half(v), scale = Q8_SCALE;

    switch (type) {
    case G_F32: put_u32(b, float_bits(v)); return;
    case G_F16: mf_buf_add(b, &half, sizeof(half)); return;
    default: break;
    }
    if (i % 32 == 0) {
        mf_buf_add(b, &scale, sizeof(scale));
    }
    mf_buf_add_char(b, (char)(int8_t)(v / MF_GGUF_FILE_Q8_STEP));
}

static void put_data(struct mf_buf *b, const struct mf_gguf_tensor *t, uint32_t seed)
{
    uint64_t n = n_values(t);

    for (uint64_t i = 0; i < n && t->type != G_Q4_0; i++) {
        put_value(b, t->type, i, mf_model_value(seed, t->source, i));
    }
    for (uint64_t i = 0; i < n_bytes(t) && t->type == G_Q4_0; i++) {
        mf_buf_add_char(b, 0);
    }
}

void mf_gguf_file_write(const struct mf_gguf_file *g, struct mf_buf *b)
{
    uint64_t at = 0;

    mf_buf_init(b);
    mf_buf_add_str(b, "GGUF");
    put_u32(b, g->version);
    put_u64(b, g->n_tensors);
    put_u64(b, g->n_keys);
    for (size_t i = 0; i < g->n_keys; i++) {
        put_key(b, g, &g->key[i]);
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct mf_gguf_tensor *t = &g->tensor[i];

        put_text(b, t->name);
        put_u32(b, t->n_dims);
        for (uint32_t k = 0; k < t->n_dims; k++) {
            put_u64(b, t->dim[k]);
        }
        put_u32(b, t->type);
        put_u64(b, at + t->offset);
        at += (n_bytes(t) + MF_GGUF_FILE_ALIGNMENT - 1) / MF_GGUF_FILE_ALIGNMENT *
              MF_GGUF_FILE_ALIGNMENT;
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        pad(b);
        put_data(b, &g->tensor[i], 1);
    }
    MF_CHECK_OK(mf_buf_status(b));
}

void mf_gguf_file_save(const struct mf_gguf_file *g, const char *name, char *path)
{
    struct mf_buf b;

    mf_gguf_file_write(g, &b);
    mf_model_file(mf_test_tmpdir(), name, mf_slice_of(b.p, b.n));
    mf_buf_fini(&b);
    (void)snprintf(path, PATH_MAX, "%s/%s", mf_test_tmpdir(), name);
}
