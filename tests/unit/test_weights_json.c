/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "weights/folder.h"

#include <stdio.h>

#define SIZES                                                                          \
    "\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,"             \
    "\"intermediate_size\":16,\"vocab_size\":99,\"max_position_embeddings\":20"
#define BERT "\"model_type\":\"bert\"," SIZES

static int parse_config(struct mf_plan *p, const char *text, struct mf_err *err)
{
    *p = (struct mf_plan){0};
    *err = (struct mf_err){0};
    return mf_folder_parse_config(p, mf_slice_str(text), err);
}

static void check_result(int rc, const struct mf_err *err, const char *sentence)
{
    if (sentence == NULL && rc < 0) {
        fail_msg("refused: %s", err->msg);
    }
    if (sentence != NULL && (rc != MF_EINVAL || strcmp(err->msg, sentence) != 0)) {
        fail_msg("rc %d, \"%s\", expected \"%s\"", rc, err->msg, sentence);
    }
}

static void check_config(const char *text, const char *sentence)
{
    struct mf_plan p;
    struct mf_err err;

    check_result(parse_config(&p, text, &err), &err, sentence);
}

MF_TEST(weights_json, has_defaults_where_the_library_has_them)
{
    struct mf_plan p;
    struct mf_err err;

    MF_CHECK_OK(parse_config(&p, "{" BERT "}", &err));
    MF_CHECK_INT(p.info.activation, MF_ACT_GELU);
    MF_CHECK(p.info.norm_eps == 1e-12F);
    MF_CHECK_INT(p.n_types, 2);
    MF_CHECK_INT(p.info.window, 20);
    MF_CHECK_OK(parse_config(&p, "{\"model_type\":\"mpnet\"," SIZES "}", &err));
    MF_CHECK_INT(p.n_buckets, 32);
    MF_CHECK_INT(p.info.window, 18);
}

MF_TEST(weights_json, reads_activation_epsilon_and_padding)
{
    struct mf_plan p;
    struct mf_err err;

    MF_CHECK_OK(parse_config(&p,
                             "{\"model_type\":\"xlm-roberta\"," SIZES
                             ",\"hidden_act\":\"gelu_new\",\"layer_norm_eps\":1e-05,"
                             "\"type_vocab_size\":1,\"pad_token_id\":0}",
                             &err));
    MF_CHECK_INT(p.info.arch, MF_ARCH_ROBERTA);
    MF_CHECK_INT(p.info.activation, MF_ACT_GELU_TANH);
    MF_CHECK(p.info.norm_eps == 1e-5F);
    MF_CHECK_INT(p.n_types, 1);
    MF_CHECK_INT(p.info.position_offset, 1);
    MF_CHECK_INT(p.info.window, 19);
    MF_CHECK_OK(parse_config(&p, "{" BERT ",\"hidden_act\":\"relu\"}", &err));
    MF_CHECK_INT(p.info.activation, MF_ACT_RELU);
}

MF_TEST(weights_json, names_what_is_not_supported)
{
    check_config(
        "{\"model_type\":\"modernbert\"," SIZES "}",
        "config.json: model_type modernbert is not supported; bert, distilbert, "
        "mpnet, roberta, xlm-roberta and camembert are");
    check_config("{" BERT ",\"hidden_act\":\"swish\"}",
                 "config.json: hidden_act swish is not supported; gelu, gelu_new and "
                 "relu are");
    check_config("{" BERT ",\"position_embedding_type\":\"relative_key\"}",
                 "config.json: position_embedding_type relative_key is not supported; "
                 "absolute is");
    check_config("{" BERT ",\"is_decoder\":true}",
                 "config.json: is_decoder true is not supported: encoders only");
}

MF_TEST(weights_json, names_sizes_that_cannot_be)
{
    check_config("{" SIZES "}", "config.json: model_type is missing");
    check_config("{\"model_type\":3," SIZES "}",
                 "config.json: model_type must be text");
    check_config("{\"model_type\":\"bert\"}", "config.json: hidden_size is missing");
    check_config("{\"model_type\":\"bert\",\"hidden_size\":0}",
                 "config.json: hidden_size must be a whole number, 1 to 16384");
    check_config("{\"model_type\":\"bert\",\"hidden_size\":16385}",
                 "config.json: hidden_size must be a whole number, 1 to 16384");
    check_config("{\"model_type\":\"bert\",\"hidden_size\":\"8\"}",
                 "config.json: hidden_size must be a whole number, 1 to 16384");
    check_config(
        "{\"model_type\":\"bert\",\"hidden_size\":8,\"num_hidden_layers\":257}",
        "config.json: num_hidden_layers must be a whole number, 1 to 256");
    check_config("{\"model_type\":\"bert\",\"hidden_size\":8,\"num_hidden_layers\":1,"
                 "\"num_attention_heads\":3,\"intermediate_size\":4,\"vocab_size\":9,"
                 "\"max_position_embeddings\":9}",
                 "config.json: hidden_size 8 is no multiple of num_attention_heads 3");
    check_config("{" BERT ",\"layer_norm_eps\":0}",
                 "config.json: layer_norm_eps must be a number between 0 and 1");
    check_config("{\"model_type\":\"roberta\"," SIZES ",\"pad_token_id\":17}",
                 "config.json: max_position_embeddings 20 is too small");
    check_config("{\"model_type\":\"roberta\"," SIZES ",\"pad_token_id\":4294967295}",
                 "config.json: pad_token_id must be a whole number below "
                 "max_position_embeddings");
    check_config("[]", "config.json: must be a JSON object");
}

static void check_modules(const char *text, const char *sentence)
{
    struct mf_layout l = {0};
    struct mf_err err = {0};

    check_result(mf_folder_parse_modules(&l, mf_slice_str(text), &err), &err, sentence);
}

#define MODULE(type, path) "{\"type\":\"" type "\",\"path\":\"" path "\"}"

MF_TEST(weights_json, takes_modules_by_the_last_part_of_their_type)
{
    static const char text[] = "[" MODULE("a.b.Transformer", "0_T") "," MODULE(
        "Pooling", "9_P") "," MODULE("a.Normalize", "") "]";
    struct mf_layout l = {0};
    struct mf_err err = {0};

    MF_CHECK_OK(mf_folder_parse_modules(&l, mf_slice_str(text), &err));
    MF_CHECK_STR(l.transformer, "0_T");
    MF_CHECK_STR(l.pooling, "9_P");
    MF_CHECK(l.normalise);
}

MF_TEST(weights_json, refuses_other_modules_and_ways_out_of_the_folder)
{
    check_modules("[" MODULE("a.Dense", "3_Dense") "]",
                  "modules.json: module Dense is not supported; Transformer, one "
                  "Pooling and Normalize are");
    check_modules("[" MODULE("a.Pooling", "1") "," MODULE("a.Pooling", "2") "]",
                  "modules.json: module Pooling is not supported; Transformer, one "
                  "Pooling and Normalize are");
    check_modules("[" MODULE("a.Pooling", "../x") "]",
                  "modules.json: path ../x must be a short one inside the model's "
                  "folder");
    check_modules("[" MODULE("a.Pooling", "/etc") "]",
                  "modules.json: path /etc must be a short one inside the model's "
                  "folder");
    check_modules("{}", "modules.json: must be a JSON list");
    check_modules("[" MODULE("a.Transformer", "") "]",
                  "modules.json: no Pooling in a folder of its own");
    check_modules("[3]", "modules.json: module \"\" is not supported; Transformer, one "
                         "Pooling and Normalize are");
}

static int parse_pooling(struct mf_plan *p, const char *text, struct mf_err *err)
{
    *p = (struct mf_plan){.info = {.hidden = 8}};
    *err = (struct mf_err){0};
    return mf_folder_parse_pooling(p, "P", mf_slice_str(text), err);
}

MF_TEST(weights_json, reads_pooling_in_both_writings)
{
    static const struct {
        const char *text;
        enum mf_pooling pooling;
    } all[] = {
        {"{\"pooling_mode_cls_token\":true}", MF_POOL_CLS},
        {"{\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":true}",
         MF_POOL_MEAN},
        {"{\"pooling_mode_max_tokens\":true}", MF_POOL_MAX},
        {"{\"pooling_mode_lasttoken\":true}", MF_POOL_LAST},
        {"{\"pooling_mode\":\"cls\"}", MF_POOL_CLS},
        {"{\"pooling_mode\":\"mean\",\"include_prompt\":true}", MF_POOL_MEAN},
        {"{\"pooling_mode\":[\"max\"],\"embedding_dimension\":8}", MF_POOL_MAX},
        {"{\"pooling_mode\":\"lasttoken\"}", MF_POOL_LAST},
    };

    for (size_t i = 0; i < mf_countof(all); i++) {
        struct mf_plan p;
        struct mf_err err;

        check_result(parse_pooling(&p, all[i].text, &err), &err, NULL);
        MF_CHECK_INT(p.info.pooling, all[i].pooling);
    }
}

static void check_pooling(const char *text, const char *sentence)
{
    struct mf_plan p;
    struct mf_err err;

    check_result(parse_pooling(&p, text, &err), &err, sentence);
}

MF_TEST(weights_json, refuses_pooling_that_is_none_of_them)
{
    check_pooling("{}", "P: no pooling is chosen: pooling_mode is missing and no "
                        "pooling_mode_... is true");
    check_pooling(
        "{\"pooling_mode_cls_token\":true,\"pooling_mode_max_tokens\":true}",
        "P: pooling_mode_cls_token and pooling_mode_max_tokens joined are not "
        "supported: choose one");
    check_pooling(
        "{\"pooling_mode_mean_sqrt_len_tokens\":true}",
        "P: pooling mean_sqrt_len_tokens is not supported; cls, mean, max and "
        "lasttoken are");
    check_pooling("{\"pooling_mode\":\"weightedmean\"}",
                  "P: pooling weightedmean is not supported; cls, mean, max and "
                  "lasttoken are");
    check_pooling("{\"pooling_mode\":\"middle\"}",
                  "P: pooling_mode middle is not supported");
    check_pooling("{\"pooling_mode\":[\"mean\",\"cls\"]}",
                  "P: pooling_mode must be one of cls, mean, max, lasttoken");
    check_pooling("{\"pooling_mode\":\"mean\",\"include_prompt\":false}",
                  "P: include_prompt false is not supported");
    check_pooling("{\"pooling_mode_cls_token\":1}",
                  "P: pooling_mode_cls_token must be true or false");
    check_pooling("{\"pooling_mode\":\"mean\",\"embedding_dimension\":9}",
                  "P: embedding_dimension is 9, the model's is 8");
}

static int parse_window(struct mf_plan *p, const char *text, struct mf_err *err)
{
    bool is_said;
    int rc;

    *p = (struct mf_plan){.info = {.window = 20}};
    *err = (struct mf_err){0};
    rc = mf_folder_parse_window(p, "W", "max_seq_length", mf_slice_str(text), &is_said,
                                err);
    MF_CHECK(rc < 0 || is_said == (strstr(text, ":null") == NULL && text[1] != '}'));
    return rc;
}

MF_TEST(weights_json, makes_the_window_smaller_never_larger)
{
    static const struct {
        const char *text;
        uint32_t window;
    } all[] = {
        {"{}", 20},
        {"{\"max_seq_length\":null}", 20},
        {"{\"max_seq_length\":3}", 3},
        {"{\"max_seq_length\":512}", 20},
        {"{\"max_seq_length\":1000000000000000019884624838656}", 20},
    };
    struct mf_plan p;
    struct mf_err err;

    for (size_t i = 0; i < mf_countof(all); i++) {
        check_result(parse_window(&p, all[i].text, &err), &err, NULL);
        MF_CHECK_INT(p.info.window, all[i].window);
    }
    check_result(parse_window(&p, "{\"max_seq_length\":2}", &err), &err,
                 "W: max_seq_length must be a number from 3 on");
    check_result(parse_window(&p, "{\"max_seq_length\":\"9\"}", &err), &err,
                 "W: max_seq_length must be a number from 3 on");
}

static void check_prompts(const char *text, const char *sentence)
{
    struct mf_plan p = {0};
    struct mf_arena arena;
    struct mf_err err = {0};

    mf_arena_init(&arena, 256);
    check_result(mf_folder_parse_prompts(&p, &arena, mf_slice_str(text), &err), &err,
                 sentence);
    mf_arena_fini(&arena);
}

MF_TEST(weights_json, refuses_prompts_that_are_no_texts)
{
    check_prompts("{\"prompts\":null,\"default_prompt_name\":null}", NULL);
    check_prompts("{\"prompts\":[]}", "config_sentence_transformers.json: prompts must "
                                      "be an object of up to 256 texts");
    check_prompts("{\"prompts\":{\"q\":3}}",
                  "config_sentence_transformers.json: prompts: q must be text");
    check_prompts("{\"prompts\":{\"q\":\"a\\u0000b\"}}",
                  "config_sentence_transformers.json: prompts: q must be text");
    check_prompts("{\"prompts\":{\"q\":\"\"},\"default_prompt_name\":\"p\"}",
                  "config_sentence_transformers.json: default_prompt_name p is not "
                  "among the prompts");
}

/* What the JSON library says behind it is its own matter. */
static void check_no_json(const char *text, const char *beginning)
{
    struct mf_plan p;
    struct mf_err err;

    MF_CHECK_INT(parse_config(&p, text, &err), MF_EINVAL);
    if (strncmp(err.msg, beginning, strlen(beginning)) != 0) {
        fail_msg("\"%s\", expected \"%s...\"", err.msg, beginning);
    }
}

MF_TEST(weights_json, refuses_text_that_is_not_json)
{
    char deep[200];

    check_no_json("", "config.json: no JSON, at byte 0: ");
    check_no_json("{\"model_type\":\"b\xffrt\"}", "config.json: no JSON, at byte 16: ");
    check_no_json("{} {}", "config.json: no JSON, at byte 3: ");
    memset(deep, '[', 33);
    (void)snprintf(deep + 33, sizeof(deep) - 33, "1");
    check_config(deep, "config.json: JSON deeper than 32");
    /* Brackets in texts are no depth. */
    check_config("{" BERT ",\"x\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}",
                 NULL);
}
