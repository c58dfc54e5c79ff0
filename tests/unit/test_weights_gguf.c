/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/gguf_file.h"
#include "lib/mf_test.h"
#include "weights/gguf.h"
#include "weights/weights.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what is written is read ---- */

static struct mf_weights *open_gguf(const struct mf_gguf_file *g)
{
    struct mf_weights *w = NULL;
    struct mf_err err = {0};
    char path[PATH_MAX];

    mf_gguf_file_save(g, "small.gguf", path);
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
    static struct mf_gguf_file g;
    struct mf_weights *w;

    mf_gguf_file_small(&g, G_F32);
    w = open_gguf(&g);
    check_small(w, 0);
    MF_CHECK_STR(mf_dtype_name(mf_weights_info(w)->dtype), "float32");
    mf_weights_close(w);
}

MF_TEST(gguf, tells_what_the_metadata_say)
{
    static struct mf_gguf_file g;
    const struct mf_weights_info *i;
    struct mf_weights *w;

    mf_gguf_file_small(&g, G_F32);
    g.version = 2;
    mf_gguf_file_key(&g, "bert.context_length")->type = T_U64;
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
    static struct mf_gguf_file g;
    struct mf_weights *w;

    mf_gguf_file_small(&g, G_Q8_0);
    w = open_gguf(&g);
    MF_CHECK_INT(mf_weights_of_layer(w, 0, MF_W_QUERY)->dtype, MF_DTYPE_Q8_0);
    MF_CHECK_INT(mf_weights_of_layer(w, 0, MF_W_QUERY_BIAS)->dtype, MF_DTYPE_F32);
    MF_CHECK_STR(mf_dtype_name(mf_weights_info(w)->dtype), "q8_0");
    check_small(w, MF_GGUF_FILE_Q8_STEP);
    mf_weights_close(w);
}

MF_TEST(gguf, goes_without_token_types_and_a_name)
{
    static struct mf_gguf_file g;
    struct mf_weights *w;
    struct mf_gguf_tensor *types;

    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, "general.name")->text = "";
    types = mf_gguf_file_tensor(&g, "token_types.weight");
    *types = g.tensor[--g.n_tensors]; /* the last one stands where it stood */
    w = open_gguf(&g);
    MF_CHECK_INT(mf_weights_of_model(w, MF_W_TYPES)->rows, 0);
    MF_CHECK_STR(mf_weights_info(w)->name, "small");
    check_small(w, 0);
    mf_weights_close(w);
}

/* ---- damages ---- */

static void check_refused(const struct mf_gguf_file *g, const char *sentence)
{
    struct mf_weights *w = NULL;
    struct mf_err err = {0};
    char path[PATH_MAX];

    mf_gguf_file_save(g, "x.gguf", path);
    MF_CHECK_INT(mf_weights_open(&w, path, &err), MF_EINVAL);
    MF_CHECK_STR(err.msg, sentence);
}

MF_TEST(gguf, refuses_a_file_cut_off_anywhere)
{
    static struct mf_gguf_file g;
    struct mf_buf b;
    size_t step = 1;

    mf_gguf_file_small(&g, G_Q8_0);
    mf_gguf_file_write(&g, &b);
    for (size_t cut = 0; cut < b.n; cut += step) {
        char *part = malloc(cut == 0 ? 1 : cut);
        struct mf_plan plan = {0};
        struct mf_err err = {0};
        struct mf_arena arena;
        struct mf_wtable t;

        mf_arena_init(&arena, 1024);
        MF_CHECK(part != NULL);
        memcpy(part, b.p, cut);
        MF_CHECK_INT(mf_gguf_read(&plan, &arena, &t, "f", mf_slice_of(part, cut), &err),
                     MF_EINVAL);
        MF_CHECK(strncmp(err.msg, "f: ", 3) == 0);
        free(part);
        mf_arena_fini(&arena);
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
        static struct mf_gguf_file g;

        mf_gguf_file_small(&g, G_F32);
        mf_gguf_file_key(&g, all[i].key)->number = all[i].value;
        check_refused(&g, all[i].sentence);
    }
}

MF_TEST(gguf, refuses_keys_of_wrong_kinds_and_twice)
{
    static struct mf_gguf_file g;

    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, "bert.block_count")->type = T_F32;
    check_refused(&g, "x.gguf: bert.block_count: must be a whole number");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, "bert.attention.layer_norm_epsilon")->type = T_U32;
    check_refused(&g, "x.gguf: bert.attention.layer_norm_epsilon: must be a float32");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, "general.name")->key = "general.architecture";
    check_refused(&g, "x.gguf: general.architecture: is there twice");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, "general.architecture")->text = "nomic-bert";
    check_refused(&g,
                  "x.gguf: general.architecture nomic-bert is not supported; bert is");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_add(&g, "split.count", 3);
    check_refused(&g, "x.gguf: one of 3 parts: join them (split.count)");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_add(&g, "general.alignment", 24);
    check_refused(&g, "x.gguf: general.alignment 24 must be a power of 2 up to 65536");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_add(&g, "some.key", 0)->type = 13;
    check_refused(&g, "x.gguf: some.key: a value of an unknown type");
    mf_gguf_file_small(&g, G_F32);
    g.version = 4;
    check_refused(&g, "x.gguf: GGUF version 4 is not supported; 2 and 3 are");
}

MF_TEST(gguf, refuses_tensors_that_do_not_hold)
{
    static struct mf_gguf_file g;

    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_tensor(&g, "blk.1.attn_k.weight")->type = G_Q4_0;
    check_refused(&g, "x.gguf: tensor blk.1.attn_k.weight is Q4_0, expected F32, F16, "
                      "BF16 or Q8_0");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_tensor(&g, "blk.1.attn_k.weight")->type = 4;
    check_refused(&g, "x.gguf: tensor blk.1.attn_k.weight: unknown type 4");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_tensor(&g, "blk.0.ffn_down.weight")->dim[0] = 63;
    check_refused(&g,
                  "x.gguf: tensor blk.0.ffn_down.weight is 32 x 63, expected 32 x 64");
    mf_gguf_file_small(&g, G_Q8_0);
    mf_gguf_file_tensor(&g, "blk.0.ffn_down.weight")->dim[0] = 63;
    check_refused(&g, "x.gguf: tensor blk.0.ffn_down.weight: rows of 63, Q8_0 needs a "
                      "multiple of 32");
    mf_gguf_file_small(&g, G_F32);
    (void)snprintf(mf_gguf_file_tensor(&g, "blk.0.ffn_up.bias")->name, 64,
                   "blk.0.other");
    check_refused(&g, "x.gguf: tensor blk.0.ffn_up.bias is missing (64 was expected)");
    mf_gguf_file_small(&g, G_F32);
    (void)snprintf(mf_gguf_file_tensor(&g, "blk.0.ffn_up.bias")->name, 64,
                   "blk.1.ffn_up.bias");
    check_refused(&g, "x.gguf: tensor blk.1.ffn_up.bias is there twice");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_tensor(&g, "position_embd.weight")->offset = MF_GGUF_FILE_ALIGNMENT;
    check_refused(&g, "x.gguf: a gap before tensor position_embd.weight: it begins at "
                      "20512, expected 20480");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_tensor(&g, "position_embd.weight")->offset =
        -(uint64_t)MF_GGUF_FILE_ALIGNMENT;
    check_refused(&g, "x.gguf: tensor position_embd.weight overlaps another: it begins "
                      "at 20448, expected 20480");
}

MF_TEST(gguf, refuses_lists_and_counts_that_no_file_could_hold)
{
    static struct mf_gguf_file g;
    struct mf_plan plan = {0};
    struct mf_err err = {0};
    struct mf_arena arena;
    struct mf_wtable t;
    struct mf_buf b;

    mf_gguf_file_small(&g, G_F32);
    mf_arena_init(&arena, 1024);
    mf_gguf_file_write(&g, &b);
    mf_put_u64(b.p + 8, UINT64_MAX);
    MF_CHECK_INT(mf_gguf_read(&plan, &arena, &t, "f", mf_slice_of(b.p, b.n), &err),
                 MF_EINVAL);
    MF_CHECK(strstr(err.msg, "ends behind the file") != NULL);
    mf_put_u64(b.p + 8, g.n_tensors);
    mf_put_u64(b.p + 16, UINT64_MAX / 2);
    MF_CHECK_INT(mf_gguf_read(&plan, &arena, &t, "f", mf_slice_of(b.p, b.n), &err),
                 MF_EINVAL);
    MF_CHECK(strstr(err.msg, "ends behind the file") != NULL);
    mf_buf_fini(&b);
    mf_arena_fini(&arena);
}

MF_TEST(gguf, ends_cleanly_at_each_failed_allocation)
{
    static struct mf_gguf_file g;
    char path[PATH_MAX];
    int rc = MF_ENOMEM;
    size_t n = 0;

    mf_gguf_file_small(&g, G_F16);
    mf_gguf_file_save(&g, "small.gguf", path);
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
    /* The model, its pieces in several blocks, its table, its layers; then none. */
    MF_CHECK(n > 4 && n < 32);
}
