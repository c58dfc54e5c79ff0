/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as one of a model's JSON files (the first byte says which): refused with a
 * sentence, or what was read is within its bounds.
 */
#include "weights/folder.h"

#include <stdlib.h>

#define CHECK(cond) ((cond) ? (void)0 : abort())
#define HIDDEN      8U
#define WINDOW      64U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_code(int rc, const struct mf_err *err)
{
    CHECK(rc == 0 || (rc == MF_EINVAL && err->code == rc && err->msg[0] != '\0'));
}

static void read_config(struct mf_slice text)
{
    struct mf_plan p = {0};
    const struct mf_weights_info *i = &p.info;
    struct mf_err err = {0};
    int rc = mf_folder_parse_config(&p, text, &err);

    check_code(rc, &err);
    CHECK(strnlen(p.published, sizeof(p.published)) < sizeof(p.published));
    CHECK(strchr(p.published, '/') == NULL);
    if (rc == 0) {
        CHECK(i->n_layers >= 1 && i->n_layers <= MF_PLAN_MAX_LAYERS);
        CHECK(i->hidden >= 1 && i->hidden <= MF_PLAN_MAX_WIDTH);
        CHECK(i->n_heads >= 1 && i->hidden % i->n_heads == 0);
        CHECK(i->window >= MF_PLAN_MIN_WINDOW);
        CHECK(i->window + i->position_offset <= i->n_positions);
        CHECK(i->norm_eps >= 0 && i->norm_eps <= 1);
    }
}

static void read_modules(struct mf_slice text)
{
    struct mf_layout l = {0};
    struct mf_err err = {0};

    check_code(mf_folder_parse_modules(&l, text, &err), &err);
    CHECK(l.transformer[0] != '/' && strstr(l.transformer, "..") == NULL);
    CHECK(l.pooling[0] != '/' && strstr(l.pooling, "..") == NULL);
}

static void read_pooling(struct mf_slice text)
{
    struct mf_plan p = {.info = {.hidden = HIDDEN}};
    struct mf_err err = {0};

    check_code(mf_folder_parse_pooling(&p, "p", text, &err), &err);
    CHECK(mf_pooling_name(p.info.pooling) != NULL);
}

static void read_window(struct mf_slice text)
{
    struct mf_plan p = {.info = {.window = WINDOW}};
    struct mf_err err = {0};
    bool is_said;

    check_code(mf_folder_parse_window(&p, "w", "max_seq_length", text, &is_said, &err),
               &err);
    CHECK(p.info.window >= MF_PLAN_MIN_WINDOW && p.info.window <= WINDOW);
}

static void read_prompts(struct mf_slice text)
{
    struct mf_plan p = {0};
    struct mf_err err = {0};
    struct mf_arena arena;
    size_t n = 0;

    mf_arena_init(&arena, 1024);
    check_code(mf_folder_parse_prompts(&p, &arena, text, &err), &err);
    CHECK(p.info.n_prompts <= MF_FOLDER_MAX_PROMPTS);
    for (size_t i = 0; i < p.info.n_prompts; i++) {
        n += strlen(p.info.prompts[i].name) + strlen(p.info.prompts[i].text);
    }
    CHECK(n <= text.n);
    mf_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const readers[])(struct mf_slice) = {
        read_config, read_modules, read_pooling, read_window, read_prompts};

    if (n > 0) {
        readers[data[0] % mf_countof(readers)](
            mf_slice_of((const char *)data + 1, n - 1));
    }
    return 0;
}
