/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/folder.h"

#include "jdoc/jdoc.h"

#define UNSUPPORTED (-1)

/* The old writing has a boolean for each, the newer one the name alone. */
struct mode {
    const char *flag, *name;
    int pooling;
};

static const struct mode modes[] = {
    {"pooling_mode_cls_token", "cls", MF_POOL_CLS},
    {"pooling_mode_mean_tokens", "mean", MF_POOL_MEAN},
    {"pooling_mode_max_tokens", "max", MF_POOL_MAX},
    {"pooling_mode_lasttoken", "lasttoken", MF_POOL_LAST},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", UNSUPPORTED},
    {"pooling_mode_weightedmean_tokens", "weightedmean", UNSUPPORTED},
};

static int take_mode(struct mf_plan *plan, const struct mf_jdoc *j,
                     const struct mode *m)
{
    if (m->pooling == UNSUPPORTED) {
        return mf_err_set(
            j->err, MF_EINVAL,
            "%s: pooling %s is not supported; cls, mean, max and lasttoken "
            "are",
            j->file, m->name);
    }
    plan->info.pooling = (enum mf_pooling)m->pooling;
    return 0;
}

static int parse_flags(struct mf_plan *plan, const struct mf_jdoc *j)
{
    const struct mode *found = NULL;

    for (size_t i = 0; i < mf_countof(modes); i++) {
        bool is_on = false;
        int rc = mf_jdoc_bool(j, modes[i].flag, &is_on);

        if (rc < 0) {
            return rc;
        }
        if (is_on && found != NULL) {
            return mf_err_set(j->err, MF_EINVAL,
                              "%s: %s and %s joined are not supported: choose one",
                              j->file, found->flag, modes[i].flag);
        }
        found = is_on ? &modes[i] : found;
    }
    if (found == NULL) {
        return mf_err_set(j->err, MF_EINVAL,
                          "%s: no pooling is chosen: pooling_mode is missing and no "
                          "pooling_mode_... is true",
                          j->file);
    }
    return take_mode(plan, j, found);
}

/* "mean", or a list of that one. */
static int parse_name(struct mf_plan *plan, const struct mf_jdoc *j, yyjson_val *v)
{
    struct mf_shown shown;

    if (yyjson_is_arr(v) && yyjson_arr_size(v) == 1) {
        v = yyjson_arr_get_first(v);
    }
    if (!yyjson_is_str(v)) {
        return mf_err_set(j->err, MF_EINVAL,
                          "%s: pooling_mode must be one of cls, mean, max, lasttoken",
                          j->file);
    }
    for (size_t i = 0; i < mf_countof(modes); i++) {
        if (yyjson_equals_str(v, modes[i].name)) {
            return take_mode(plan, j, &modes[i]);
        }
    }
    return mf_err_set(j->err, MF_EINVAL, "%s: pooling_mode %s is not supported",
                      j->file, mf_shown(&shown, mf_jdoc_slice(v)));
}

static int check_dimension(const struct mf_plan *plan, const struct mf_jdoc *j)
{
    static const char *const keys[] = {"word_embedding_dimension",
                                       "embedding_dimension"};

    for (size_t i = 0; i < mf_countof(keys); i++) {
        uint32_t dim = plan->info.hidden;
        int rc = mf_jdoc_size(j, keys[i], UINT32_MAX, &dim);

        if (rc < 0) {
            return rc;
        }
        if (dim != plan->info.hidden) {
            return mf_err_set(j->err, MF_EINVAL, "%s: %s is %u, the model's is %u",
                              j->file, keys[i], dim, plan->info.hidden);
        }
    }
    return 0;
}

static int parse(struct mf_plan *plan, const struct mf_jdoc *j)
{
    yyjson_val *name = mf_jdoc_get(j, "pooling_mode");
    bool include_prompt = true;
    int rc = mf_jdoc_bool(j, "include_prompt", &include_prompt);

    rc = rc < 0 ? rc : check_dimension(plan, j);
    if (rc == 0 && !include_prompt) {
        return mf_err_set(j->err, MF_EINVAL,
                          "%s: include_prompt false is not supported", j->file);
    }
    if (rc < 0) {
        return rc;
    }
    return name == NULL ? parse_flags(plan, j) : parse_name(plan, j, name);
}

int mf_folder_parse_pooling(struct mf_plan *plan, const char *file,
                            struct mf_slice text, struct mf_err *err)
{
    struct mf_jdoc j;
    int rc = mf_jdoc_open(&j, file, text, err);

    if (rc < 0) {
        return rc;
    }
    rc = mf_jdoc_want_object(&j);
    rc = rc < 0 ? rc : parse(plan, &j);
    mf_jdoc_close(&j);
    return rc;
}
