/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "lib/model_folder.h"
#include "weights/weights.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct mf_weights *must_open(const char *path)
{
    struct mf_weights *w = NULL;
    struct mf_err err = {0};
    int rc = mf_weights_open(&w, path, &err);

    if (rc < 0) {
        print_error("%s\n", err.msg);
    }
    MF_CHECK_OK(rc);
    return w;
}

static struct mf_weights *open_spec(const struct mf_model_spec *s)
{
    mf_model_folder(mf_test_tmpdir(), s);
    return must_open(mf_test_tmpdir());
}

struct written {
    uint32_t seed;
    const char *name;
    float tolerance;
};

/* `row` holds elements from `at` on. */
static void check_row(const struct written *w, uint64_t at, const float *row,
                      uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        float want = mf_model_value(w->seed, w->name, at + i);

        if (!(fabsf(row[i] - want) <= w->tolerance)) {
            print_error("%s[%zu]: %g, written %g\n", w->name, (size_t)at + i,
                        (double)row[i], (double)want);
            fail();
        }
    }
}

/* Each element of the tensor, read row by row, is the one that was written. */
static void check_values(const struct mf_model_spec *s, const struct mf_tensor *t,
                         const char *name, float tolerance)
{
    struct written w = {s->seed, name, tolerance};
    float *row = malloc(t->cols * sizeof(*row));

    MF_CHECK(row != NULL);
    for (uint32_t r = 0; r < t->rows; r++) {
        mf_tensor_read(t, r, 1, row);
        check_row(&w, (uint64_t)r * t->cols, row, t->cols);
    }
    free(row);
}

/* A role's tensor is called "<before><layer><after>". */
struct names {
    const char *before, *after[MF_W_LAYER_ROLES];
};

static void check_layers(const struct mf_weights *w, const struct mf_model_spec *s,
                         const struct names *names, float tolerance)
{
    for (uint32_t i = 0; i < s->n_layers; i++) {
        for (unsigned role = 0; role < MF_W_LAYER_ROLES; role++) {
            char name[160];

            (void)snprintf(name, sizeof(name), "%s%u%s", names->before, i,
                           names->after[role]);
            check_values(s, mf_weights_of_layer(w, i, role), name, tolerance);
        }
    }
}

static const struct names bert = {"encoder.layer.",
                                  {
                                      ".attention.self.query.weight",
                                      ".attention.self.query.bias",
                                      ".attention.self.key.weight",
                                      ".attention.self.key.bias",
                                      ".attention.self.value.weight",
                                      ".attention.self.value.bias",
                                      ".attention.output.dense.weight",
                                      ".attention.output.dense.bias",
                                      ".attention.output.LayerNorm.weight",
                                      ".attention.output.LayerNorm.bias",
                                      ".intermediate.dense.weight",
                                      ".intermediate.dense.bias",
                                      ".output.dense.weight",
                                      ".output.dense.bias",
                                      ".output.LayerNorm.weight",
                                      ".output.LayerNorm.bias",
                                  }};

static const struct names old_bert = {"bert.encoder.layer.",
                                      {
                                          ".attention.self.query.weight",
                                          ".attention.self.query.bias",
                                          ".attention.self.key.weight",
                                          ".attention.self.key.bias",
                                          ".attention.self.value.weight",
                                          ".attention.self.value.bias",
                                          ".attention.output.dense.weight",
                                          ".attention.output.dense.bias",
                                          ".attention.output.LayerNorm.gamma",
                                          ".attention.output.LayerNorm.beta",
                                          ".intermediate.dense.weight",
                                          ".intermediate.dense.bias",
                                          ".output.dense.weight",
                                          ".output.dense.bias",
                                          ".output.LayerNorm.gamma",
                                          ".output.LayerNorm.beta",
                                      }};

static const struct names distilbert = {"distilbert.transformer.layer.",
                                        {
                                            ".attention.q_lin.weight",
                                            ".attention.q_lin.bias",
                                            ".attention.k_lin.weight",
                                            ".attention.k_lin.bias",
                                            ".attention.v_lin.weight",
                                            ".attention.v_lin.bias",
                                            ".attention.out_lin.weight",
                                            ".attention.out_lin.bias",
                                            ".sa_layer_norm.weight",
                                            ".sa_layer_norm.bias",
                                            ".ffn.lin1.weight",
                                            ".ffn.lin1.bias",
                                            ".ffn.lin2.weight",
                                            ".ffn.lin2.bias",
                                            ".output_layer_norm.weight",
                                            ".output_layer_norm.bias",
                                        }};

static const struct names mpnet = {"encoder.layer.",
                                   {
                                       ".attention.attn.q.weight",
                                       ".attention.attn.q.bias",
                                       ".attention.attn.k.weight",
                                       ".attention.attn.k.bias",
                                       ".attention.attn.v.weight",
                                       ".attention.attn.v.bias",
                                       ".attention.attn.o.weight",
                                       ".attention.attn.o.bias",
                                       ".attention.LayerNorm.weight",
                                       ".attention.LayerNorm.bias",
                                       ".intermediate.dense.weight",
                                       ".intermediate.dense.bias",
                                       ".output.dense.weight",
                                       ".output.dense.bias",
                                       ".output.LayerNorm.weight",
                                       ".output.LayerNorm.bias",
                                   }};

static void check_embeddings(const struct mf_weights *w, const struct mf_model_spec *s)
{
    check_values(s, mf_weights_of_model(w, MF_W_WORDS),
                 "embeddings.word_embeddings.weight", 0);
    check_values(s, mf_weights_of_model(w, MF_W_POSITIONS),
                 "embeddings.position_embeddings.weight", 0);
    check_values(s, mf_weights_of_model(w, MF_W_TYPES),
                 "embeddings.token_type_embeddings.weight", 0);
    check_values(s, mf_weights_of_model(w, MF_W_EMBED_NORM),
                 "embeddings.LayerNorm.weight", 0);
    check_values(s, mf_weights_of_model(w, MF_W_EMBED_NORM_BIAS),
                 "embeddings.LayerNorm.bias", 0);
}

static void check_shape(const struct mf_tensor *t, uint32_t rows, uint32_t cols)
{
    MF_CHECK_INT(t->rows, rows);
    MF_CHECK_INT(t->cols, cols);
}

MF_TEST(weights, gives_every_tensor_of_bert_its_role)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w = open_spec(&s);

    check_embeddings(w, &s);
    check_layers(w, &s, &bert, 0);
    check_shape(mf_weights_of_model(w, MF_W_TYPES), 2, 32);
    check_shape(mf_weights_of_model(w, MF_W_RELATIVE), 0, 0);
    check_shape(mf_weights_of_layer(w, 1, MF_W_UP), 64, 32);
    check_shape(mf_weights_of_layer(w, 1, MF_W_UP_BIAS), 1, 64);
    check_shape(mf_weights_of_layer(w, 1, MF_W_DOWN), 32, 64);
    check_shape(mf_weights_of_layer(w, 1, MF_W_DOWN_BIAS), 1, 32);
    mf_weights_close(w);
}

MF_TEST(weights, tells_what_the_folder_says)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w = open_spec(&s);
    const struct mf_weights_info *i = mf_weights_info(w);

    MF_CHECK_INT(i->arch, MF_ARCH_BERT);
    MF_CHECK_INT(i->n_layers, 2);
    MF_CHECK_INT(i->hidden, 32);
    MF_CHECK_INT(i->n_heads, 4);
    MF_CHECK_INT(i->ffn, 64);
    MF_CHECK_INT(i->n_vocab, 160);
    MF_CHECK_INT(i->n_positions, 40);
    MF_CHECK_INT(i->position_offset, 0);
    MF_CHECK_INT(i->window, 32);
    MF_CHECK(i->norm_eps == 1e-12F);
    MF_CHECK_INT(i->activation, MF_ACT_GELU);
    MF_CHECK_STR(mf_pooling_name(i->pooling), "mean");
    MF_CHECK(i->normalise);
    MF_CHECK_STR(mf_dtype_name(i->dtype), "float32");
    MF_CHECK_INT(strlen(i->revision), MF_REVISION_LEN);
    MF_CHECK_INT(i->n_prompts, 0);
    MF_CHECK(i->default_prompt == NULL);
    mf_weights_close(w);
}

MF_TEST(weights, reads_half_precision_of_both_kinds)
{
    static const char *const dtypes[][2] = {{"F16", "float16"}, {"BF16", "bfloat16"}};

    for (size_t i = 0; i < mf_countof(dtypes); i++) {
        struct mf_model_spec s = mf_model_small();
        struct mf_weights *w;

        s.dtype = dtypes[i][0];
        w = open_spec(&s);
        MF_CHECK_STR(mf_dtype_name(mf_weights_info(w)->dtype), dtypes[i][1]);
        /* bfloat16 keeps 8 bits of values below 2. */
        check_layers(w, &s, &bert, 1.0F / 128);
        mf_weights_close(w);
    }
}

MF_TEST(weights, knows_prefixes_and_old_names_of_norms)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w;

    s.prefix = "bert.";
    s.gamma_beta = true;
    w = open_spec(&s);
    check_layers(w, &s, &old_bert, 0);
    check_values(&s, mf_weights_of_model(w, MF_W_EMBED_NORM),
                 "bert.embeddings.LayerNorm.gamma", 0);
    check_values(&s, mf_weights_of_model(w, MF_W_EMBED_NORM_BIAS),
                 "bert.embeddings.LayerNorm.beta", 0);
    mf_weights_close(w);
}

MF_TEST(weights, gives_every_tensor_of_distilbert_its_role)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w;

    s.arch = MF_ARCH_DISTILBERT;
    s.prefix = "distilbert.";
    w = open_spec(&s);
    MF_CHECK_INT(mf_weights_info(w)->arch, MF_ARCH_DISTILBERT);
    check_layers(w, &s, &distilbert, 0);
    check_shape(mf_weights_of_model(w, MF_W_TYPES), 0, 0);
    mf_weights_close(w);
}

MF_TEST(weights, gives_every_tensor_of_mpnet_its_role)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w;

    s.arch = MF_ARCH_MPNET;
    w = open_spec(&s);
    MF_CHECK_INT(mf_weights_info(w)->position_offset, 2);
    check_layers(w, &s, &mpnet, 0);
    check_shape(mf_weights_of_model(w, MF_W_RELATIVE), 32, 4);
    check_values(&s, mf_weights_of_model(w, MF_W_RELATIVE),
                 "encoder.relative_attention_bias.weight", 0);
    check_shape(mf_weights_of_model(w, MF_W_TYPES), 0, 0);
    mf_weights_close(w);
}

MF_TEST(weights, counts_positions_of_roberta_from_behind_the_padding)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w;

    s.arch = MF_ARCH_ROBERTA;
    s.n_types = 1;
    s.window = 512;
    w = open_spec(&s);
    MF_CHECK_INT(mf_weights_info(w)->position_offset, 2);
    MF_CHECK_INT(mf_weights_info(w)->window, 38);
    check_layers(w, &s, &bert, 0);
    mf_weights_close(w);
}

MF_TEST(weights, goes_without_the_files_that_may_be_absent)
{
    struct mf_model_spec s = mf_model_small();
    const char *folder = mf_test_tmpdir();
    struct mf_weights *w;

    mf_model_folder(folder, &s);
    mf_model_remove(folder, "modules.json");
    mf_model_remove(folder, "1_Pooling/config.json");
    mf_model_remove(folder, "1_Pooling");
    mf_model_remove(folder, "sentence_bert_config.json");
    w = must_open(folder);
    MF_CHECK_INT(mf_weights_info(w)->pooling, MF_POOL_MEAN);
    MF_CHECK(!mf_weights_info(w)->normalise);
    MF_CHECK_INT(mf_weights_info(w)->window, 40);
    mf_weights_close(w);

    mf_model_text(folder, "sentence_bert_config.json", "{\"max_seq_length\": null}");
    mf_model_text(folder, "tokenizer_config.json", "{\"model_max_length\": 24}");
    w = must_open(folder);
    MF_CHECK_INT(mf_weights_info(w)->window, 24);
    mf_weights_close(w);
}

MF_TEST(weights, finds_the_encoder_in_the_folder_that_the_layout_names)
{
    struct mf_model_spec s = mf_model_small();
    const char *folder = mf_test_tmpdir();
    struct mf_weights *w;
    char inner[PATH_MAX];

    mf_model_configs(folder, &s);
    mf_model_remove(folder, "config.json");
    (void)snprintf(inner, sizeof(inner), "%s/0_Transformer", folder);
    MF_CHECK_OK(mkdir(inner, 0700));
    mf_model_folder(inner, &s);
    mf_model_text(
        folder, "modules.json",
        "[{\"type\": \"sentence_transformers.models.Transformer\", "
        "\"path\": \"0_Transformer\"}, {\"type\": "
        "\"sentence_transformers.models.Pooling\", \"path\": \"1_Pooling\"}]");
    w = must_open(folder);
    check_layers(w, &s, &bert, 0);
    MF_CHECK(!mf_weights_info(w)->normalise);
    mf_weights_close(w);
}

MF_TEST(weights, keeps_prompts_after_the_files_are_closed)
{
    struct mf_model_spec s = mf_model_small();
    const struct mf_weights_info *i;
    struct mf_weights *w;

    mf_model_text(mf_test_tmpdir(), "config_sentence_transformers.json",
                  "{\"prompts\": {\"query\": \"query: \", \"passage\": \"\"}, "
                  "\"default_prompt_name\": \"query\"}");
    w = open_spec(&s);
    i = mf_weights_info(w);
    MF_CHECK_INT(i->n_prompts, 2);
    MF_CHECK_STR(i->prompts[0].name, "query");
    MF_CHECK_STR(i->prompts[0].text, "query: ");
    MF_CHECK_STR(i->prompts[1].name, "passage");
    MF_CHECK_STR(i->prompts[1].text, "");
    MF_CHECK_STR(i->default_prompt, "query");
    mf_weights_close(w);
}

MF_TEST(weights, changes_the_revision_with_every_value)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w = open_spec(&s);
    char first[MF_REVISION_LEN + 1];

    memcpy(first, mf_weights_info(w)->revision, sizeof(first));
    mf_weights_close(w);
    w = open_spec(&s);
    MF_CHECK_STR(mf_weights_info(w)->revision, first);
    mf_weights_close(w);
    s.seed = 2;
    w = open_spec(&s);
    MF_CHECK(strcmp(mf_weights_info(w)->revision, first) != 0);
    mf_weights_close(w);
}

static void check_name(const char *path, const char *config_name, const char *want)
{
    char folder[PATH_MAX], config[512];
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w;

    (void)snprintf(folder, sizeof(folder), "%s", mf_test_tmpdir());
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        (void)snprintf(folder, sizeof(folder), "%s/%.*s", mf_test_tmpdir(),
                       (int)(strchrnul(part, '/') - path), path);
        (void)mkdir(folder, 0700);
    }
    mf_model_folder(folder, &s);
    (void)snprintf(config, sizeof(config),
                   "{\"model_type\": \"bert\", \"vocab_size\": 160, \"hidden_size\": "
                   "32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                   "\"intermediate_size\": 64, \"max_position_embeddings\": 40, "
                   "\"_name_or_path\": \"%s\"}",
                   config_name);
    mf_model_text(folder, "config.json", config);
    w = must_open(folder);
    MF_CHECK_STR(mf_weights_info(w)->name, want);
    mf_weights_close(w);
}

MF_TEST(weights, is_named_by_its_folder_or_by_its_publisher)
{
    check_name("all-MiniLM-L6-v2", "nreimers/MiniLM-L6-H384-uncased",
               "all-MiniLM-L6-v2");
    check_name("model", "BAAI/bge-small-en", "bge-small-en");
    check_name("model", "/somewhere/output/step_4", "model");
    check_name("model", "./output", "model");
    check_name("model", "", "model");
    check_name("models--intfloat--e5-small-v2/snapshots/"
               "0123456789abcdef0123456789abcdef01234567",
               "somebody/base", "e5-small-v2");
    check_name("0123456789abcdef0123456789abcdef01234567", "somebody/base", "base");
}

MF_TEST(weights, ends_cleanly_at_each_failed_allocation)
{
    struct mf_model_spec s = mf_model_small();
    const char *folder = mf_test_tmpdir();
    struct mf_weights *w = NULL;
    int rc = MF_ENOMEM;
    size_t n = 0;

    mf_model_folder(folder, &s);
    mf_model_text(folder, "config_sentence_transformers.json",
                  "{\"prompts\": {\"query\": \"query: \"}}");
    while (rc != 0) {
        struct mf_err err = {0};

        mf_test_fail_nth(++n);
        rc = mf_weights_open(&w, folder, &err);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        MF_CHECK(rc == 0 || err.msg[0] != '\0');
        MF_CHECK_INT(rc == 0, !mf_test_has_failed());
    }
    mf_test_fail_nth(0);
    MF_CHECK(n > 10);
    mf_weights_close(w);
}

MF_TEST(weights, reads_the_published_model)
{
    const char *path = getenv("MEMFUSE_TEST_MODEL");
    const struct mf_weights_info *i;
    struct mf_weights *w;
    float row[384];

    if (path == NULL || *path == '\0') {
        print_message("MEMFUSE_TEST_MODEL names no folder with all-MiniLM-L6-v2\n");
        skip();
    }
    w = must_open(path);
    i = mf_weights_info(w);
    MF_CHECK_INT(i->n_layers, 6);
    MF_CHECK_INT(i->hidden, 384);
    MF_CHECK_INT(i->n_vocab, 30522);
    MF_CHECK_INT(i->window, 256);
    MF_CHECK(i->normalise);
    MF_CHECK_STR(i->revision,
                 "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db");
    mf_tensor_read(mf_weights_of_model(w, MF_W_WORDS), 101, 1, row);
    MF_CHECK(fabsf(row[0] - -0.0176194F) < 1e-6F);
    mf_weights_close(w);
}
