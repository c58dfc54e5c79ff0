/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary in a GGUF file. */
#include "lib/gguf_file.h"
#include "lib/mf_test.h"

#include <limits.h>
#include <stdio.h>

#define N_PIECES  160U
#define UPPER     130U /* a word of the small vocabulary */
#define KEY(name) "tokenizer.ggml." name

static struct mf_gguf_file g;

static struct mf_weights *open_small(void)
{
    struct mf_weights *w = NULL;
    struct mf_err err = {0};
    char path[PATH_MAX];

    mf_gguf_file_save(&g, "small.gguf", path);
    if (mf_weights_open(&w, path, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return w;
}

static void rename_piece(uint32_t id, const char *text)
{
    (void)snprintf(g.piece[id], sizeof(g.piece[id]), "%s", text);
}

static void check_refused(const char *sentence)
{
    struct mf_weights *w = NULL;
    struct mf_err err = {0};
    char path[PATH_MAX];

    mf_gguf_file_save(&g, "x.gguf", path);
    MF_CHECK_INT(mf_weights_open(&w, path, &err), MF_EINVAL);
    MF_CHECK_STR(err.msg, sentence);
}

static bool is_special(const struct mf_weights_vocab *v, uint32_t id)
{
    size_t n = 0;

    for (size_t i = 0; i < v->n_special; i++) {
        n += v->special[i] == id;
    }
    MF_CHECK(n <= 1);
    return n == 1;
}

MF_TEST(vocab, writes_pieces_as_wordpiece_does)
{
    const struct mf_weights_vocab *v;
    struct mf_weights *w;

    mf_gguf_file_small(&g, G_F32);
    w = open_small();
    v = mf_weights_vocab(w);
    MF_CHECK_INT(v->n, N_PIECES);
    for (uint32_t id = 0; id < v->n; id++) {
        char piece[MF_MODEL_PIECE_MAX];

        mf_model_piece(id, piece);
        MF_CHECK(mf_slice_is(v->pieces[id], piece));
        MF_CHECK(is_special(v, id) == (id < 5));
    }
    MF_CHECK_INT(v->n_special, 5);
    MF_CHECK_INT(v->unk_id, 1);
    MF_CHECK_INT(v->cls_id, 2);
    MF_CHECK_INT(v->sep_id, 3);
    MF_CHECK_INT(v->pad_id, 0);
    MF_CHECK(v->lowercase);
    mf_weights_close(w);
}

MF_TEST(vocab, a_folder_has_none)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_weights *w = NULL;
    struct mf_err err = {0};

    mf_model_folder(mf_test_tmpdir(), &s);
    MF_CHECK_OK(mf_weights_open(&w, mf_test_tmpdir(), &err));
    assert_null(mf_weights_vocab(w));
    mf_weights_close(w);
}

MF_TEST(vocab, knows_writers_of_old_and_what_may_be_missing)
{
    const struct mf_weights_vocab *v;
    struct mf_weights *w;

    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_remove_key(&g, KEY("token_type"));
    mf_gguf_file_remove_key(&g, KEY("padding_token_id"));
    mf_gguf_file_remove_key(&g, KEY("mask_token_id"));
    mf_gguf_file_key(&g, KEY("bos_token_id"))->key = KEY("cls_token_id");
    mf_gguf_file_key(&g, KEY("seperator_token_id"))->key = KEY("eos_token_id");
    (void)mf_gguf_file_add(&g, KEY("bos_token_id"), 9);
    rename_piece(UPPER, "[unused7]");
    rename_piece(UPPER + 1, "\u2581[PAD131]");
    w = open_small();
    v = mf_weights_vocab(w);
    MF_CHECK_INT(v->cls_id, 2);
    MF_CHECK_INT(v->sep_id, 3);
    MF_CHECK_INT(v->n_special, 3); /* those that are named */
    MF_CHECK(mf_slice_is(v->pieces[2], "[CLS]"));
    MF_CHECK(mf_slice_is(v->pieces[UPPER], "[unused7]"));
    MF_CHECK(mf_slice_is(v->pieces[UPPER + 1], "[PAD131]"));
    MF_CHECK(v->lowercase); /* what is in brackets is no word */
    mf_weights_close(w);
}

MF_TEST(vocab, capitals_in_a_piece_keep_texts_as_they_are)
{
    struct mf_weights *w;

    mf_gguf_file_small(&g, G_F32);
    rename_piece(UPPER, "ingS");
    w = open_small();
    MF_CHECK(mf_slice_is(mf_weights_vocab(w)->pieces[UPPER], "##ingS"));
    MF_CHECK(!mf_weights_vocab(w)->lowercase);
    mf_weights_close(w);
}

MF_TEST(vocab, refuses_another_or_no_tokenizer)
{
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, KEY("model"))->text = "t5";
    check_refused("x.gguf: tokenizer.ggml.model t5 is not supported; bert is");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_remove_key(&g, KEY("model"));
    check_refused("x.gguf: tokenizer.ggml.model is missing: convert the model together "
                  "with its tokenizer");
}

MF_TEST(vocab, refuses_lists_that_do_not_fit)
{
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, KEY("tokens"))->n--;
    check_refused("x.gguf: tokenizer.ggml.token_type has 160 elements, "
                  "tokenizer.ggml.tokens 159");
    mf_gguf_file_key(&g, KEY("token_type"))->n--;
    check_refused("x.gguf: tokenizer.ggml.tokens has 159 pieces, token_embd.weight 160 "
                  "rows");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_remove_key(&g, KEY("tokens"));
    check_refused(
        "x.gguf: tokenizer.ggml.tokens has 0 pieces or is missing, expected 1 "
        "to 1000000");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, KEY("tokens"))->elements = T_I32;
    check_refused("x.gguf: tokenizer.ggml.tokens: must be a list of text");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, KEY("tokens"))->elements = T_ARRAY;
    check_refused("x.gguf: tokenizer.ggml.tokens: a list of an unknown type");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, KEY("tokens"))->type = T_STRING;
    mf_gguf_file_key(&g, KEY("tokens"))->text = "[CLS]";
    check_refused("x.gguf: tokenizer.ggml.tokens: must be a list");
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_key(&g, KEY("token_type"))->elements = T_F32;
    check_refused("x.gguf: tokenizer.ggml.token_type: must be a list of whole numbers");
}

MF_TEST(vocab, refuses_pieces_of_types_that_it_does_not_know)
{
    mf_gguf_file_small(&g, G_F32);
    g.piece_type[UPPER] = 4;
    check_refused("x.gguf: tokenizer.ggml.token_type of piece 130 is 4; normal (1), "
                  "unknown (2), control (3) and unused (5) are supported");
}

MF_TEST(vocab, refuses_ids_that_are_missing_or_of_no_piece)
{
    static const struct {
        const char *key, *when_missing;
    } all[] = {{KEY("bos_token_id"), KEY("cls_token_id")},
               {KEY("seperator_token_id"), KEY("seperator_token_id")},
               {KEY("unknown_token_id"), KEY("unknown_token_id")},
               {KEY("padding_token_id"), NULL},
               {KEY("mask_token_id"), NULL}};

    for (size_t i = 0; i < mf_countof(all); i++) {
        char sentence[128];

        mf_gguf_file_small(&g, G_F32);
        mf_gguf_file_key(&g, all[i].key)->number = N_PIECES;
        (void)snprintf(sentence, sizeof(sentence),
                       "x.gguf: %s is 160, there are 160 pieces", all[i].key);
        check_refused(sentence);
        if (all[i].when_missing != NULL) {
            mf_gguf_file_small(&g, G_F32);
            mf_gguf_file_remove_key(&g, all[i].key);
            (void)snprintf(sentence, sizeof(sentence), "x.gguf: %s is missing",
                           all[i].when_missing);
            check_refused(sentence);
        }
    }
}
