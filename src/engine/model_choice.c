/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/model_choice.h"

#include "base/log.h"
#include "hub/find.h"
#include "npu/remote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Packed weights are kept beside the data: what made them can make them again. */
#define CACHE "model-cache"

#define NPU_JOB_MS      2000
#define NPU_CHECK_EVERY 256
#define NPU_QUEUE_DEPTH 4

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

/* ---- the device ---- */

static const char *set_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* The vendor's library lives in a process of its own; what plays it, too. */
static const struct mf_npu_backend *backend_of(const struct mf_conf *conf)
{
    struct mf_npu_remote_conf remote = {
        .inner = conf->embed_npu_simulated ? "twin" : "xrt",
        .max_backoff_ms = conf->embed_npu_max_backoff_ms,
    };

    return mf_npu_remote(&remote);
}

static int open_device(struct mf_npu_offload **out, struct mf_model *model,
                       const struct mf_conf *conf, struct mf_err *err)
{
    struct mf_encoder *e = mf_model_encoder(model);
    struct mf_npu_offload_conf c = {
        .backend = backend_of(conf),
        .npu = {.dir = set_or_null(conf->embed_npu_dir),
                .module = set_or_null(conf->embed_npu_module),
                .queue_depth = NPU_QUEUE_DEPTH},
        .deadline_ms = NPU_JOB_MS,
        .check_every = NPU_CHECK_EVERY,
        .min_rows = (uint32_t)conf->embed_npu_min_rows,
    };

    if (e == NULL) {
        return mf_err_set(err, MF_EINVAL,
                          "model %s has no products for an NPU; set embed.model",
                          model->info.name);
    }
    if (c.npu.dir == NULL && !conf->embed_npu_simulated) {
        return mf_err_set(err, MF_EINVAL,
                          "an NPU needs its artefacts; set embed.npu.dir");
    }
    return mf_npu_offload_open(out, e, &c, err);
}

static void tell_model(struct mf_model *model, const struct mf_npu_offload *o)
{
    struct mf_model_device d = {.name = "npu"};
    struct mf_npu_report r;

    mf_npu_offload_report(o, &r);
    if (r.batch_rows > 0) { /* else it is never asked */
        d.batch_tokens = r.batch_rows;
        d.agreement = (float)r.agreement;
        mf_model_set_device(model, &d);
    }
}

int mf_engine_choose_device(struct mf_npu_offload **out, struct mf_model *model,
                            const struct mf_conf *conf, struct mf_err *err)
{
    bool is_auto = strcmp(conf->embed_device, "auto") == 0;
    char why[2 * MF_ERR_MAX];
    int rc;

    *out = NULL;
    err->msg[0] = '\0';
    if (strcmp(conf->embed_device, "cpu") == 0 ||
        (is_auto && conf->embed_npu_dir[0] == '\0' && !conf->embed_npu_simulated)) {
        return 0;
    }
    rc = open_device(out, model, conf, err);
    if (rc == 0) {
        tell_model(model, *out);
        return 0;
    }
    if (!is_auto) {
        return mf_err_wrap(err, rc, "embed.device npu");
    }
    mf_log_warn("npu_not_used", "code=%s why=%s", mf_code_name(rc),
                mf_log_quote(why, sizeof(why), err->msg, strlen(err->msg)));
    return 0;
}
