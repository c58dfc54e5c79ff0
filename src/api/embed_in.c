/* SPDX-License-Identifier: Apache-2.0 */
#include "api/embed_in.h"

/* What a token is, the model knows only later: four bytes are taken for one. */
#define BYTES_A_TOKEN 4U

/* ---- texts ---- */

static void blame(const struct mf_json_at *at, const char *key, int code,
                  const char *sentence)
{
    (void)mf_json_fault(at, key, code, "value_error", "%s", sentence);
}

static void blame_empty(const struct mf_json_at *at, const char *key)
{
    (void)mf_json_fault(at, key, MF_EUNPROCESSABLE, MF_FAULT_EMPTY,
                        "`%s` cannot be empty", key);
}

static bool is_ids(yyjson_val *v)
{
    return yyjson_is_raw(v) ||
           (yyjson_is_arr(v) && yyjson_is_raw(yyjson_arr_get_first(v)));
}

/* Ids of a tokenizer that is perhaps not ours would give vectors of another text. */
static void blame_element(const struct mf_json_at *at, const char *key, yyjson_val *v)
{
    if (is_ids(v)) {
        blame(at, key, MF_EUNPROCESSABLE,
              "token ids are not taken, since they mean other texts to other "
              "tokenizers: send strings (LangChain: check_embedding_ctx_length=False)");
    } else {
        blame(at, key, MF_EUNPROCESSABLE, "Input should be a string or a list of them");
    }
}

static void take_element(const struct mf_json_at *at, const char *key, yyjson_val *v,
                         struct mf_embed_wish *out)
{
    if (!yyjson_is_str(v)) {
        blame_element(at, key, v);
    } else if (yyjson_get_len(v) == 0) {
        blame_empty(at, key);
    } else {
        out->texts[out->n++] = mf_json_slice(v);
    }
}

static void take_list(const struct mf_json_at *at, const char *key, yyjson_val *list,
                      struct mf_embed_wish *out)
{
    size_t n_before = at->faults->n;
    yyjson_val *v;
    yyjson_arr_iter it;

    (void)yyjson_arr_iter_init(list, &it);
    while ((v = yyjson_arr_iter_next(&it)) != NULL && at->faults->n == n_before) {
        take_element(at, key, v, out);
    }
}

/* A string, or a list of at most `max`. */
static void take_texts(const struct mf_json_at *at, const char *key, size_t max,
                       struct mf_embed_wish *out)
{
    yyjson_val *v = yyjson_obj_getn(at->obj, key, strlen(key));
    size_t n = yyjson_is_arr(v) ? yyjson_arr_size(v) : 1;

    if (v == NULL || yyjson_is_null(v)) {
        (void)mf_json_fault(at, key, MF_EUNPROCESSABLE, "missing", "Field required");
        return;
    }
    if (n == 0) {
        blame_empty(at, key);
        return;
    }
    if (n > max && !is_ids(yyjson_arr_get_first(v))) {
        (void)mf_json_fault(at, key, MF_ETOOBIG, "too_long",
                            "batch size %zu > maximum allowed batch size %zu: split it",
                            n, max);
        return;
    }
    out->texts = mf_arena_alloc(at->faults->arena, n * sizeof(*out->texts));
    if (out->texts == NULL) {
        at->faults->code = MF_ENOMEM;
    } else if (yyjson_is_arr(v)) {
        take_list(at, key, v, out);
    } else {
        take_element(at, key, v, out);
    }
}

/* ---- how they are to be embedded ---- */

static void take_dimensions(const struct mf_json_at *at,
                            const struct mf_embed_rules *rules,
                            struct mf_embed_wish *out)
{
    int64_t dim;

    out->dim = rules->model->dim;
    if (!mf_json_int(at, "dimensions", &dim)) {
        return;
    }
    if (dim < 1 || dim > rules->model->dim) {
        (void)mf_json_fault(at, "dimensions", MF_EUNPROCESSABLE, "value_error",
                            "%s has %u dimensions: ask for 1 to %u", rules->model->name,
                            rules->model->dim, rules->model->dim);
        return;
    }
    out->dim = (size_t)dim;
}

static void take_truncate(const struct mf_json_at *at,
                          const struct mf_embed_rules *rules, struct mf_embed_wish *out)
{
    bool cuts = rules->cuts;

    (void)mf_json_bool(at, "truncate", &cuts);
    out->flags |= cuts ? 0 : MF_TEXT_WHOLE;
}

static void take_direction(const struct mf_json_at *at, struct mf_embed_wish *out)
{
    struct mf_slice way;

    if (!mf_json_text(at, "truncation_direction", MF_JSON_OPTIONAL, &way)) {
        return;
    }
    if (mf_slice_is_nocase(way, "left")) {
        out->flags |= MF_TEXT_LEFT;
    } else if (!mf_slice_is_nocase(way, "right")) {
        blame(at, "truncation_direction", MF_EUNPROCESSABLE,
              "Input should be 'left' or 'right'");
    }
}

static bool find_prompt(const struct mf_model_info *m, struct mf_slice name,
                        struct mf_slice *out)
{
    for (size_t i = 0; i < m->n_prompts; i++) {
        if (mf_slice_is(name, m->prompts[i].name)) {
            *out = mf_slice_str(m->prompts[i].text);
            return true;
        }
    }
    return false;
}

static void take_prompt(const struct mf_json_at *at, const struct mf_embed_rules *rules,
                        struct mf_embed_wish *out)
{
    struct mf_slice name;

    if (!mf_json_text(at, "prompt_name", MF_JSON_OPTIONAL, &name)) {
        (void)find_prompt(rules->model, mf_slice_str(rules->model->default_prompt),
                          &out->prompt);
    } else if (!find_prompt(rules->model, name, &out->prompt)) {
        (void)mf_json_fault(at, "prompt_name", MF_EUNPROCESSABLE, "value_error",
                            "%s has no prompt of this name", rules->model->name);
    }
}

/* ---- OpenAI ---- */

static void take_encoding(const struct mf_json_at *at, struct mf_embed_wish *out)
{
    struct mf_slice form;

    if (!mf_json_text(at, "encoding_format", MF_JSON_OPTIONAL, &form)) {
        return;
    }
    out->base64 = mf_slice_is(form, "base64");
    if (!out->base64 && !mf_slice_is(form, "float")) {
        blame(at, "encoding_format", MF_EUNPROCESSABLE,
              "Input should be 'float' or 'base64'");
    }
}

static void check_tokens(const struct mf_json_at *at,
                         const struct mf_embed_rules *rules,
                         const struct mf_embed_wish *wish)
{
    size_t sum = 0;

    for (size_t i = 0; i < wish->n; i++) {
        size_t n = wish->texts[i].n / BYTES_A_TOKEN + rules->model->n_special + 1;

        sum += mf_min(n, (size_t)mf_embed_max_tokens(rules->model));
    }
    if (sum > MF_OPENAI_MAX_TOKENS) {
        (void)mf_json_fault(at, "input", MF_ETOOBIG, "too_long",
                            "about %zu tokens; a request has at most %u: split it", sum,
                            MF_OPENAI_MAX_TOKENS);
    }
}

void mf_embed_in_openai(const struct mf_json_at *at, const struct mf_embed_rules *rules,
                        struct mf_embed_wish *out)
{
    struct mf_slice model; /* whichever is asked for, the one there is answers */

    memset(out, 0, sizeof(*out));
    take_texts(at, "input", MF_OPENAI_MAX_TEXTS, out);
    check_tokens(at, rules, out);
    (void)mf_json_text(at, "model", MF_JSON_OPTIONAL, &model);
    take_encoding(at, out);
    take_dimensions(at, rules, out);
    take_truncate(at, rules, out);
    take_prompt(at, rules, out);
}

/* ---- TEI ---- */

void mf_embed_in_tei(const struct mf_json_at *at, const struct mf_embed_rules *rules,
                     struct mf_embed_wish *out)
{
    bool normalize = true;

    memset(out, 0, sizeof(*out));
    out->special = true;
    take_texts(at, "inputs", rules->max_texts, out);
    take_truncate(at, rules, out);
    take_direction(at, out);
    take_prompt(at, rules, out);
    take_dimensions(at, rules, out);
    (void)mf_json_bool(at, "normalize", &normalize);
    (void)mf_json_bool(at, "add_special_tokens", &out->special);
    out->flags |= normalize ? 0 : MF_TEXT_RAW;
}
