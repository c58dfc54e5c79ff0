/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer_kit.h"

#include "lib/mf_test.h"
#include "lib/test_file.h"

#include <stdio.h>

#define BERT_TOKEN(id, text)                                                           \
    "{\"id\":" id ",\"content\":\"" text "\",\"single_word\":false,"                   \
    "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}"

const struct kit_json kit_plain = {
    .model_head = "\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
                  "\"continuing_subword_prefix\":\"##\","
                  "\"max_input_chars_per_word\":100",
    .vocab = "{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"play\":4,\"##ing\":5,"
             "\"##ed\":6,\"cafe\":7,\".\":8,\"\\u4e2d\":9,\"a\":10,\"##a\":11}",
    .normalizer = "{\"type\":\"BertNormalizer\",\"clean_text\":true,"
                  "\"handle_chinese_chars\":true,\"strip_accents\":null,"
                  "\"lowercase\":true}",
    .pre_tokenizer = "{\"type\":\"BertPreTokenizer\"}",
    .post_processor = "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],"
                      "\"cls\":[\"[CLS]\",2]}",
    .added = "[" BERT_TOKEN("2", "[CLS]") "," BERT_TOKEN("3", "[SEP]") "]",
};

const char *kit_write(const char *name, const char *text)
{
    const char *folder = mf_test_tmpdir();

    mf_test_text(folder, name, text);
    return folder;
}

const char *kit_write_json(const struct kit_json *parts)
{
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,"
                     "\"added_tokens\":%s,\"normalizer\":%s,\"pre_tokenizer\":%s,"
                     "\"post_processor\":%s,\"decoder\":null,"
                     "\"model\":{%s,\"vocab\":%s}}",
                     parts->added, parts->normalizer, parts->pre_tokenizer,
                     parts->post_processor, parts->model_head, parts->vocab);

    MF_CHECK(n > 0 && (size_t)n < sizeof(text));
    return kit_write("tokenizer.json", text);
}

struct mf_tokenizer *kit_open(void)
{
    struct mf_tokenizer *t = NULL;
    struct mf_err err;

    MF_CHECK_OK(mf_tokenizer_open(&t, kit_write_json(&kit_plain), &err));
    return t;
}
