/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/folder.h"

#include "jdoc/jdoc.h"
#include "weights/wfile.h"

#include <limits.h>
#include <stdio.h>

#define CONFIG  "config.json"
#define MODULES "modules.json"
#define PROMPTS "config_sentence_transformers.json"

/* ---- config.json ---- */

/* What the architectures call the same sizes; a NULL key has no place there. */
struct config_keys {
    const char *model_type;
    enum mf_arch arch;
    enum mf_naming naming;
    const char *hidden, *layers, *heads, *ffn, *activation, *eps, *types, *buckets;
};

#define BERT_KEYS                                                                      \
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",    \
        "hidden_act", "layer_norm_eps"

static const struct config_keys known[] = {
    {"bert", MF_ARCH_BERT, MF_NAMING_BERT, BERT_KEYS, "type_vocab_size", NULL},
    {"roberta", MF_ARCH_ROBERTA, MF_NAMING_BERT, BERT_KEYS, "type_vocab_size", NULL},
    {"xlm-roberta", MF_ARCH_ROBERTA, MF_NAMING_BERT, BERT_KEYS, "type_vocab_size",
     NULL},
    {"camembert", MF_ARCH_ROBERTA, MF_NAMING_BERT, BERT_KEYS, "type_vocab_size", NULL},
    {"mpnet", MF_ARCH_MPNET, MF_NAMING_MPNET, BERT_KEYS, NULL,
     "relative_attention_num_buckets"},
    {"distilbert", MF_ARCH_DISTILBERT, MF_NAMING_DISTILBERT, "dim", "n_layers",
     "n_heads", "hidden_dim", "activation", NULL, NULL, NULL},
};

static const struct {
    const char *name;
    enum mf_activation activation;
} activations[] = {
    {"gelu", MF_ACT_GELU},
    {"gelu_python", MF_ACT_GELU},
    {"gelu_new", MF_ACT_GELU_TANH},
    {"gelu_fast", MF_ACT_GELU_TANH},
    {"gelu_pytorch_tanh", MF_ACT_GELU_TANH},
    {"relu", MF_ACT_RELU},
};

/* NULL: the sentence is in j->err. */
static const struct config_keys *find_keys(const struct mf_jdoc *j)
{
    struct mf_slice type = mf_slice_of(NULL, 0);
    struct mf_shown shown;

    if (mf_jdoc_text(j, "model_type", &type) < 0) {
        return NULL;
    }
    if (type.p == NULL) {
        (void)mf_err_set(j->err, MF_EINVAL, "%s: model_type is missing", j->file);
        return NULL;
    }
    for (size_t i = 0; i < mf_countof(known); i++) {
        if (mf_slice_is(type, known[i].model_type)) {
            return &known[i];
        }
    }
    (void)mf_err_set(j->err, MF_EINVAL,
                     "%s: model_type %s is not supported; bert, distilbert, mpnet, "
                     "roberta, xlm-roberta and camembert are",
                     j->file, mf_shown(&shown, type));
    return NULL;
}

static int parse_sizes(struct mf_plan *p, const struct mf_jdoc *j,
                       const struct config_keys *k)
{
    struct mf_weights_info *i = &p->info;
    int rc = mf_jdoc_size(j, k->hidden, MF_PLAN_MAX_WIDTH, &i->hidden);

    rc = rc < 0 ? rc : mf_jdoc_size(j, k->layers, MF_PLAN_MAX_LAYERS, &i->n_layers);
    rc = rc < 0 ? rc : mf_jdoc_size(j, k->heads, i->hidden, &i->n_heads);
    rc = rc < 0 ? rc : mf_jdoc_size(j, k->ffn, MF_PLAN_MAX_WIDTH, &i->ffn);
    rc = rc < 0 ? rc : mf_jdoc_size(j, "vocab_size", MF_PLAN_MAX_VOCAB, &i->n_vocab);
    rc = rc < 0 ? rc
                : mf_jdoc_size(j, "max_position_embeddings", MF_PLAN_MAX_POSITIONS,
                               &i->n_positions);
    if (rc == 0 && k->types != NULL) {
        p->n_types = 2;
        rc = mf_jdoc_size(j, k->types, MF_PLAN_MAX_TYPES, &p->n_types);
    }
    if (rc == 0 && k->buckets != NULL) {
        p->n_buckets = 32;
        rc = mf_jdoc_size(j, k->buckets, MF_PLAN_MAX_TYPES, &p->n_buckets);
    }
    if (rc == 0 && i->hidden % i->n_heads != 0) {
        return mf_err_set(j->err, MF_EINVAL, "%s: %s %u is no multiple of %s %u",
                          j->file, k->hidden, i->hidden, k->heads, i->n_heads);
    }
    return rc;
}

static int parse_activation(struct mf_plan *p, const struct mf_jdoc *j, const char *key)
{
    struct mf_slice name = MF_SLICE("gelu");
    int rc = mf_jdoc_text(j, key, &name);
    struct mf_shown shown;

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < mf_countof(activations); i++) {
        if (mf_slice_is(name, activations[i].name)) {
            p->info.activation = activations[i].activation;
            return 0;
        }
    }
    return mf_err_set(j->err, MF_EINVAL,
                      "%s: %s %s is not supported; gelu, gelu_new and relu are",
                      j->file, key, mf_shown(&shown, name));
}

static int parse_eps(struct mf_plan *p, const struct mf_jdoc *j, const char *key)
{
    yyjson_val *v = key == NULL ? NULL : mf_jdoc_get(j, key);

    p->info.norm_eps = 1e-12F;
    if (v == NULL) {
        return 0;
    }
    if (!yyjson_is_num(v) || !(yyjson_get_num(v) > 0 && yyjson_get_num(v) < 1)) {
        return mf_err_set(j->err, MF_EINVAL, "%s: %s must be a number between 0 and 1",
                          j->file, key);
    }
    p->info.norm_eps = (float)yyjson_get_num(v);
    return 0;
}

/* RoBERTa counts its positions from behind the one of the padding; in MPNet that is
 * fixed at 1. */
static int parse_positions(struct mf_plan *p, const struct mf_jdoc *j)
{
    yyjson_val *pad = mf_jdoc_get(j, "pad_token_id");
    struct mf_weights_info *i = &p->info;

    if (i->arch == MF_ARCH_ROBERTA || i->arch == MF_ARCH_MPNET) {
        i->position_offset = 2;
    }
    if (i->arch == MF_ARCH_ROBERTA && pad != NULL) {
        if (!yyjson_is_uint(pad) || yyjson_get_uint(pad) >= i->n_positions) {
            return mf_err_set(j->err, MF_EINVAL,
                              "%s: pad_token_id must be a whole number below "
                              "max_position_embeddings",
                              j->file);
        }
        i->position_offset = (uint32_t)yyjson_get_uint(pad) + 1;
    }
    if (i->n_positions < i->position_offset + MF_PLAN_MIN_WINDOW) {
        return mf_err_set(j->err, MF_EINVAL,
                          "%s: max_position_embeddings %u is too small", j->file,
                          i->n_positions);
    }
    i->window = i->n_positions - i->position_offset;
    return 0;
}

static int check_rest(const struct mf_jdoc *j)
{
    struct mf_slice positions = MF_SLICE("absolute");
    bool is_decoder = false;
    int rc = mf_jdoc_text(j, "position_embedding_type", &positions);
    struct mf_shown shown;

    rc = rc < 0 ? rc : mf_jdoc_bool(j, "is_decoder", &is_decoder);
    if (rc < 0) {
        return rc;
    }
    if (!mf_slice_is(positions, "absolute")) {
        return mf_err_set(
            j->err, MF_EINVAL,
            "%s: position_embedding_type %s is not supported; absolute is", j->file,
            mf_shown(&shown, positions));
    }
    if (is_decoder) {
        return mf_err_set(j->err, MF_EINVAL,
                          "%s: is_decoder true is not supported: encoders only",
                          j->file);
    }
    return 0;
}

/* "organisation/name", or the name alone; a path says where somebody's training ran. */
static void take_published_name(struct mf_plan *p, const struct mf_jdoc *j)
{
    yyjson_val *v = mf_jdoc_get(j, "_name_or_path");
    const char *whole = yyjson_is_str(v) ? yyjson_get_str(v) : "";
    const char *slash = strchr(whole, '/');
    const char *name = slash == NULL ? whole : slash + 1;

    if (slash != whole && *whole != '.' && strpbrk(name, "/\\:~") == NULL &&
        strlen(name) < sizeof(p->published)) {
        (void)snprintf(p->published, sizeof(p->published), "%s", name);
    }
}

static int parse_config(struct mf_plan *p, const struct mf_jdoc *j)
{
    const struct config_keys *k = find_keys(j);
    int rc;

    if (k == NULL) {
        return MF_EINVAL;
    }
    p->info.arch = k->arch;
    p->naming = k->naming;
    rc = parse_sizes(p, j, k);
    rc = rc < 0 ? rc : parse_activation(p, j, k->activation);
    rc = rc < 0 ? rc : parse_eps(p, j, k->eps);
    rc = rc < 0 ? rc : parse_positions(p, j);
    take_published_name(p, j);
    return rc < 0 ? rc : check_rest(j);
}

int mf_folder_parse_config(struct mf_plan *plan, struct mf_slice text,
                           struct mf_err *err)
{
    struct mf_jdoc j;
    int rc = mf_jdoc_open(&j, CONFIG, text, err);

    if (rc < 0) {
        return rc;
    }
    rc = mf_jdoc_want_object(&j);
    rc = rc < 0 ? rc : parse_config(plan, &j);
    mf_jdoc_close(&j);
    return rc;
}

/* ---- modules.json ---- */

/* Inside the model's folder, whoever wrote it. */
static int take_path(char *out, const struct mf_jdoc *j, yyjson_val *v)
{
    const char *path = yyjson_is_str(v) ? yyjson_get_str(v) : "";
    size_t n = yyjson_is_str(v) ? yyjson_get_len(v) : 0;
    struct mf_shown shown;

    if (n >= MF_FOLDER_PART_MAX || strlen(path) != n || *path == '/' ||
        strstr(path, "..") != NULL) {
        return mf_err_set(j->err, MF_EINVAL,
                          "%s: path %s must be a short one inside the model's folder",
                          j->file, mf_shown(&shown, mf_slice_of(path, n)));
    }
    memcpy(out, path, n + 1);
    return 0;
}

static int take_module(struct mf_layout *l, const struct mf_jdoc *j, yyjson_val *v)
{
    yyjson_val *type = yyjson_obj_get(v, "type"), *path = yyjson_obj_get(v, "path");
    const char *whole = yyjson_is_str(type) ? yyjson_get_str(type) : "";
    const char *dot = strrchr(whole, '.');
    const char *name = dot == NULL ? whole : dot + 1;
    struct mf_shown shown;

    if (strcmp(name, "Transformer") == 0) {
        return take_path(l->transformer, j, path);
    }
    if (strcmp(name, "Pooling") == 0 && *l->pooling == '\0') {
        return take_path(l->pooling, j, path);
    }
    if (strcmp(name, "Normalize") == 0) {
        l->normalise = true;
        return 0;
    }
    return mf_err_set(j->err, MF_EINVAL,
                      "%s: module %s is not supported; Transformer, one Pooling and "
                      "Normalize are",
                      j->file, mf_shown(&shown, mf_slice_str(name)));
}

int mf_folder_parse_modules(struct mf_layout *l, struct mf_slice text,
                            struct mf_err *err)
{
    struct mf_jdoc j;
    yyjson_arr_iter it;
    yyjson_val *v;
    int rc = mf_jdoc_open(&j, MODULES, text, err);

    if (rc < 0) {
        return rc;
    }
    rc = mf_jdoc_want_list(&j);
    (void)yyjson_arr_iter_init(j.root, &it);
    while (rc == 0 && (v = yyjson_arr_iter_next(&it)) != NULL) {
        rc = take_module(l, &j, v);
    }
    if (rc == 0 && *l->pooling == '\0') {
        rc = mf_err_set(err, MF_EINVAL, "%s: no Pooling in a folder of its own",
                        MODULES);
    }
    mf_jdoc_close(&j);
    return rc;
}

/* ---- the window ---- */

struct window_file {
    const char *name, *key;
};

/* The first that says something is right: the layout's word under the names it has had,
 * then the tokenizer's. */
static const struct window_file window_files[] = {
    {"sentence_bert_config.json", "max_seq_length"},
    {"sentence_roberta_config.json", "max_seq_length"},
    {"sentence_distilbert_config.json", "max_seq_length"},
    {"sentence_camembert_config.json", "max_seq_length"},
    {"sentence_xlm-roberta_config.json", "max_seq_length"},
    {"tokenizer_config.json", "model_max_length"},
};

int mf_folder_parse_window(struct mf_plan *plan, const char *file, const char *key,
                           struct mf_slice text, bool *is_said, struct mf_err *err)
{
    struct mf_jdoc j;
    yyjson_val *v;
    int rc = mf_jdoc_open(&j, file, text, err);

    *is_said = false;
    if (rc < 0) {
        return rc;
    }
    rc = mf_jdoc_want_object(&j);
    v = mf_jdoc_get(&j, key);
    /* Without a bound, tokenizers write 1e30. */
    if (rc == 0 && v != NULL &&
        !(yyjson_is_num(v) && yyjson_get_num(v) >= MF_PLAN_MIN_WINDOW)) {
        rc = mf_err_set(err, MF_EINVAL, "%s: %s must be a number from %d on", file, key,
                        MF_PLAN_MIN_WINDOW);
    }
    if (rc == 0 && v != NULL) {
        *is_said = true;
        plan->info.window =
            (uint32_t)mf_min((double)plan->info.window, yyjson_get_num(v));
    }
    mf_jdoc_close(&j);
    return rc;
}

/* ---- prompts ---- */

static int copy_prompt(struct mf_prompt *to, struct mf_arena *arena,
                       const struct mf_jdoc *j, yyjson_val *key)
{
    yyjson_val *v = yyjson_obj_iter_get_val(key);
    const char *name = yyjson_get_str(key), *text = yyjson_get_str(v);
    struct mf_shown shown;

    if (text == NULL || strlen(text) != yyjson_get_len(v) ||
        strlen(name) != yyjson_get_len(key)) {
        return mf_err_set(j->err, MF_EINVAL, "%s: prompts: %s must be text", j->file,
                          mf_shown(&shown, mf_slice_str(name)));
    }
    to->name = mf_arena_strndup(arena, name, strlen(name));
    to->text = mf_arena_strndup(arena, text, strlen(text));
    if (to->name == NULL || to->text == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "%s: out of memory", j->file);
    }
    return 0;
}

static int copy_prompts(struct mf_weights_info *info, struct mf_arena *arena,
                        const struct mf_jdoc *j, yyjson_val *all)
{
    size_t n = yyjson_obj_size(all), i = 0;
    struct mf_prompt *prompts;
    yyjson_obj_iter it;
    yyjson_val *key;

    if (!yyjson_is_obj(all) || n > MF_FOLDER_MAX_PROMPTS) {
        return mf_err_set(j->err, MF_EINVAL,
                          "%s: prompts must be an object of up to %d texts", j->file,
                          MF_FOLDER_MAX_PROMPTS);
    }
    prompts = mf_arena_alloc(arena, (n + 1) * sizeof(*prompts));
    if (prompts == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "%s: out of memory", j->file);
    }
    (void)yyjson_obj_iter_init(all, &it);
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        int rc = copy_prompt(&prompts[i++], arena, j, key);

        if (rc < 0) {
            return rc;
        }
    }
    info->prompts = prompts;
    info->n_prompts = n;
    return 0;
}

static int choose_prompt(struct mf_weights_info *info, const struct mf_jdoc *j)
{
    struct mf_slice chosen = mf_slice_of(NULL, 0);
    int rc = mf_jdoc_text(j, "default_prompt_name", &chosen);
    struct mf_shown shown;

    if (rc < 0 || chosen.p == NULL) {
        return rc;
    }
    for (size_t i = 0; i < info->n_prompts; i++) {
        if (mf_slice_is(chosen, info->prompts[i].name)) {
            info->default_prompt = info->prompts[i].name;
            return 0;
        }
    }
    return mf_err_set(j->err, MF_EINVAL,
                      "%s: default_prompt_name %s is not among the prompts", j->file,
                      mf_shown(&shown, chosen));
}

int mf_folder_parse_prompts(struct mf_plan *plan, struct mf_arena *arena,
                            struct mf_slice text, struct mf_err *err)
{
    struct mf_jdoc j;
    int rc = mf_jdoc_open(&j, PROMPTS, text, err);
    yyjson_val *all;

    if (rc < 0) {
        return rc;
    }
    rc = mf_jdoc_want_object(&j);
    all = rc < 0 ? NULL : mf_jdoc_get(&j, "prompts");
    if (all != NULL) {
        rc = copy_prompts(&plan->info, arena, &j, all);
    }
    rc = rc < 0 ? rc : choose_prompt(&plan->info, &j);
    mf_jdoc_close(&j);
    return rc;
}

/* ---- the folder ---- */

/* Opens what may be absent: its text is empty then, as of no file that can be read. */
static int open_optional(struct mf_wfile *f, const char *folder, const char *name,
                         struct mf_err *err)
{
    f->bytes = MF_SLICE("");
    if (!mf_wfile_is_there(folder, name)) {
        return MF_ENOTFOUND;
    }
    return mf_wfile_open(f, folder, name, MF_FOLDER_JSON_MAX, err);
}

static int read_layout(struct mf_layout *l, const char *folder, struct mf_err *err)
{
    struct mf_wfile f;
    int rc = open_optional(&f, folder, MODULES, err);

    if (rc == MF_ENOTFOUND) {
        /* Sentence-transformers adds the mean to a bare encoder. */
        (void)snprintf(l->pooling, sizeof(l->pooling), "%s",
                       mf_wfile_is_there(folder, "1_Pooling") ? "1_Pooling" : "");
        return 0;
    }
    rc = rc < 0 ? rc : mf_folder_parse_modules(l, f.bytes, err);
    mf_wfile_close(&f);
    return rc;
}

static int read_config(struct mf_plan *plan, const char *folder, struct mf_err *err)
{
    struct mf_wfile f = {{NULL, 0}};
    int rc = mf_wfile_open(&f, folder, CONFIG, MF_FOLDER_JSON_MAX, err);

    rc = rc < 0 ? rc : mf_folder_parse_config(plan, f.bytes, err);
    mf_wfile_close(&f);
    return rc;
}

static int read_pooling(struct mf_plan *plan, const struct mf_layout *l,
                        const char *folder, struct mf_err *err)
{
    char name[MF_FOLDER_PART_MAX + sizeof("/" CONFIG)];
    struct mf_wfile f = {{NULL, 0}};
    int rc;

    plan->info.pooling = MF_POOL_MEAN;
    if (*l->pooling == '\0') {
        return 0;
    }
    (void)snprintf(name, sizeof(name), "%s/" CONFIG, l->pooling);
    rc = mf_wfile_open(&f, folder, name, MF_FOLDER_JSON_MAX, err);
    rc = rc < 0 ? rc : mf_folder_parse_pooling(plan, name, f.bytes, err);
    mf_wfile_close(&f);
    return rc;
}

static int read_window_of(struct mf_plan *plan, const char *folder,
                          const struct window_file *from, bool *is_said,
                          struct mf_err *err)
{
    struct mf_wfile f;
    int rc = open_optional(&f, folder, from->name, err);

    if (rc == MF_ENOTFOUND) {
        return 0;
    }
    rc = rc < 0 ? rc
                : mf_folder_parse_window(plan, from->name, from->key, f.bytes, is_said,
                                         err);
    mf_wfile_close(&f);
    return rc;
}

static int read_window(struct mf_plan *plan, const char *folder, struct mf_err *err)
{
    bool is_said = false;
    int rc = 0;

    for (size_t i = 0; i < mf_countof(window_files) && rc == 0 && !is_said; i++) {
        rc = read_window_of(plan, folder, &window_files[i], &is_said, err);
    }
    return rc;
}

static int read_prompts(struct mf_plan *plan, struct mf_arena *arena,
                        const char *folder, struct mf_err *err)
{
    struct mf_wfile f;
    int rc = open_optional(&f, folder, PROMPTS, err);

    if (rc == MF_ENOTFOUND) {
        return 0;
    }
    rc = rc < 0 ? rc : mf_folder_parse_prompts(plan, arena, f.bytes, err);
    mf_wfile_close(&f);
    return rc;
}

int mf_folder_read(struct mf_plan *plan, struct mf_arena *arena, const char *folder,
                   char *weights, struct mf_err *err)
{
    struct mf_layout l = {0};
    int rc = read_layout(&l, folder, err);
    int n;

    if (rc < 0) {
        return rc;
    }
    n = snprintf(weights, PATH_MAX, "%s%s%s", folder, *l.transformer == '\0' ? "" : "/",
                 l.transformer);
    if (n < 0 || n >= PATH_MAX) {
        return mf_err_set(err, MF_EINVAL, "the model's path is too long");
    }
    rc = read_config(plan, weights, err);
    rc = rc < 0 ? rc : read_pooling(plan, &l, folder, err);
    rc = rc < 0 ? rc : read_window(plan, weights, err);
    rc = rc < 0 ? rc : read_prompts(plan, arena, folder, err);
    plan->info.normalise = l.normalise;
    return rc;
}
