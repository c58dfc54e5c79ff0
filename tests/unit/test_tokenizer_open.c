/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/mf_test.h"
#include "tokenizer_kit.h"

#include <string.h>

static void check_refused(const char *folder, int code, const char *part)
{
    struct mf_tokenizer *t = NULL;
    struct mf_err err;

    MF_CHECK_INT(mf_tokenizer_open(&t, folder, &err), code);
    MF_CHECK_PTR(t, NULL);
    if (strstr(err.msg, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
    }
}

static void check_refused_json(const struct kit_json *parts, const char *part)
{
    check_refused(kit_write_json(parts), MF_EINVAL, part);
}

MF_TEST(tokenizer_open, tells_what_the_file_says)
{
    struct mf_tokenizer *t = kit_open();
    const struct mf_tokenizer_info *info = mf_tokenizer_info(t);

    MF_CHECK_INT(info->n_vocab, KIT_N);
    MF_CHECK_INT(info->cls_id, KIT_CLS);
    MF_CHECK_INT(info->sep_id, KIT_SEP);
    MF_CHECK_INT(info->unk_id, KIT_UNK);
    MF_CHECK_INT(info->pad_id, KIT_PAD);
    MF_CHECK_INT(info->n_special, 2);
    MF_CHECK(mf_slice_is(mf_tokenizer_piece(t, KIT_ING), "##ing"));
    MF_CHECK(mf_slice_is(mf_tokenizer_piece(t, KIT_CLS), "[CLS]"));
    MF_CHECK_INT(mf_tokenizer_piece(t, KIT_N).n, 0);
    mf_tokenizer_close(t);
    mf_tokenizer_close(NULL);
}

MF_TEST(tokenizer_open, reads_a_template)
{
    struct kit_json parts = kit_plain;
    struct mf_tokenizer *t;
    struct mf_err err;

    parts.post_processor =
        "{\"type\":\"TemplateProcessing\",\"single\":["
        "{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":0}},"
        "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
        "{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}}],"
        "\"special_tokens\":{\"[CLS]\":{\"ids\":[2]},\"[SEP]\":{\"ids\":[3]}}}";
    MF_CHECK_OK(mf_tokenizer_open(&t, kit_write_json(&parts), &err));
    MF_CHECK_INT(mf_tokenizer_info(t)->cls_id, KIT_SEP);
    MF_CHECK_INT(mf_tokenizer_info(t)->sep_id, KIT_CLS);
    mf_tokenizer_close(t);
}

MF_TEST(tokenizer_open, names_the_kind_that_it_does_not_know)
{
    struct kit_json parts = kit_plain;

    parts.model_head = "\"type\":\"Unigram\"";
    check_refused_json(&parts, "model.type is \"Unigram\"; known is WordPiece");
    parts = kit_plain;
    parts.normalizer = "{\"type\":\"Precompiled\"}";
    check_refused_json(&parts, "normalizer.type is \"Precompiled\"");
    parts = kit_plain;
    parts.normalizer = "null";
    check_refused_json(&parts, "normalizer must be an object");
    parts = kit_plain;
    parts.pre_tokenizer = "{\"type\":\"ByteLevel\"}";
    check_refused_json(&parts, "pre_tokenizer.type is \"ByteLevel\"");
    parts = kit_plain;
    parts.post_processor = "{\"type\":\"ByteLevel\"}";
    check_refused_json(&parts, "post_processor.type is \"ByteLevel\"");
}

MF_TEST(tokenizer_open, names_the_value_that_is_wrong)
{
    static const struct {
        const char *model_head, *vocab, *added, *says;
    } cases[] = {
        {.vocab = "{\"[UNK]\":-1}", .says = "the id of [UNK] must be a whole number"},
        {.vocab = "{\"[UNK]\":1000000}", .says = "below 1000000"},
        {.vocab = "{\"a\":1}", .says = "model.unk_token [UNK] is not in model.vocab"},
        {.vocab = "[]", .says = "model.vocab must be an object"},
        {.vocab = "{\"[UNK]\":1}", .added = "[]", .says = "an id of no token"},
        {.model_head = "\"type\":\"WordPiece\",\"max_input_chars_per_word\":257",
         .says = "at most 256"},
        {.model_head = "\"type\":\"WordPiece\",\"unk_token\":7",
         .says = "model.unk_token must be text"},
        {.added = "[{\"id\":2,\"content\":\"\"}]", .says = "added_tokens[0].content"},
        {.added = "[{\"id\":9,\"content\":\"[CLS]\"}]",
         .says = "added_tokens[0].id is 9, in model.vocab it is 2"},
        {.added = "[{\"id\":12,\"content\":\"x\",\"single_word\":true}]",
         .says = "added_tokens[0].single_word"},
        {.added = "[{\"id\":12,\"content\":\"x\",\"lstrip\":1}]",
         .says = "added_tokens[0].lstrip must be true or false"},
        {.added = "[{\"content\":\"x\"}]", .says = "added_tokens[0].id"},
        {.added = "[{\"id\":12,\"content\":\"\\u0001\",\"normalized\":true}]",
         .says = "empty when it is normalised"},
        {.added = "7", .says = "added_tokens must be a list"},
    };

    for (size_t i = 0; i < mf_countof(cases); i++) {
        struct kit_json parts = kit_plain;

        parts.model_head =
            cases[i].model_head != NULL ? cases[i].model_head : parts.model_head;
        parts.vocab = cases[i].vocab != NULL ? cases[i].vocab : parts.vocab;
        parts.added = cases[i].added != NULL ? cases[i].added : parts.added;
        check_refused_json(&parts, cases[i].says);
    }
}

MF_TEST(tokenizer_open, refuses_a_file_that_is_no_json)
{
    check_refused(kit_write("tokenizer.json", "{\"model\":"), MF_EINVAL,
                  "tokenizer.json: no JSON, at byte");
    check_refused(kit_write("tokenizer.json", "[]"), MF_EINVAL,
                  "tokenizer.json: must be a JSON object");
    check_refused(kit_write("tokenizer.json", ""), MF_EINVAL, "tokenizer.json");
}

MF_TEST(tokenizer_open, says_which_file_is_not_there)
{
    const char *folder = mf_test_tmpdir();

    check_refused(folder, MF_ENOTFOUND, "neither tokenizer.json nor vocab.txt");
    (void)kit_write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n");
    check_refused(folder, MF_ENOTFOUND, "there is no tokenizer_config.json");
}

MF_TEST(tokenizer_open, reads_a_list_of_pieces_with_its_configuration)
{
    const char *folder =
        kit_write("vocab.txt", "[PAD]\n[UNK]\r\n<s>\n[SEP]\nA\n##B\n\u00e9");
    struct mf_tokenizer *t;
    struct mf_err err;
    uint32_t ids[8];
    struct mf_pieces p = {.id = ids, .cap = 8};

    (void)kit_write(
        "tokenizer_config.json",
        "{\"do_lower_case\":false,\"cls_token\":{\"content\":\"<s>\"},"
        "\"strip_accents\":null,\"tokenizer_class\":\"BertTokenizerFast\"}");
    MF_CHECK_OK(mf_tokenizer_open(&t, folder, &err));
    MF_CHECK_INT(mf_tokenizer_info(t)->n_vocab, 7);
    MF_CHECK_INT(
        mf_tokenizer_encode(t, mf_slice_str("AB \u00e9 a[SEP]"), MF_ENCODE_SPECIAL, &p),
        7);
    MF_CHECK_INT(ids[0], 2);
    MF_CHECK_INT(ids[1], 4);
    MF_CHECK_INT(ids[2], 5);
    MF_CHECK_INT(ids[3], 6);
    MF_CHECK_INT(ids[4], 1);
    MF_CHECK_INT(ids[5], 3);
    mf_tokenizer_close(t);
}

MF_TEST(tokenizer_open, refuses_a_configuration_it_would_misread)
{
    static const struct {
        const char *config, *says;
    } cases[] = {
        {"{\"tokenizer_class\":\"XLMRobertaTokenizer\"}",
         "tokenizer_class is XLMRobertaTokenizer"},
        {"{\"do_basic_tokenize\":false}", "do_basic_tokenize"},
        {"{\"do_lower_case\":\"yes\"}", "do_lower_case must be true or false"},
        {"{\"sep_token\":\"</s>\"}", "sep_token </s> is not in vocab.txt"},
    };

    for (size_t i = 0; i < mf_countof(cases); i++) {
        (void)kit_write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
        check_refused(kit_write("tokenizer_config.json", cases[i].config), MF_EINVAL,
                      cases[i].says);
    }
}

MF_TEST(tokenizer_open, undoes_all_when_memory_ends)
{
    struct kit_json parts = kit_plain;
    struct mf_tokenizer *t = NULL;
    const char *folder;
    size_t n = 0;
    int rc;

    parts.added = "[{\"id\":12,\"content\":\"X\",\"normalized\":true}]";
    folder = kit_write_json(&parts);
    do {
        struct mf_err err;

        mf_test_fail_nth(++n);
        rc = mf_tokenizer_open(&t, folder, &err);
        MF_CHECK(rc == 0 || (rc == MF_ENOMEM && t == NULL));
    } while (rc != 0);
    MF_CHECK(n > 10);
    mf_test_fail_nth(0);
    mf_tokenizer_close(t);
}
