/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a request for vectors, in the words of both families: what is taken
 * keeps every limit, what is refused is refused with a reason, and the answer that
 * says so is JSON.
 */
#include "api/embed_in.h"
#include "api/family.h"

#include <stdlib.h>

#define CHECK(cond) ((cond) ? (void)0 : abort())
#define MAX_DEPTH   16U
#define MAX_TEXTS   3U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef void (*take_fn)(const struct mf_json_at *at, const struct mf_embed_rules *rules,
                        struct mf_embed_wish *out);

static const struct mf_prompt_text prompts[] = {{"q", "query: "}};
static const struct mf_model_info model = {.name = "m",
                                           .dim = 16,
                                           .window = 8,
                                           .n_special = 2,
                                           .prompts = prompts,
                                           .n_prompts = 1};

static void check_wish(const struct mf_embed_wish *w, size_t max_texts)
{
    const unsigned known = MF_TEXT_WHOLE | MF_TEXT_LEFT | MF_TEXT_RAW;

    CHECK(w->n >= 1 && w->n <= max_texts);
    CHECK(w->dim >= 1 && w->dim <= model.dim);
    CHECK((w->flags & ~known) == 0);
    CHECK(w->prompt.n == 0 || mf_slice_is(w->prompt, prompts[0].text));
    for (size_t i = 0; i < w->n; i++) {
        CHECK(w->texts[i].n > 0);
    }
}

static void check_refusal(enum mf_family family, const struct mf_faults *f)
{
    int status = mf_family_status(family, f->code);
    yyjson_doc *doc;
    struct mf_buf out;

    CHECK(status >= 400 && status < 500 && f->n > 0);
    mf_buf_init(&out);
    mf_family_error(&out, family, status, f->all[0].field, f->all[0].msg);
    doc = yyjson_read(out.p, out.n, YYJSON_READ_NOFLAG);
    CHECK(doc != NULL);
    yyjson_doc_free(doc);
    mf_buf_fini(&out);
}

static void try_family(enum mf_family family, take_fn take, struct mf_slice body)
{
    bool is_tei = family == MF_FAMILY_TEI;
    static struct mf_json j;
    struct mf_arena arena;
    struct mf_faults f = {.arena = &arena};
    struct mf_embed_rules rules = {.model = &model, .max_texts = MAX_TEXTS};
    struct mf_json_at at = {.faults = &f};
    struct mf_embed_wish wish;
    int rc;

    if (j.pool == NULL) {
        CHECK(mf_json_init(&j, MAX_DEPTH) == 0);
    }
    mf_arena_init(&arena, 512);
    rc = mf_json_open(&j, body, &f, &at.obj);
    if (rc == 0 && yyjson_is_obj(at.obj)) {
        take(&at, &rules, &wish);
        if (f.n == 0) {
            check_wish(&wish, is_tei ? MAX_TEXTS : MF_OPENAI_MAX_TEXTS);
        }
    }
    if (rc == 0) {
        mf_json_close(&j);
    }
    if (f.n > 0) {
        check_refusal(family, &f);
    }
    mf_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mf_slice body = mf_slice_of((const char *)data, n);

    try_family(MF_FAMILY_OPENAI, mf_embed_in_openai, body);
    try_family(MF_FAMILY_TEI, mf_embed_in_tei, body);
    return 0;
}
