/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/model_choice.h"

#include "base/log.h"
#include "hub/find.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Packed weights are kept beside the data: what made them can make them again. */
#define CACHE "model-cache"

static int make_dir(const char *path, struct mf_err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        return 0;
    }
    return mf_err_set(err, mf_code_from_errno(errno), "cannot make %s: %s", path,
                      mf_code_sentence(mf_code_from_errno(errno)));
}

static int make_cache(char *path, size_t cap, const char *data_dir, struct mf_err *err)
{
    int n = snprintf(path, cap, "%s/" CACHE, data_dir);
    int rc;

    if (n < 0 || (size_t)n >= cap) {
        return mf_err_set(err, MF_ETOOBIG, "data.dir is too long");
    }
    rc = make_dir(data_dir, err);
    return rc < 0 ? rc : make_dir(path, err);
}

static void say_choice(const struct mf_conf *conf, const char *chosen,
                       const struct mf_model_info *m)
{
    char place[512], kernel[160];

    mf_log_info("model",
                "name=%s setting=%s from=%s dim=%u semantic=%s precision=%s "
                "kernel=%s",
                m->name, strcmp(conf->embed_model, "auto") == 0 ? "auto" : "given",
                mf_log_quote(place, sizeof(place), chosen, strlen(chosen)),
                (unsigned)m->dim, m->is_semantic ? "true" : "false", m->precision,
                mf_log_quote(kernel, sizeof(kernel), m->kernel, strlen(m->kernel)));
}

/* The first time, packing and measuring takes seconds: somebody may be waiting. */
static void say_begin(const char *chosen)
{
    char place[512];

    mf_log_info("model_opening", "from=%s",
                mf_log_quote(place, sizeof(place), chosen, strlen(chosen)));
}

int mf_engine_choose_model(struct mf_model **out, const struct mf_conf *conf,
                           struct mf_err *err)
{
    char chosen[MF_HUB_PATH_MAX], cache[MF_HUB_PATH_MAX];
    struct mf_model_options opt = {.model = chosen, .precision = conf->embed_precision};
    int rc = mf_hub_find(chosen, sizeof(chosen), conf->embed_model, conf->data_dir);

    if (rc < 0) {
        return mf_err_set(err, rc, "embed.model: the name of the folder is too long");
    }
    if (strcmp(chosen, "hash") != 0) {
        rc = make_cache(cache, sizeof(cache), conf->data_dir, err);
        opt.cache_dir = cache;
        say_begin(chosen);
    }
    if (rc == 0) {
        rc = mf_model_open(out, &opt, err);
    }
    if (rc == 0) {
        say_choice(conf, chosen, &(*out)->info);
    }
    return rc;
}
