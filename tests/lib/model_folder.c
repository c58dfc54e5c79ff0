/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/model_folder.h"

#include "lib/mf_test.h"
#include "lib/test_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TENSORS_A_LAYER 16U
#define MAX_TENSORS_BESIDE  8U

struct mf_model_spec mf_model_small(void)
{
    return (struct mf_model_spec){.arch = MF_ARCH_BERT,
                                  .n_layers = 2,
                                  .hidden = 32,
                                  .n_heads = 4,
                                  .ffn = 64,
                                  .n_vocab = 160,
                                  .n_positions = 40,
                                  .n_types = 2,
                                  .window = 32,
                                  .seed = 1,
                                  .dtype = "F32",
                                  .pooling = "mean",
                                  .normalise = true};
}

/* ---- the list ---- */

/* The eight pairs of a layer, in the order of enum mf_layer_role. */
struct layer_names {
    const char *before;
    const char *stem[8];
};

static const struct layer_names *names_of(enum mf_arch arch)
{
    static const struct layer_names bert = {
        "encoder.layer.",
        {"attention.self.query", "attention.self.key", "attention.self.value",
         "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
         "output.dense", "output.LayerNorm"}};
    static const struct layer_names distilbert = {
        "transformer.layer.",
        {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
         "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"}};
    static const struct layer_names mpnet = {
        "encoder.layer.",
        {"attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o",
         "attention.LayerNorm", "intermediate.dense", "output.dense",
         "output.LayerNorm"}};

    return arch == MF_ARCH_DISTILBERT ? &distilbert
           : arch == MF_ARCH_MPNET    ? &mpnet
                                      : &bert;
}

static void add(struct mf_model_tensors *list, const struct mf_model_spec *s,
                const char *name, uint64_t rows, uint64_t cols)
{
    struct mf_model_tensor *t = &list->all[list->n++];
    const char *prefix = s->prefix == NULL ? "" : s->prefix;
    int n = snprintf(t->name, sizeof(t->name), "%s%s", prefix, name);

    assert_in_range(n, 1, sizeof(t->name) - 1);
    t->dtype = s->dtype;
    t->n_dims = rows == 0 ? 1 : 2;
    t->dim[0] = rows == 0 ? cols : rows;
    t->dim[1] = rows == 0 ? 0 : cols;
}

static void add_pair(struct mf_model_tensors *list, const struct mf_model_spec *s,
                     const char *stem, uint64_t rows, uint64_t cols)
{
    bool is_old = s->gamma_beta && strstr(stem, "LayerNorm") != NULL;
    char name[96];

    (void)snprintf(name, sizeof(name), "%s.%s", stem, is_old ? "gamma" : "weight");
    add(list, s, name, rows, cols);
    (void)snprintf(name, sizeof(name), "%s.%s", stem, is_old ? "beta" : "bias");
    add(list, s, name, 0, rows == 0 ? cols : rows);
}

static void add_layer(struct mf_model_tensors *list, const struct mf_model_spec *s,
                      uint32_t layer)
{
    const struct layer_names *names = names_of(s->arch);
    const uint64_t h = s->hidden, f = s->ffn;
    const uint64_t shape[8][2] = {{h, h}, {h, h}, {h, h}, {h, h},
                                  {0, h}, {f, h}, {h, f}, {0, h}};

    for (size_t i = 0; i < mf_countof(shape); i++) {
        char stem[80];

        (void)snprintf(stem, sizeof(stem), "%s%u.%s", names->before, layer,
                       names->stem[i]);
        add_pair(list, s, stem, shape[i][0], shape[i][1]);
    }
}

struct mf_model_tensors mf_model_tensors(const struct mf_model_spec *s)
{
    size_t max = (size_t)s->n_layers * MAX_TENSORS_A_LAYER + MAX_TENSORS_BESIDE;
    struct mf_model_tensors list = {.all = calloc(max, sizeof(*list.all))};

    assert_non_null(list.all);
    add(&list, s, "embeddings.word_embeddings.weight", s->n_vocab, s->hidden);
    add(&list, s, "embeddings.position_embeddings.weight", s->n_positions, s->hidden);
    if (s->arch == MF_ARCH_BERT || s->arch == MF_ARCH_ROBERTA) {
        add(&list, s, "embeddings.token_type_embeddings.weight", s->n_types, s->hidden);
    }
    if (s->arch == MF_ARCH_MPNET) {
        add(&list, s, "encoder.relative_attention_bias.weight", 32, s->n_heads);
    }
    add_pair(&list, s, "embeddings.LayerNorm", 0, s->hidden);
    for (uint32_t i = 0; i < s->n_layers; i++) {
        add_layer(&list, s, i);
    }
    return list;
}

void mf_model_tensors_free(struct mf_model_tensors *list)
{
    free(list->all);
    list->all = NULL;
    list->n = 0;
}

struct mf_model_tensor *mf_model_tensor(const struct mf_model_tensors *list,
                                        const char *name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->all[i].name, name) == 0) {
            return &list->all[i];
        }
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

void mf_model_tensor_remove(struct mf_model_tensors *list, const char *name)
{
    struct mf_model_tensor *t = mf_model_tensor(list, name);
    size_t n_behind = list->n - 1 - (size_t)(t - list->all);

    memmove(t, t + 1, n_behind * sizeof(*t));
    list->n--;
}

/* ---- values ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static bool is_norm_weight(const char *name)
{
    return strstr(name, "LayerNorm.weight") != NULL ||
           strstr(name, "LayerNorm.gamma") != NULL ||
           strstr(name, "layer_norm.weight") != NULL;
}

/* Multiples of 1/1024 below 1/4: exact in half precision when near 0. */
float mf_model_value(uint32_t seed, const char *name, uint64_t i)
{
    uint64_t h = seed;
    float small;

    for (const char *c = name; *c != '\0'; c++) {
        h = h * 31 + (unsigned char)*c;
    }
    small = (float)((int)(mix(h + i * 0x9e3779b97f4a7c15ULL) % 511) - 255) / 1024.0F;
    return is_norm_weight(name) ? 1.0F + small : small;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

/* For 0 and normal halves; what does not fit in ten bits is cut off. */
uint16_t mf_model_half(float f)
{
    uint32_t bits = bits_of(f);
    uint32_t exponent = (bits >> 23 & 0xff) - 112;

    return f == 0 ? 0
                  : (uint16_t)((bits >> 16 & 0x8000) | exponent << 10 |
                               (bits >> 13 & 0x3ff));
}

static size_t element_bytes(const char *dtype)
{
    return strcmp(dtype, "F32") == 0 ? 4 : strcmp(dtype, "I64") == 0 ? 8 : 2;
}

static uint64_t n_elements(const struct mf_model_tensor *t)
{
    uint64_t n = 1;

    for (uint32_t i = 0; i < t->n_dims; i++) {
        n *= t->dim[i];
    }
    return n;
}

static void put_values(FILE *f, const struct mf_model_tensor *t, uint32_t seed)
{
    uint64_t n = n_elements(t);

    for (uint64_t i = 0; i < n; i++) {
        float v = mf_model_value(seed, t->name, i);
        uint64_t wide = 0;

        if (strcmp(t->dtype, "F32") == 0) {
            wide = bits_of(v);
        } else if (strcmp(t->dtype, "F16") == 0) {
            wide = mf_model_half(v);
        } else if (strcmp(t->dtype, "BF16") == 0) {
            wide = bits_of(v) >> 16;
        }
        assert_int_equal(fwrite(&wide, element_bytes(t->dtype), 1, f), 1);
    }
}

/* ---- files ---- */

static FILE *create(const char *folder, const char *name)
{
    char path[PATH_MAX];
    FILE *f;

    assert_in_range(snprintf(path, sizeof(path), "%s/%s", folder, name), 1,
                    sizeof(path) - 1);
    f = fopen(path, "wb");
    assert_non_null(f);
    return f;
}

void mf_model_file(const char *folder, const char *name, struct mf_slice bytes)
{
    mf_test_file(folder, name, bytes.p, bytes.n);
}

void mf_model_text(const char *folder, const char *name, const char *text)
{
    mf_model_file(folder, name, mf_slice_str(text));
}

void mf_model_remove(const char *folder, const char *name)
{
    char path[PATH_MAX];

    assert_in_range(snprintf(path, sizeof(path), "%s/%s", folder, name), 1,
                    sizeof(path) - 1);
    assert_int_equal(remove(path), 0);
}

static void make_folder(const char *folder, const char *name)
{
    char path[PATH_MAX];

    assert_in_range(snprintf(path, sizeof(path), "%s/%s", folder, name), 1,
                    sizeof(path) - 1);
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
}

static void write_header(FILE *f, const struct mf_model_tensors *list)
{
    uint64_t at = 0;

    (void)fprintf(f, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < list->n; i++) {
        const struct mf_model_tensor *t = &list->all[i];
        uint64_t from = at;

        at += n_elements(t) * element_bytes(t->dtype);
        (void)fprintf(f, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, t->dtype);
        for (uint32_t k = 0; k < t->n_dims; k++) {
            (void)fprintf(f, "%s%llu", k == 0 ? "" : ",",
                          (unsigned long long)t->dim[k]);
        }
        (void)fprintf(f, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)from,
                      (unsigned long long)at);
    }
    (void)fprintf(f, "}");
}

void mf_model_safetensors(const char *folder, const struct mf_model_tensors *list,
                          uint32_t seed)
{
    FILE *f = create(folder, "model.safetensors");
    uint64_t n = 0;

    /* The length is known behind the header. */
    assert_int_equal(fwrite(&n, sizeof(n), 1, f), 1);
    write_header(f, list);
    n = (uint64_t)ftell(f) - sizeof(n);
    for (; n % 8 != 0; n++) {
        assert_int_equal(fputc(' ', f), ' ');
    }
    for (size_t i = 0; i < list->n; i++) {
        put_values(f, &list->all[i], seed);
    }
    assert_int_equal(fseek(f, 0, SEEK_SET), 0);
    assert_int_equal(fwrite(&n, sizeof(n), 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

/* ---- the other files ---- */

static void write_config(const char *folder, const struct mf_model_spec *s)
{
    static const char *const types[] = {[MF_ARCH_BERT] = "bert",
                                        [MF_ARCH_DISTILBERT] = "distilbert",
                                        [MF_ARCH_MPNET] = "mpnet",
                                        [MF_ARCH_ROBERTA] = "roberta"};
    bool is_distilled = s->arch == MF_ARCH_DISTILBERT;
    bool is_padded = s->arch == MF_ARCH_MPNET || s->arch == MF_ARCH_ROBERTA;
    FILE *f = create(folder, "config.json");

    (void)fprintf(f, "{\"model_type\": \"%s\", \"vocab_size\": %u,\n", types[s->arch],
                  s->n_vocab);
    (void)fprintf(f, " \"max_position_embeddings\": %u, \"pad_token_id\": %d,\n",
                  s->n_positions, is_padded ? 1 : 0);
    if (is_distilled) {
        (void)fprintf(f,
                      " \"dim\": %u, \"n_layers\": %u, \"n_heads\": %u, "
                      "\"hidden_dim\": %u, \"activation\": \"gelu\"}\n",
                      s->hidden, s->n_layers, s->n_heads, s->ffn);
    } else {
        (void)fprintf(f,
                      " \"hidden_size\": %u, \"num_hidden_layers\": %u,\n"
                      " \"num_attention_heads\": %u, \"intermediate_size\": %u,\n"
                      " \"hidden_act\": \"gelu\", \"layer_norm_eps\": 1e-12,\n"
                      " \"position_embedding_type\": \"absolute\",\n"
                      " \"type_vocab_size\": %u}\n",
                      s->hidden, s->n_layers, s->n_heads, s->ffn,
                      s->n_types == 0 ? 1 : s->n_types);
    }
    assert_int_equal(fclose(f), 0);
}

static void write_modules(const char *folder, const struct mf_model_spec *s)
{
    FILE *f = create(folder, "modules.json");

    (void)fprintf(f,
                  "[{\"idx\": 0, \"name\": \"0\", \"path\": \"\",\n"
                  "  \"type\": \"sentence_transformers.models.Transformer\"},\n"
                  " {\"idx\": 1, \"name\": \"1\", \"path\": \"1_Pooling\",\n"
                  "  \"type\": \"sentence_transformers.models.Pooling\"}%s]\n",
                  s->normalise
                      ? ",\n {\"idx\": 2, \"name\": \"2\", \"path\": \"2_Normalize\",\n"
                        "  \"type\": \"sentence_transformers.models.Normalize\"}"
                      : "");
    assert_int_equal(fclose(f), 0);
}

static void write_pooling(const char *folder, const struct mf_model_spec *s)
{
    static const char *const flags[][2] = {{"cls", "pooling_mode_cls_token"},
                                           {"mean", "pooling_mode_mean_tokens"},
                                           {"max", "pooling_mode_max_tokens"},
                                           {"lasttoken", "pooling_mode_lasttoken"}};
    FILE *f;

    make_folder(folder, "1_Pooling");
    f = create(folder, "1_Pooling/config.json");
    (void)fprintf(f, "{\"word_embedding_dimension\": %u", s->hidden);
    for (size_t i = 0; i < mf_countof(flags); i++) {
        (void)fprintf(f, ",\n \"%s\": %s", flags[i][1],
                      strcmp(s->pooling, flags[i][0]) == 0 ? "true" : "false");
    }
    (void)fprintf(f, "}\n");
    assert_int_equal(fclose(f), 0);
}

/* The special pieces, the alphabet alone and as continuation, then words. */
void mf_model_piece(uint32_t id, char out[MF_MODEL_PIECE_MAX])
{
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-";
    const uint32_t n_special = mf_countof(special), n_letters = sizeof(letters) - 1;
    const size_t cap = MF_MODEL_PIECE_MAX;

    if (id < n_special) {
        (void)snprintf(out, cap, "%s", special[id]);
    } else if (id < n_special + n_letters) {
        (void)snprintf(out, cap, "%c", letters[id - n_special]);
    } else if (id < n_special + 2 * n_letters) {
        (void)snprintf(out, cap, "##%c", letters[id - n_special - n_letters]);
    } else {
        (void)snprintf(out, cap, "word%u", id);
    }
}

static void write_vocab(const char *folder, const struct mf_model_spec *s)
{
    FILE *f = create(folder, "vocab.txt");

    for (uint32_t id = 0; id < s->n_vocab; id++) {
        char piece[MF_MODEL_PIECE_MAX];

        mf_model_piece(id, piece);
        (void)fprintf(f, "%s\n", piece);
    }
    assert_int_equal(fclose(f), 0);
}

void mf_model_configs(const char *folder, const struct mf_model_spec *s)
{
    char text[128];

    write_config(folder, s);
    write_modules(folder, s);
    write_pooling(folder, s);
    write_vocab(folder, s);
    (void)snprintf(text, sizeof(text),
                   "{\"max_seq_length\": %u, \"do_lower_case\": false}\n", s->window);
    mf_model_text(folder, "sentence_bert_config.json", text);
    mf_model_text(folder, "tokenizer_config.json",
                  "{\"tokenizer_class\": \"BertTokenizer\", \"do_lower_case\": true,\n"
                  " \"tokenize_chinese_chars\": true, \"strip_accents\": null,\n"
                  " \"unk_token\": \"[UNK]\", \"sep_token\": \"[SEP]\",\n"
                  " \"pad_token\": \"[PAD]\", \"cls_token\": \"[CLS]\",\n"
                  " \"mask_token\": \"[MASK]\", \"model_max_length\": 512}\n");
}

void mf_model_folder(const char *folder, const struct mf_model_spec *s)
{
    struct mf_model_tensors list = mf_model_tensors(s);

    mf_model_configs(folder, s);
    mf_model_safetensors(folder, &list, s->seed);
    mf_model_tensors_free(&list);
}
