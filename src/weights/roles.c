/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/roles.h"

#include "jdoc/jdoc.h"

#include <stdio.h>

#define NAME_MAX_BYTES 160

struct naming {
    const char *model[MF_W_MODEL_ROLES];
    const char *layers;                      /* before the layer's number */
    const char *layer[MF_W_LAYER_ROLES / 2]; /* behind it, without .weight, .bias */
    const char *types; /* that such a file may have, for the human */
};

_Static_assert(MF_W_QUERY_BIAS == 1 && MF_W_FFN_NORM_BIAS == MF_W_LAYER_ROLES - 1,
               "the roles of a layer are pairs of weight and bias");

#define SAFETENSORS_TYPES "F32, F16 or BF16"
#define EMBEDDINGS                                                                     \
    [MF_W_WORDS] = "embeddings.word_embeddings.weight",                                \
    [MF_W_POSITIONS] = "embeddings.position_embeddings.weight",                        \
    [MF_W_EMBED_NORM] = "embeddings.LayerNorm.weight",                                 \
    [MF_W_EMBED_NORM_BIAS] = "embeddings.LayerNorm.bias"

static const struct naming namings[] = {
    [MF_NAMING_BERT] =
        {.model = {EMBEDDINGS, [MF_W_TYPES] =
                                   "embeddings.token_type_embeddings.weight"},
         .layers = "encoder.layer.",
         .layer = {"attention.self.query", "attention.self.key", "attention.self.value",
                   "attention.output.dense", "attention.output.LayerNorm",
                   "intermediate.dense", "output.dense", "output.LayerNorm"},
         .types = SAFETENSORS_TYPES},
    [MF_NAMING_DISTILBERT] = {.model = {EMBEDDINGS},
                              .layers = "transformer.layer.",
                              .layer = {"attention.q_lin", "attention.k_lin",
                                        "attention.v_lin", "attention.out_lin",
                                        "sa_layer_norm", "ffn.lin1", "ffn.lin2",
                                        "output_layer_norm"},
                              .types = SAFETENSORS_TYPES},
    [MF_NAMING_MPNET] =
        {.model = {EMBEDDINGS, [MF_W_RELATIVE] =
                                   "encoder.relative_attention_bias.weight"},
         .layers = "encoder.layer.",
         .layer = {"attention.attn.q", "attention.attn.k", "attention.attn.v",
                   "attention.attn.o", "attention.LayerNorm", "intermediate.dense",
                   "output.dense", "output.LayerNorm"},
         .types = SAFETENSORS_TYPES},
    [MF_NAMING_GGUF] = {.model = {[MF_W_WORDS] = "token_embd.weight",
                                  [MF_W_POSITIONS] = "position_embd.weight",
                                  [MF_W_TYPES] = "token_types.weight",
                                  [MF_W_EMBED_NORM] = "token_embd_norm.weight",
                                  [MF_W_EMBED_NORM_BIAS] = "token_embd_norm.bias"},
                        .layers = "blk.",
                        .layer = {"attn_q", "attn_k", "attn_v", "attn_output",
                                  "attn_output_norm", "ffn_up", "ffn_down",
                                  "layer_output_norm"},
                        .types = "F32, F16, BF16 or Q8_0"},
};

/* A published file holds the bare encoder, or a whole model with it inside. */
static const char *const prefixes[] = {"", "bert.", "roberta.", "mpnet.",
                                       "distilbert."};

/* Rows 0: as many as there are, up to `max_rows`. */
struct wanted {
    char name[NAME_MAX_BYTES];
    uint32_t rows, cols, max_rows;
    bool is_vector;
};

struct binding {
    const struct mf_wtable *table;
    const struct naming *naming;
    const char *prefix;
    struct mf_err *err;
};

/* ---- one tensor ---- */

static void write_wish(char *out, size_t cap, const struct wanted *w)
{
    if (w->is_vector) {
        (void)snprintf(out, cap, "%u", w->cols);
    } else if (w->rows == 0) {
        (void)snprintf(out, cap, "up to %u x %u", w->max_rows, w->cols);
    } else {
        (void)snprintf(out, cap, "%u x %u", w->rows, w->cols);
    }
}

static void write_shape(char *out, size_t cap, const struct mf_wentry *e)
{
    size_t n = 0;

    (void)snprintf(out, cap, "%s", "a single value");
    for (uint32_t i = 0; i < e->n_dims && n < cap; i++) {
        int more = snprintf(out + n, cap - n, "%s%llu", i == 0 ? "" : " x ",
                            (unsigned long long)e->dim[i]);

        n += more < 0 ? 0 : (size_t)more;
    }
}

static bool has_shape(const struct mf_wentry *e, const struct wanted *w)
{
    uint64_t rows = w->is_vector ? 1 : e->dim[0];

    return e->n_dims == (w->is_vector ? 1 : 2) && e->dim[e->n_dims - 1] == w->cols &&
           (w->rows == 0 ? rows >= 1 && rows <= w->max_rows : rows == w->rows);
}

static int take(const struct binding *b, const struct mf_wentry *e,
                const struct wanted *w, struct mf_tensor *out)
{
    char is[MF_SHOWN_MAX], wish[MF_SHOWN_MAX];

    if (e->type->dtype == MF_NO_DTYPE) {
        return mf_err_set(b->err, MF_EINVAL, "%s: tensor %s is %s, expected %s",
                          b->table->file, w->name, e->type->name, b->naming->types);
    }
    if (!has_shape(e, w)) {
        write_shape(is, sizeof(is), e);
        write_wish(wish, sizeof(wish), w);
        return mf_err_set(b->err, MF_EINVAL, "%s: tensor %s is %s, expected %s",
                          b->table->file, w->name, is, wish);
    }
    out->data = b->table->data.p + e->begin;
    out->rows = w->is_vector ? 1 : (uint32_t)e->dim[0];
    out->cols = w->cols;
    out->dtype = (enum mf_dtype)e->type->dtype;
    return 0;
}

/* LayerNorm's weight and bias were gamma and beta once. */
static const struct mf_wentry *find_alias(const struct mf_wtable *t, const char *name)
{
    static const char *const ends[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                          {"LayerNorm.bias", "LayerNorm.beta"}};
    size_t n = strlen(name);
    char old[NAME_MAX_BYTES];

    for (size_t i = 0; i < mf_countof(ends); i++) {
        size_t n_end = strlen(ends[i][0]);

        if (n >= n_end && strcmp(name + n - n_end, ends[i][0]) == 0) {
            (void)snprintf(old, sizeof(old), "%.*s%s", (int)(n - n_end), name,
                           ends[i][1]);
            return mf_wtable_find(t, old);
        }
    }
    return NULL;
}

static const struct mf_wentry *find(const struct mf_wtable *t, const char *name)
{
    const struct mf_wentry *e = mf_wtable_find(t, name);

    return e != NULL ? e : find_alias(t, name);
}

static int bind_one(const struct binding *b, const struct wanted *w,
                    struct mf_tensor *out)
{
    const struct mf_wentry *e = find(b->table, w->name);
    char wish[MF_SHOWN_MAX];

    if (e == NULL) {
        write_wish(wish, sizeof(wish), w);
        return mf_err_set(b->err, MF_EINVAL,
                          "%s: tensor %s is missing (%s was expected)", b->table->file,
                          w->name, wish);
    }
    return take(b, e, w, out);
}

/* ---- the model's own ---- */

static void want_of_model(const struct mf_plan *p, enum mf_model_role role,
                          struct wanted *w)
{
    const struct mf_weights_info *i = &p->info;

    w->is_vector = role == MF_W_EMBED_NORM || role == MF_W_EMBED_NORM_BIAS;
    w->cols = role == MF_W_RELATIVE ? i->n_heads : i->hidden;
    switch (role) {
    case MF_W_WORDS:
        w->rows = i->n_vocab;
        w->max_rows = MF_PLAN_MAX_VOCAB;
        break;
    case MF_W_POSITIONS:
        w->rows = i->n_positions;
        w->max_rows = MF_PLAN_MAX_POSITIONS;
        break;
    case MF_W_TYPES:
        w->rows = p->n_types;
        w->max_rows = MF_PLAN_MAX_TYPES;
        break;
    case MF_W_RELATIVE:
        w->rows = p->n_buckets;
        w->max_rows = MF_PLAN_MAX_TYPES;
        break;
    case MF_W_EMBED_NORM:
    case MF_W_EMBED_NORM_BIAS:
    case MF_W_MODEL_ROLES: w->rows = w->max_rows = 1; break;
    }
}

/* llama.cpp leaves out token types that a model does not have. */
static bool may_be_missing(const struct mf_plan *p, enum mf_model_role role)
{
    return p->naming == MF_NAMING_GGUF && role == MF_W_TYPES;
}

static int bind_model(struct mf_roles *r, const struct binding *b,
                      const struct mf_plan *p)
{
    for (unsigned role = 0; role < MF_W_MODEL_ROLES; role++) {
        const char *name = b->naming->model[role];
        struct wanted w = {0};
        int rc;

        if (name == NULL) {
            continue;
        }
        (void)snprintf(w.name, sizeof(w.name), "%s%s", b->prefix, name);
        if (may_be_missing(p, role) && find(b->table, w.name) == NULL) {
            continue;
        }
        want_of_model(p, role, &w);
        rc = bind_one(b, &w, &r->model[role]);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- the layers ---- */

static void want_of_layer(const struct mf_weights_info *i, enum mf_layer_role role,
                          struct wanted *w)
{
    bool is_wide = role == MF_W_UP || role == MF_W_UP_BIAS;

    w->is_vector = role != MF_W_QUERY && role != MF_W_KEY && role != MF_W_VALUE &&
                   role != MF_W_OUT && role != MF_W_UP && role != MF_W_DOWN;
    w->rows = w->is_vector ? 1 : is_wide ? i->ffn : i->hidden;
    w->cols = role == MF_W_DOWN || role == MF_W_UP_BIAS ? i->ffn : i->hidden;
}

static void name_of_layer(const struct binding *b, uint32_t layer, unsigned role,
                          char *out)
{
    (void)snprintf(out, NAME_MAX_BYTES, "%s%s%u.%s.%s", b->prefix, b->naming->layers,
                   layer, b->naming->layer[role / 2],
                   role % 2 == 0 ? "weight" : "bias");
}

static int bind_layer(struct mf_tensor *out, const struct binding *b,
                      const struct mf_plan *p, uint32_t layer)
{
    for (unsigned role = 0; role < MF_W_LAYER_ROLES; role++) {
        struct wanted w = {0};
        int rc;

        name_of_layer(b, layer, role, w.name);
        want_of_layer(&p->info, role, &w);
        rc = bind_one(b, &w, &out[role]);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* A layer left out would give wrong vectors and no other sign. */
static int check_no_more_layers(const struct binding *b, const struct mf_plan *p)
{
    char name[NAME_MAX_BYTES];

    name_of_layer(b, p->info.n_layers, MF_W_QUERY, name);
    if (mf_wtable_find(b->table, name) == NULL) {
        return 0;
    }
    return mf_err_set(b->err, MF_EINVAL,
                      "%s: tensor %s is there, but the configuration says %u layers",
                      b->table->file, name, p->info.n_layers);
}

static int bind_layers(struct mf_roles *r, const struct binding *b,
                       const struct mf_plan *p)
{
    r->layer = mf_calloc(p->info.n_layers, sizeof(*r->layer));
    if (r->layer == NULL) {
        return mf_err_set(b->err, MF_ENOMEM, "%s: out of memory", b->table->file);
    }
    for (uint32_t i = 0; i < p->info.n_layers; i++) {
        int rc = bind_layer(r->layer[i], b, p, i);

        if (rc < 0) {
            return rc;
        }
    }
    return check_no_more_layers(b, p);
}

/* ---- all ---- */

static int find_prefix(struct binding *b)
{
    const char *words = b->naming->model[MF_W_WORDS];
    char name[NAME_MAX_BYTES];

    for (size_t i = 0; i < mf_countof(prefixes); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", prefixes[i], words);
        if (mf_wtable_find(b->table, name) != NULL) {
            b->prefix = prefixes[i];
            return 0;
        }
    }
    return mf_err_set(b->err, MF_EINVAL,
                      "%s: tensor %s is missing (also with \"bert.\", \"roberta.\", "
                      "\"mpnet.\", \"distilbert.\" before it)",
                      b->table->file, words);
}

int mf_roles_bind(struct mf_roles *r, const struct mf_wtable *t, struct mf_plan *plan,
                  struct mf_err *err)
{
    struct binding b = {.table = t, .naming = &namings[plan->naming], .err = err};
    int rc = find_prefix(&b);

    memset(r, 0, sizeof(*r));
    rc = rc < 0 ? rc : bind_model(r, &b, plan);
    rc = rc < 0 ? rc : bind_layers(r, &b, plan);
    if (rc < 0) {
        mf_roles_free(r);
        return rc;
    }
    plan->info.n_vocab = r->model[MF_W_WORDS].rows;
    plan->info.n_positions = r->model[MF_W_POSITIONS].rows;
    plan->info.dtype = r->layer[0][MF_W_UP].dtype;
    return 0;
}

void mf_roles_free(struct mf_roles *r)
{
    mf_free(r->layer);
    r->layer = NULL;
}
