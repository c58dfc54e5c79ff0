/* SPDX-License-Identifier: Apache-2.0 */
/* What stands before a text: which prompt it is, and that the model sees it and nobody
 * else. */
#include "base/mem.h"
#include "lib/embed_fixture.h"

#include <stdio.h>

#define QUESTION                                                                       \
    {                                                                                  \
        "query", "Q: "                                                                 \
    }
#define PASSAGE                                                                        \
    {                                                                                  \
        "passage", "P: "                                                               \
    }
#define GENERAL                                                                        \
    {                                                                                  \
        "general", "G: "                                                               \
    }

static void check_prompts(const struct mf_prompt_text *prompts, size_t n,
                          const char *default_prompt, const char *question,
                          const char *document)
{
    struct mf_model_info info = {
        .prompts = prompts, .n_prompts = n, .default_prompt = default_prompt};
    struct mf_slice q = mf_model_prompt(&info, MF_USE_QUESTION);
    struct mf_slice d = mf_model_prompt(&info, MF_USE_DOCUMENT);

    MF_CHECK(mf_slice_is(q, question));
    MF_CHECK(mf_slice_is(d, document));
}

MF_TEST(embed_prompt, is_the_one_for_the_use_or_the_default_or_nothing)
{
    static const struct mf_prompt_text all[] = {GENERAL, PASSAGE, QUESTION};
    static const struct mf_prompt_text many[] = {
        {"corpus", "C: "}, PASSAGE, {"document", "D: "}};

    check_prompts(NULL, 0, NULL, "", "");
    check_prompts(all, 3, NULL, "Q: ", "P: ");
    check_prompts(all, 3, "general", "Q: ", "P: ");
    check_prompts(all, 1, NULL, "", "");
    check_prompts(all, 1, "general", "G: ", "G: ");
    check_prompts(all + 2, 1, NULL, "Q: ", "");
    check_prompts(many, 3, NULL, "", "D: ");
    check_prompts(many, 2, NULL, "", "P: ");
    check_prompts(many, 1, NULL, "", "C: ");
}

MF_TEST(embed_prompt, is_seen_by_the_model_before_the_text)
{
    struct fix f;
    struct task k[3];
    float want[DIM];

    fix_open(&f, &(struct mf_fake_config){.batch_texts = 3}, &plain_config);
    mf_fake_hold(f.fake);
    MF_CHECK_OK(submit(&f, &k[0], "first", MF_ORDINARY)); /* takes the permit */
    run_until_calls(&f, 1);
    for (size_t i = 1; i < 3; i++) {
        MF_CHECK_OK(submit(&f, &k[i], i == 1 ? "cello" : "", MF_ORDINARY));
        k[i].t.prompt = mf_slice_str("Q: ");
    }
    MF_CHECK_INT(mf_embed_backlog_bytes(f.embed), 10);
    mf_fake_release(f.fake);
    for (size_t i = 0; i < 3; i++) {
        run_until_done(&f, &k[i]);
        MF_CHECK_INT(k[i].rc, 0);
    }
    check_vector(&f, &k[0]);
    mf_fake_vector(f.fake, mf_slice_str("Q: cello"), want);
    MF_CHECK_MEM(k[1].v, want, sizeof(want));
    mf_fake_vector(f.fake, mf_slice_str("Q: "), want);
    MF_CHECK_MEM(k[2].v, want, sizeof(want));
    MF_CHECK_INT(mf_embed_backlog_bytes(f.embed), 0);
    fix_close(&f);
}

/* ---- passages ---- */

/* A window of four pieces, one of them the prompt's. */
static void cut_with_prompt(struct fix *f, const char *text)
{
    struct task k;

    fix_open(f, &(struct mf_fake_config){.window = 4, .batch_texts = 2}, &plain_config);
    MF_CHECK_OK(submit(f, &k, text, MF_ORDINARY));
    k.t.prompt = mf_slice_str("P: ");
    k.t.wants_passages = true;
    k.t.done = done_with_passages;
    run_until_done(f, &k);
    MF_CHECK_INT(k.rc, 0);
}

MF_TEST(embed_prompt, stands_before_each_passage_and_counts_in_the_window)
{
    static const char text[] = "a b c. d e f g h";
    struct fix f;

    cut_with_prompt(&f, text);
    MF_CHECK_INT(seen.n, 3); /* "a b c. " "d e f " "g h" */
    check_passages(&f, "P: ", text);
    fix_close(&f);
}

MF_TEST(embed_prompt, a_text_that_fits_beside_it_has_no_passages)
{
    struct fix f;

    cut_with_prompt(&f, "aaa bbb ccc");
    MF_CHECK_INT(seen.n, 0);
    fix_close(&f);
    cut_with_prompt(&f, "aaa bbb ccc ddd"); /* without the prompt it would fit */
    MF_CHECK_INT(seen.n, 2);
    fix_close(&f);
}
