/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/model.h"

#include <xxhash.h>

uint32_t mf_space_id(const char *space)
{
    uint32_t id = XXH32(space, strlen(space), 0);

    return id == 0 ? 1 : id; /* 0 says "no vector" */
}

int mf_model_open(struct mf_model **out, const struct mf_model_options *opt,
                  struct mf_err *err)
{
    if (strcmp(opt->model, "hash") == 0) {
        return mf_model_hash_open(out, err);
    }
    return mf_model_transformer_open(out, opt, err);
}

static const struct mf_prompt_text *find_prompt(const struct mf_model_info *info,
                                                const char *name)
{
    for (size_t i = 0; name != NULL && i < info->n_prompts; i++) {
        if (strcmp(info->prompts[i].name, name) == 0) {
            return &info->prompts[i];
        }
    }
    return NULL;
}

struct mf_slice mf_model_prompt(const struct mf_model_info *info, enum mf_text_use use)
{
    static const char *const of_question[] = {"query", NULL};
    static const char *const of_document[] = {"document", "passage", "corpus", NULL};
    const char *const *name = use == MF_USE_QUESTION ? of_question : of_document;
    const struct mf_prompt_text *p = NULL;

    for (; p == NULL && *name != NULL; name++) {
        p = find_prompt(info, *name);
    }
    if (p == NULL) {
        p = find_prompt(info, info->default_prompt);
    }
    return p == NULL ? mf_slice_of(NULL, 0) : mf_slice_str(p->text);
}

void mf_model_close(struct mf_model *m)
{
    if (m != NULL) {
        m->ops->close(m);
    }
}

struct mf_encoder *mf_model_encoder(struct mf_model *m)
{
    return m->ops->encoder != NULL ? m->ops->encoder(m) : NULL;
}

void mf_model_set_device(struct mf_model *m, const struct mf_model_device *d)
{
    MF_ASSERT(m->ops->set_device != NULL);
    m->ops->set_device(m, d);
}
