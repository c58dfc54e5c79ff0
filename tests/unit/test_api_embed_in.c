/* SPDX-License-Identifier: Apache-2.0 */
/* What a body asks to have embedded, and how each family says that it is wrong. */
#include "api/embed_in.h"
#include "api/family.h"
#include "base/err.h"
#include "lib/mf_test.h"

#include <string.h>

#define DIM 8

static const struct mf_prompt_text prompts[] = {{"query", "Q: "}, {"doc", "D: "}};
static const struct mf_model_info plain = {
    .name = "m", .dim = DIM, .window = 10, .n_special = 2};
static const struct mf_model_info prompted = {.name = "m",
                                              .dim = DIM,
                                              .window = 1000,
                                              .prompts = prompts,
                                              .n_prompts = 2,
                                              .default_prompt = "doc"};

typedef void (*take_fn)(const struct mf_json_at *at, const struct mf_embed_rules *rules,
                        struct mf_embed_wish *out);

struct reading {
    struct mf_json json;
    struct mf_arena arena;
    struct mf_faults faults;
    struct mf_embed_wish wish;
    int rc;
};

static void read_body(struct reading *r, take_fn take, const struct mf_model_info *m,
                      const char *body)
{
    struct mf_embed_rules rules = {.model = m, .max_texts = 3};
    struct mf_json_at at = {.faults = &r->faults};

    memset(r, 0, sizeof(*r));
    mf_arena_init(&r->arena, 512);
    r->faults.arena = &r->arena;
    r->rc = mf_json_init(&r->json, 8);
    if (r->rc < 0) {
        return;
    }
    r->rc = mf_json_open(&r->json, mf_slice_str(body), &r->faults, &at.obj);
    if (r->rc == 0) {
        take(&at, &rules, &r->wish);
        mf_json_close(&r->json);
        r->rc = r->faults.code;
    }
}

static void reading_end(struct reading *r)
{
    if (r->json.pool != NULL) {
        mf_json_fini(&r->json);
    }
    mf_arena_fini(&r->arena);
}

static void check_refused(take_fn take, const char *body, int rc, const char *field)
{
    struct reading r;

    read_body(&r, take, &plain, body);
    MF_CHECK_INT(r.rc, rc);
    MF_CHECK_STR(r.faults.all[0].field, field);
    reading_end(&r);
}

MF_TEST(embed_in, takes_one_text_or_a_list)
{
    struct reading r;

    read_body(&r, mf_embed_in_openai, &plain, "{\"input\":\"a\"}");
    MF_CHECK_OK(r.rc);
    MF_CHECK_INT(r.wish.n, 1);
    MF_CHECK_INT(r.wish.dim, DIM);
    MF_CHECK_INT(r.wish.flags, MF_TEXT_WHOLE);
    MF_CHECK(!r.wish.base64);
    reading_end(&r);
    read_body(&r, mf_embed_in_tei, &plain,
              "{\"inputs\":[\"a\",\"bc\"],\"truncate\":true,\"normalize\":false,"
              "\"truncation_direction\":\"Left\",\"dimensions\":3}");
    MF_CHECK_OK(r.rc);
    MF_CHECK_INT(r.wish.n, 2);
    MF_CHECK(mf_slice_is(r.wish.texts[1], "bc"));
    MF_CHECK_INT(r.wish.dim, 3);
    MF_CHECK_INT(r.wish.flags, MF_TEXT_LEFT | MF_TEXT_RAW);
    reading_end(&r);
}

MF_TEST(embed_in, puts_the_prompt_asked_for_or_the_default_one)
{
    struct reading r;

    read_body(&r, mf_embed_in_openai, &prompted, "{\"input\":\"a\"}");
    MF_CHECK(mf_slice_is(r.wish.prompt, "D: "));
    reading_end(&r);
    read_body(&r, mf_embed_in_tei, &prompted,
              "{\"inputs\":\"a\",\"prompt_name\":\"query\"}");
    MF_CHECK(mf_slice_is(r.wish.prompt, "Q: "));
    reading_end(&r);
    read_body(&r, mf_embed_in_tei, &plain, "{\"inputs\":\"a\"}");
    MF_CHECK_INT(r.wish.prompt.n, 0);
    reading_end(&r);
}

MF_TEST(embed_in, blames_the_field_that_is_wrong)
{
    check_refused(mf_embed_in_openai, "{}", MF_EUNPROCESSABLE, "input");
    check_refused(mf_embed_in_openai, "{\"input\":[1]}", MF_EUNPROCESSABLE, "input");
    check_refused(mf_embed_in_openai, "{\"input\":[[1,2]]}", MF_EUNPROCESSABLE,
                  "input");
    check_refused(mf_embed_in_openai, "{\"input\":\"a\",\"dimensions\":9}",
                  MF_EUNPROCESSABLE, "dimensions");
    check_refused(mf_embed_in_openai, "{\"input\":\"a\",\"encoding_format\":\"x\"}",
                  MF_EUNPROCESSABLE, "encoding_format");
    check_refused(mf_embed_in_tei, "{\"inputs\":[\"a\",\"b\",\"c\",\"d\"]}", MF_ETOOBIG,
                  "inputs");
    check_refused(mf_embed_in_tei, "{\"inputs\":\"a\",\"prompt_name\":\"x\"}",
                  MF_EUNPROCESSABLE, "prompt_name");
    check_refused(mf_embed_in_tei, "{\"inputs\":\"a\",\"truncation_direction\":\"x\"}",
                  MF_EUNPROCESSABLE, "truncation_direction");
}

MF_TEST(embed_in, says_that_there_is_no_text)
{
    static const char *const bodies[] = {"{\"inputs\":\"\"}", "{\"inputs\":[]}",
                                         "{\"inputs\":[\"a\",\"\"]}"};

    for (size_t i = 0; i < mf_countof(bodies); i++) {
        struct reading r;

        read_body(&r, mf_embed_in_tei, &plain, bodies[i]);
        MF_CHECK_INT(r.faults.n, 1);
        MF_CHECK_STR(r.faults.all[0].type, MF_FAULT_EMPTY);
        reading_end(&r);
    }
}

MF_TEST(embed_in, comes_to_a_clean_end_whichever_allocation_fails)
{
    bool failed = true;

    for (size_t nth = 1; failed; nth++) {
        struct reading r;

        mf_test_fail_nth(nth);
        read_body(&r, mf_embed_in_tei, &plain,
                  "{\"inputs\":[\"a\",\"b\",\"c\"],\"dimensions\":99}");
        failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK_INT(r.rc, failed ? MF_ENOMEM : MF_EUNPROCESSABLE);
        reading_end(&r);
    }
}

/* ---- families ---- */

MF_TEST(family, knows_whose_words_a_path_speaks)
{
    MF_CHECK_INT(mf_family_of(MF_SLICE("/v1/embeddings")), MF_FAMILY_OPENAI);
    MF_CHECK_INT(mf_family_of(MF_SLICE("/v1/nothing")), MF_FAMILY_OPENAI);
    MF_CHECK_INT(mf_family_of(MF_SLICE("/embeddings")), MF_FAMILY_OPENAI);
    MF_CHECK_INT(mf_family_of(MF_SLICE("/embed")), MF_FAMILY_TEI);
    MF_CHECK_INT(mf_family_of(MF_SLICE("/embed/")), MF_FAMILY_TEI);
    MF_CHECK_INT(mf_family_of(MF_SLICE("/")), MF_FAMILY_TEI);
    MF_CHECK_INT(mf_family_of(MF_SLICE("/api/v1/embed/stats")), MF_FAMILY_NATIVE);
    MF_CHECK_INT(mf_family_of(MF_SLICE("/v1")), MF_FAMILY_NATIVE);
    MF_CHECK_INT(mf_family_of(MF_SLICE("/embedx")), MF_FAMILY_NATIVE);
    MF_CHECK_INT(mf_family_of(MF_SLICE("")), MF_FAMILY_NATIVE);
}

MF_TEST(family, says_what_is_wrong_in_its_own_words)
{
    struct mf_buf b;

    mf_buf_init(&b);
    mf_family_error(&b, MF_FAMILY_OPENAI, 400, "input", "no \"text\"");
    mf_buf_add_char(&b, '\n');
    mf_family_error(&b, MF_FAMILY_OPENAI, 429, NULL, "m");
    mf_buf_add_char(&b, '\n');
    mf_family_error(&b, MF_FAMILY_TEI, 429, NULL, "m");
    mf_buf_add_char(&b, '\0');
    MF_CHECK_STR(b.p, "{\"error\":{\"message\":\"no \\\"text\\\"\",\"type\":"
                      "\"invalid_request_error\",\"param\":\"input\",\"code\":null}}\n"
                      "{\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\","
                      "\"param\":null,\"code\":\"rate_limit_exceeded\"}}\n"
                      "{\"error\":\"m\",\"error_type\":\"Overloaded\"}");
    mf_buf_fini(&b);
}

MF_TEST(family, answers_each_code_with_a_status_its_clients_know)
{
    MF_CHECK_INT(mf_family_status(MF_FAMILY_OPENAI, MF_EUNPROCESSABLE), 400);
    MF_CHECK_INT(mf_family_status(MF_FAMILY_OPENAI, MF_ETOOBIG), 400);
    MF_CHECK_INT(mf_family_status(MF_FAMILY_OPENAI, MF_ERATE), 429);
    MF_CHECK_INT(mf_family_status(MF_FAMILY_OPENAI, MF_EBACKEND), 500);
    MF_CHECK_INT(mf_family_status(MF_FAMILY_TEI, MF_ETOOBIG), 413);
    MF_CHECK_INT(mf_family_status(MF_FAMILY_TEI, MF_EUNPROCESSABLE), 422);
    MF_CHECK_INT(mf_family_status(MF_FAMILY_TEI, MF_EBACKEND), 424);
    MF_CHECK_INT(mf_family_status(MF_FAMILY_TEI, MF_EBUSY), 429);
    MF_CHECK_INT(mf_family_status(MF_FAMILY_TEI, MF_ECANCELED), 503);
}
