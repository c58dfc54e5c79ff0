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

void mf_model_close(struct mf_model *m)
{
    if (m != NULL) {
        m->ops->close(m);
    }
}
