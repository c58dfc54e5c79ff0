/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json, as the Hugging Face library writes it. What we do not do exactly as
 * it does is refused by name, never passed over. */
#include "tokenizer/model_file.h"
#include "tokenizer/tokenizer_priv.h"

#include <stdio.h>

#define FILE_NAME "tokenizer.json"

/* The kinds that are known. */
static const struct mf_tokenizer_ops *const kinds[] = {&mf_tokenizer_wordpiece};

struct reader {
    struct mf_tokenizer *t;
    struct mf_jdoc j;
};

/* The root's object `key` and its type; empty when it has none. */
static int read_type(struct reader *rd, const char *key, yyjson_val **obj,
                     struct mf_slice *type)
{
    char where[32];
    struct mf_jdoc inside;

    *obj = yyjson_obj_get(rd->j.root, key);
    *type = mf_slice_of("", 0);
    if (!yyjson_is_obj(*obj)) {
        return mf_jdoc_refuse(&rd->j, "%s must be an object", key);
    }
    (void)snprintf(where, sizeof(where), "%s.", key);
    inside = mf_jdoc_inside(&rd->j, *obj, where);
    return mf_jdoc_text(&inside, "type", type);
}

static int refuse_type(struct reader *rd, const char *key, struct mf_slice type,
                       const char *known)
{
    struct mf_shown word;

    return mf_jdoc_refuse(&rd->j, "%s.type is \"%s\"; known is %s", key,
                          mf_shown(&word, type), known);
}

static int want_type(struct reader *rd, const char *key, const char *want,
                     yyjson_val **obj)
{
    struct mf_slice type;
    int rc = read_type(rd, key, obj, &type);

    if (rc == 0 && !mf_slice_is(type, want)) {
        rc = refuse_type(rd, key, type, want);
    }
    return rc;
}

/* Old files name no type; then the keys tell. */
static int choose_kind(struct reader *rd, yyjson_val **model)
{
    struct mf_slice type;
    int rc = read_type(rd, "model", model, &type);

    if (rc < 0) {
        return rc;
    }
    if (type.n == 0 && yyjson_obj_get(*model, "max_input_chars_per_word") != NULL) {
        type = mf_slice_str(mf_tokenizer_wordpiece.type);
    }
    for (size_t i = 0; i < mf_countof(kinds); i++) {
        if (mf_slice_is(type, kinds[i]->type)) {
            rd->t->ops = kinds[i];
            return 0;
        }
    }
    return refuse_type(rd, "model", type, mf_tokenizer_wordpiece.type);
}

/* ---- vocabulary ---- */

/* One more than the largest id. */
static int count_ids(struct reader *rd, yyjson_val *vocab, uint32_t *n_ids)
{
    yyjson_val *added = yyjson_obj_get(rd->j.root, "added_tokens"), *key, *token;
    struct mf_shown word;
    yyjson_obj_iter it;
    size_t i, max;

    *n_ids = 0;
    (void)yyjson_obj_iter_init(vocab, &it);
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);

        if (!yyjson_is_uint(v) || yyjson_get_uint(v) >= MF_VOCAB_MAX) {
            return mf_jdoc_refuse(
                &rd->j, "model.vocab: the id of %s must be a whole number below %d",
                mf_shown(&word, mf_jdoc_slice(key)), MF_VOCAB_MAX);
        }
        *n_ids = mf_max(*n_ids, (uint32_t)yyjson_get_uint(v) + 1);
    }
    yyjson_arr_foreach(added, i, max, token)
    {
        yyjson_val *v = yyjson_obj_get(token, "id");

        if (!yyjson_is_uint(v) || yyjson_get_uint(v) >= MF_VOCAB_MAX) {
            return mf_jdoc_refuse(
                &rd->j, "added_tokens[%zu].id must be a whole number below %d", i,
                MF_VOCAB_MAX);
        }
        *n_ids = mf_max(*n_ids, (uint32_t)yyjson_get_uint(v) + 1);
    }
    return 0;
}

static int fill_vocab(struct reader *rd, yyjson_val *vocab, struct mf_slice prefix)
{
    struct mf_vocab *v = &rd->t->vocab;
    yyjson_val *key;
    yyjson_obj_iter it;
    uint32_t n_ids;
    int rc = count_ids(rd, vocab, &n_ids);

    if (rc < 0) {
        return rc;
    }
    rc = mf_vocab_init(v, prefix, n_ids);
    if (rc < 0) {
        return mf_err_set(rd->j.err, rc, FILE_NAME ": out of memory");
    }
    (void)yyjson_obj_iter_init(vocab, &it);
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        mf_vocab_add(v, (uint32_t)yyjson_get_uint(yyjson_obj_iter_get_val(key)),
                     mf_jdoc_slice(key));
    }
    rc = mf_vocab_index(v);
    if (rc < 0) {
        return mf_err_set(rd->j.err, rc, FILE_NAME ": out of memory");
    }
    rd->t->info.n_vocab = n_ids;
    return 0;
}

static int find_unknown(struct reader *rd, struct mf_slice unk)
{
    struct mf_shown word;

    rd->t->info.unk_id = mf_vocab_find(&rd->t->vocab, unk);
    if (rd->t->info.unk_id == MF_VOCAB_NONE) {
        return mf_jdoc_refuse(&rd->j, "model.unk_token %s is not in model.vocab",
                              mf_shown(&word, unk));
    }
    return 0;
}

static int read_model(struct reader *rd)
{
    struct mf_slice prefix = MF_SLICE("##"), unk = MF_SLICE("[UNK]");
    struct mf_tokenizer *t = rd->t;
    yyjson_val *model, *vocab;
    int rc = choose_kind(rd, &model);
    struct mf_jdoc inside = mf_jdoc_inside(&rd->j, model, "model.");

    t->max_chars = MF_WORD_CHARS_USUAL;
    if (rc < 0 || mf_jdoc_text(&inside, "continuing_subword_prefix", &prefix) < 0 ||
        mf_jdoc_text(&inside, "unk_token", &unk) < 0 ||
        mf_jdoc_u32(&inside, "max_input_chars_per_word", &t->max_chars) < 0) {
        return MF_EINVAL;
    }
    if (t->max_chars > MF_WORD_CHARS) {
        return mf_jdoc_refuse(
            &rd->j, "model.max_input_chars_per_word is %u; at most %d are possible",
            t->max_chars, MF_WORD_CHARS);
    }
    vocab = yyjson_obj_get(model, "vocab");
    if (!yyjson_is_obj(vocab)) {
        return mf_jdoc_refuse(&rd->j, "model.vocab must be an object");
    }
    rc = fill_vocab(rd, vocab, prefix);
    return rc < 0 ? rc : find_unknown(rd, unk);
}

/* ---- the rest ---- */

static int read_normalizer(struct reader *rd)
{
    struct mf_norm_flags *f = &rd->t->flags;
    struct mf_jdoc inside;
    yyjson_val *n;

    *f = (struct mf_norm_flags){true, true, false, true};
    if (want_type(rd, "normalizer", "BertNormalizer", &n) < 0) {
        return MF_EINVAL;
    }
    inside = mf_jdoc_inside(&rd->j, n, "normalizer.");
    if (mf_jdoc_bool(&inside, "clean_text", &f->clean_text) < 0 ||
        mf_jdoc_bool(&inside, "handle_chinese_chars", &f->handle_chinese_chars) < 0 ||
        mf_jdoc_bool(&inside, "lowercase", &f->lowercase) < 0) {
        return MF_EINVAL;
    }
    f->strip_accents = f->lowercase; /* what null means */
    return mf_jdoc_bool(&inside, "strip_accents", &f->strip_accents);
}

/* {"SpecialToken": {"id": "[CLS]"}} of a template: the id behind it. */
static int template_id(struct reader *rd, yyjson_val *template, yyjson_val *item,
                       uint32_t *id)
{
    const char *name =
        yyjson_get_str(yyjson_obj_get(yyjson_obj_get(item, "SpecialToken"), "id"));
    yyjson_val *token =
        yyjson_obj_get(yyjson_obj_get(template, "special_tokens"), name);
    yyjson_val *ids = yyjson_obj_get(token, "ids");

    if (yyjson_arr_size(ids) != 1 || !yyjson_is_uint(yyjson_arr_get_first(ids))) {
        return mf_jdoc_refuse(
            &rd->j, "post_processor.special_tokens must name one id for each token");
    }
    *id = (uint32_t)mf_min(yyjson_get_uint(yyjson_arr_get_first(ids)), UINT32_MAX);
    return 0;
}

static int read_template(struct reader *rd, yyjson_val *post)
{
    yyjson_val *single = yyjson_obj_get(post, "single");
    int rc;

    if (yyjson_arr_size(single) != 3 ||
        yyjson_obj_get(yyjson_arr_get(single, 1), "Sequence") == NULL) {
        return mf_jdoc_refuse(
            &rd->j, "post_processor.single must be one token, the text, one token");
    }
    rc = template_id(rd, post, yyjson_arr_get_first(single), &rd->t->info.cls_id);
    if (rc < 0) {
        return rc;
    }
    return template_id(rd, post, yyjson_arr_get_last(single), &rd->t->info.sep_id);
}

/* ["[CLS]", 101] */
static int read_pair(struct reader *rd, yyjson_val *post, const char *key, uint32_t *id)
{
    yyjson_val *v = yyjson_arr_get(yyjson_obj_get(post, key), 1);

    if (!yyjson_is_uint(v)) {
        return mf_jdoc_refuse(&rd->j, "post_processor.%s must be [token, id]", key);
    }
    *id = (uint32_t)mf_min(yyjson_get_uint(v), UINT32_MAX);
    return 0;
}

static int read_post_processor(struct reader *rd)
{
    struct mf_tokenizer_info *info = &rd->t->info;
    struct mf_slice type;
    yyjson_val *post;
    int rc = read_type(rd, "post_processor", &post, &type);

    if (rc < 0) {
        return rc;
    }
    if (mf_slice_is(type, "TemplateProcessing")) {
        rc = read_template(rd, post);
    } else if (mf_slice_is(type, "BertProcessing") ||
               mf_slice_is(type, "RobertaProcessing")) {
        rc = read_pair(rd, post, "cls", &info->cls_id);
        if (rc == 0) {
            rc = read_pair(rd, post, "sep", &info->sep_id);
        }
    } else {
        return refuse_type(rd, "post_processor", type,
                           "TemplateProcessing, BertProcessing, RobertaProcessing");
    }
    if (rc == 0 && (info->cls_id >= info->n_vocab || info->sep_id >= info->n_vocab)) {
        rc = mf_jdoc_refuse(&rd->j, "post_processor names an id of no token");
    }
    info->n_special = 2;
    return rc;
}

static int read_added_token(struct reader *rd, size_t i, yyjson_val *v)
{
    struct mf_added_token k = {0};
    struct mf_jdoc inside;
    bool single_word = false;
    char where[48];
    uint32_t known;

    (void)snprintf(where, sizeof(where), "added_tokens[%zu].", i);
    inside = mf_jdoc_inside(&rd->j, v, where);
    k.normalized = true;
    if (mf_jdoc_text(&inside, "content", &k.text) < 0 ||
        mf_jdoc_u32(&inside, "id", &k.id) < 0 ||
        mf_jdoc_bool(&inside, "lstrip", &k.lstrip) < 0 ||
        mf_jdoc_bool(&inside, "rstrip", &k.rstrip) < 0 ||
        mf_jdoc_bool(&inside, "normalized", &k.normalized) < 0 ||
        mf_jdoc_bool(&inside, "single_word", &single_word) < 0) {
        return MF_EINVAL;
    }
    if (k.text.n == 0 || k.text.n > MF_ADDED_BYTES) {
        return mf_jdoc_refuse(&rd->j, "%scontent must have 1 to %d bytes", where,
                              MF_ADDED_BYTES);
    }
    if (single_word) {
        return mf_jdoc_refuse(&rd->j, "%ssingle_word is not known: must be false",
                              where);
    }
    known = mf_vocab_find(&rd->t->vocab, k.text);
    if (known != MF_VOCAB_NONE && known != k.id) {
        return mf_jdoc_refuse(&rd->j, "%sid is %u, in model.vocab it is %u", where,
                              k.id, known);
    }
    if (mf_added_add(&rd->t->added, &k) < 0) {
        return mf_err_set(rd->j.err, MF_ENOMEM, FILE_NAME ": out of memory");
    }
    return 0;
}

static int read_added(struct reader *rd)
{
    yyjson_val *list = yyjson_obj_get(rd->j.root, "added_tokens"), *v;
    size_t i, max;
    int rc = 0;

    if (list == NULL || yyjson_is_null(list)) {
        return 0;
    }
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > MF_ADDED_MAX) {
        return mf_jdoc_refuse(&rd->j, "added_tokens must be a list of at most %d",
                              MF_ADDED_MAX);
    }
    yyjson_arr_foreach(list, i, max, v)
    {
        rc = read_added_token(rd, i, v);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* What fills a row that is too short: named by `padding`, else by its usual writing. */
static int read_padding(struct reader *rd)
{
    static const char *const names[] = {"[PAD]", "<pad>"};
    struct mf_jdoc padding =
        mf_jdoc_inside(&rd->j, mf_jdoc_get(&rd->j, "padding"), "padding.");
    uint32_t *id = &rd->t->info.pad_id;

    for (size_t i = mf_countof(names); i-- > 0;) {
        uint32_t known = mf_vocab_find(&rd->t->vocab, mf_slice_str(names[i]));

        *id = known == MF_VOCAB_NONE ? *id : known;
    }
    if (mf_jdoc_u32(&padding, "pad_id", id) < 0) {
        return MF_EINVAL;
    }
    if (*id >= rd->t->info.n_vocab) {
        return mf_jdoc_refuse(&rd->j, "padding.pad_id is the id of no token");
    }
    return 0;
}

static int read_root(struct reader *rd)
{
    yyjson_val *cutter;
    int rc = read_model(rd);

    if (rc == 0) {
        rc = read_normalizer(rd);
    }
    if (rc == 0) {
        rc = want_type(rd, "pre_tokenizer", "BertPreTokenizer", &cutter);
    }
    if (rc == 0) {
        rc = read_post_processor(rd);
    }
    if (rc == 0) {
        rc = read_added(rd);
    }
    return rc < 0 ? rc : read_padding(rd);
}

int mf_tokenizer_read_json(struct mf_tokenizer *t, const char *folder,
                           struct mf_err *err)
{
    struct reader rd = {.t = t};
    int rc = mf_model_file_open_json(&rd.j, folder, FILE_NAME, err);

    if (rc < 0) {
        return rc;
    }
    rc = read_root(&rd);
    mf_jdoc_close(&rd.j);
    return rc;
}
