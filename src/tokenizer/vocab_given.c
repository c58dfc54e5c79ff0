/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary that somebody else read. */
#include "tokenizer/tokenizer_priv.h"

static int check_given(const struct mf_tokenizer_vocab *v, struct mf_err *err)
{
    if (v->n > MF_VOCAB_MAX) {
        return mf_err_set(err, MF_EINVAL, "more than %d pieces", MF_VOCAB_MAX);
    }
    if (v->cls_id >= v->n || v->sep_id >= v->n || v->unk_id >= v->n ||
        v->pad_id >= v->n) {
        return mf_err_set(err, MF_EINVAL, "a special id is the id of no piece");
    }
    if (v->n_special > MF_ADDED_MAX) {
        return mf_err_set(err, MF_EINVAL, "more than %d special pieces", MF_ADDED_MAX);
    }
    return 0;
}

static int add_special(struct mf_tokenizer *t, const struct mf_tokenizer_vocab *v,
                       uint32_t id, struct mf_err *err)
{
    struct mf_added_token token = {.id = id};

    if (id >= v->n || v->pieces[id].n == 0 || v->pieces[id].n > MF_ADDED_BYTES) {
        return mf_err_set(err, MF_EINVAL,
                          "special piece %u must be there and have 1 to %d bytes", id,
                          MF_ADDED_BYTES);
    }
    token.text = v->pieces[id];
    if (mf_added_add(&t->added, &token) < 0) {
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    return 0;
}

static int add_pieces(struct mf_tokenizer *t, const struct mf_tokenizer_vocab *v,
                      struct mf_err *err)
{
    int rc = mf_vocab_init(&t->vocab, MF_SLICE("##"), v->n);

    if (rc == 0) {
        for (uint32_t id = 0; id < v->n; id++) {
            mf_vocab_add(&t->vocab, id, v->pieces[id]);
        }
        rc = mf_vocab_index(&t->vocab);
    }
    return rc < 0 ? mf_err_set(err, rc, "out of memory") : 0;
}

int mf_tokenizer_take_vocab(struct mf_tokenizer *t, const struct mf_tokenizer_vocab *v,
                            struct mf_err *err)
{
    int rc = check_given(v, err);

    rc = rc < 0 ? rc : add_pieces(t, v, err);
    for (size_t i = 0; rc == 0 && i < v->n_special; i++) {
        rc = add_special(t, v, v->special[i], err);
    }
    t->info = (struct mf_tokenizer_info){.n_vocab = v->n,
                                         .cls_id = v->cls_id,
                                         .sep_id = v->sep_id,
                                         .unk_id = v->unk_id,
                                         .pad_id = v->pad_id,
                                         .n_special = 2};
    t->flags = (struct mf_norm_flags){.clean_text = true,
                                      .handle_chinese_chars = true,
                                      .strip_accents = v->lowercase,
                                      .lowercase = v->lowercase};
    t->max_chars = MF_WORD_CHARS_USUAL;
    t->ops = &mf_tokenizer_wordpiece;
    return rc;
}
