/* SPDX-License-Identifier: Apache-2.0 */
/* vocab.txt, one piece a line, its number the id; tokenizer_config.json says the rest.
 */
#include "tokenizer/model_file.h"
#include "tokenizer/tokenizer_priv.h"

#include <stdio.h>

#define VOCAB_FILE  "vocab.txt"
#define CONFIG_FILE "tokenizer_config.json"

struct special {
    const char *key;
    struct mf_slice text;
    uint32_t *id;
    bool is_needed;
    struct mf_added_token token;
};

/* ---- vocab.txt ---- */

/* The line at *at, without its end; false when there is none. */
static bool next_line(struct mf_slice text, size_t *at, struct mf_slice *line)
{
    const char *p = text.p + *at, *end;
    size_t n;

    if (*at >= text.n) {
        return false;
    }
    end = memchr(p, '\n', text.n - *at);
    n = end == NULL ? text.n - *at : (size_t)(end - p);
    *at += n + 1;
    *line = mf_slice_of(p, n > 0 && p[n - 1] == '\r' ? n - 1 : n);
    return true;
}

static int fill_vocab(struct mf_tokenizer *t, struct mf_slice text, struct mf_err *err)
{
    struct mf_slice line;
    uint32_t n_ids = 0;
    int rc;

    for (size_t at = 0; next_line(text, &at, &line); n_ids++) {
        if (n_ids == MF_VOCAB_MAX) {
            return mf_err_set(err, MF_EINVAL, VOCAB_FILE ": more than %d lines",
                              MF_VOCAB_MAX);
        }
    }
    rc = mf_vocab_init(&t->vocab, MF_SLICE("##"), n_ids);
    if (rc == 0) {
        uint32_t id = 0;

        for (size_t at = 0; next_line(text, &at, &line); id++) {
            mf_vocab_add(&t->vocab, id, line);
        }
        rc = mf_vocab_index(&t->vocab);
    }
    t->info.n_vocab = n_ids;
    return rc < 0 ? mf_err_set(err, rc, VOCAB_FILE ": out of memory") : 0;
}

static int read_vocab(struct mf_tokenizer *t, const char *folder, struct mf_err *err)
{
    struct mf_buf text;
    int rc;

    mf_buf_init(&text);
    rc = mf_model_file_read(folder, VOCAB_FILE, &text, err);
    if (rc == 0) {
        rc = fill_vocab(t, mf_slice_of(text.p, text.n), err);
    }
    mf_buf_fini(&text);
    return rc;
}

/* ---- tokenizer_config.json ---- */

static int read_flags(const struct mf_jdoc *j, struct mf_norm_flags *f)
{
    bool basic = true;

    *f = (struct mf_norm_flags){true, true, false, true};
    if (mf_jdoc_bool(j, "do_lower_case", &f->lowercase) < 0 ||
        mf_jdoc_bool(j, "tokenize_chinese_chars", &f->handle_chinese_chars) < 0 ||
        mf_jdoc_bool(j, "do_basic_tokenize", &basic) < 0) {
        return MF_EINVAL;
    }
    f->strip_accents = f->lowercase; /* what null means */
    if (!basic) {
        return mf_jdoc_refuse(j, "do_basic_tokenize must be true");
    }
    return mf_jdoc_bool(j, "strip_accents", &f->strip_accents);
}

static int check_class(const struct mf_jdoc *j)
{
    static const char *const known[] = {"BertTokenizer", "DistilBertTokenizer",
                                        "ElectraTokenizer", "MobileBertTokenizer"};
    struct mf_slice class = MF_SLICE("BertTokenizer");
    struct mf_shown word;

    if (mf_jdoc_text(j, "tokenizer_class", &class) < 0) {
        return MF_EINVAL;
    }
    for (size_t i = 0; i < mf_countof(known); i++) {
        size_t n = strlen(known[i]);

        if (mf_slice_is(class, known[i]) ||
            (class.n == n + 4 && memcmp(class.p, known[i], n) == 0 &&
             memcmp(class.p + n, "Fast", 4) == 0)) {
            return 0;
        }
    }
    return mf_jdoc_refuse(j, "tokenizer_class is %s; known is BertTokenizer",
                          mf_shown(&word, class));
}

/* A token is a word, or an object with the word as its content and its flags. */
static int read_special(const struct mf_jdoc *j, struct special *s)
{
    yyjson_val *v = mf_jdoc_get(j, s->key);
    struct mf_jdoc inside;
    char where[32];

    if (!yyjson_is_obj(v)) {
        return mf_jdoc_text(j, s->key, &s->text);
    }
    (void)snprintf(where, sizeof(where), "%s.", s->key);
    inside = mf_jdoc_inside(j, v, where);
    if (mf_jdoc_text(&inside, "content", &s->text) < 0 ||
        mf_jdoc_bool(&inside, "lstrip", &s->token.lstrip) < 0 ||
        mf_jdoc_bool(&inside, "rstrip", &s->token.rstrip) < 0) {
        return MF_EINVAL;
    }
    return mf_jdoc_bool(&inside, "normalized", &s->token.normalized);
}

static int add_special(const struct mf_jdoc *j, struct mf_tokenizer *t,
                       struct special *s)
{
    struct mf_shown word;

    s->token.id = mf_vocab_find(&t->vocab, s->text);
    s->token.text = s->text;
    if (s->token.id == MF_VOCAB_NONE) {
        return !s->is_needed ? 0
                             : mf_jdoc_refuse(j, "%s %s is not in " VOCAB_FILE, s->key,
                                              mf_shown(&word, s->text));
    }
    if (s->text.n > MF_ADDED_BYTES) {
        return mf_jdoc_refuse(j, "%s is longer than %d bytes", s->key, MF_ADDED_BYTES);
    }
    *s->id = s->token.id;
    if (mf_added_add(&t->added, &s->token) < 0) {
        return mf_err_set(j->err, MF_ENOMEM, CONFIG_FILE ": out of memory");
    }
    return 0;
}

static int read_config(const struct mf_jdoc *j, struct mf_tokenizer *t)
{
    uint32_t mask_id;
    struct special all[] = {
        {"unk_token", MF_SLICE("[UNK]"), &t->info.unk_id, true, {0}},
        {"cls_token", MF_SLICE("[CLS]"), &t->info.cls_id, true, {0}},
        {"sep_token", MF_SLICE("[SEP]"), &t->info.sep_id, true, {0}},
        {"pad_token", MF_SLICE("[PAD]"), &t->info.pad_id, false, {0}},
        {"mask_token", MF_SLICE("[MASK]"), &mask_id, false, {0}},
    };

    if (check_class(j) < 0 || read_flags(j, &t->flags) < 0) {
        return MF_EINVAL;
    }
    for (size_t i = 0; i < mf_countof(all); i++) {
        int rc = read_special(j, &all[i]);

        if (rc == 0) {
            rc = add_special(j, t, &all[i]);
        }
        if (rc < 0) {
            return rc;
        }
    }
    t->info.n_special = 2;
    t->max_chars = MF_WORD_CHARS_USUAL;
    t->ops = &mf_tokenizer_wordpiece;
    return 0;
}

int mf_tokenizer_read_vocab_txt(struct mf_tokenizer *t, const char *folder,
                                struct mf_err *err)
{
    struct mf_jdoc j;
    int rc = read_vocab(t, folder, err);

    if (rc == MF_ENOTFOUND) {
        return mf_err_set(err, rc, "there is neither tokenizer.json nor " VOCAB_FILE);
    }
    if (rc < 0) {
        return rc;
    }
    rc = mf_model_file_open_json(&j, folder, CONFIG_FILE, err);
    if (rc < 0) {
        return rc;
    }
    rc = read_config(&j, t);
    mf_jdoc_close(&j);
    return rc;
}
