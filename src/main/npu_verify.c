/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse npu verify: does a device compute right, and when is it worth it? */
#include "main/npu_verify.h"

#include "base/mem.h"
#include "hub/find.h"
#include "main/commands.h"
#include "main/npu_commands.h"
#include "npu/canary.h"
#include "npu/manifest.h"
#include "npu/remote.h"
#include "npu/twin.h"
#include "npu/xrt_load.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CANARY_NS ((int64_t)30 * 1000000000)

/* ---- words ---- */

struct words {
    const char *dir, *model, *backend;
    const char **wants; /* what follows the last word */
};

static bool take_word(const char *word, void *arg)
{
    struct words *w = arg;

    if (w->wants != NULL) {
        *w->wants = word;
        w->wants = NULL;
        return true;
    }
    if (strcmp(word, "--model") == 0) {
        w->wants = &w->model;
    } else if (strcmp(word, "--backend") == 0) {
        w->wants = &w->backend;
    } else if (word[0] != '-' && w->dir == NULL) {
        w->dir = word;
    } else {
        return false;
    }
    return true;
}

static const struct mf_npu_backend *backend_of(const char *name)
{
    static const struct mf_npu_remote_conf remote = {.inner = "xrt"};

    if (strcmp(name, "xrt") == 0) {
        return mf_npu_remote(&remote);
    }
    return strcmp(name, "twin") == 0 ? mf_npu_twin() : NULL;
}

/* ---- the machine and the artefacts ---- */

static void look_at_cpu(struct mf_verify *v)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];

    (void)snprintf(v->cpu, sizeof(v->cpu), "?");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            struct mf_slice name = mf_slice_trim(mf_slice_str(colon + 1));

            (void)snprintf(v->cpu, sizeof(v->cpu), "%.*s", (int)name.n, name.p);
            break;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

static void look_at_machine(struct mf_verify *v)
{
    struct utsname u;
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    look_at_cpu(v);
    v->n_cores = n > 0 ? (unsigned)n : 1;
    (void)snprintf(v->kernel, sizeof(v->kernel), "%.70s",
                   uname(&u) == 0 ? u.release : "?");
}

static bool look_at_artefacts(struct mf_verify *v, const char *dir)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};
    int rc = mf_npu_manifest_open(&m, dir, &err);

    if (rc < 0) {
        mf_verify_fail(v, "the artefacts: %s",
                       err.msg[0] != '\0' ? err.msg : mf_code_sentence(rc));
        return false;
    }
    v->has_artefacts = true;
    v->is_emulated = m.is_emulated;
    v->is_tiled = m.layout == MF_NPU_LAYOUT_TILED_8X8;
    (void)snprintf(v->generation, sizeof(v->generation), "%s", m.generation);
    (void)snprintf(v->compute_kernel, sizeof(v->compute_kernel), "%s", m.kernel);
    v->shapes = mf_calloc(m.n_shapes, sizeof(*v->shapes));
    v->n_shapes = v->shapes != NULL ? m.n_shapes : 0;
    for (size_t i = 0; i < v->n_shapes; i++) {
        v->shapes[i].gemm = m.shapes[i].gemm;
    }
    mf_npu_manifest_fini(&m);
    if (v->shapes == NULL) {
        mf_verify_fail(v, "out of memory");
    }
    return v->shapes != NULL;
}

/* ---- the device ---- */

static bool complain(struct mf_verify *v, const char *what, int rc,
                     const struct mf_npu_err *err)
{
    mf_verify_fail(v, "%s: %s", what,
                   err->text[0] != '\0' ? err->text : mf_code_sentence(rc));
    return false;
}

static bool check_shape(struct mf_verify *v, const struct mf_npu_canary_of *of,
                        struct mf_verify_shape *s)
{
    struct mf_npu_gauge gauge = {0};
    struct mf_npu_err err = {0};
    int rc = mf_npu_canary(of, &s->gemm, &gauge, &err);

    if (rc < 0 && rc != MF_ECORRUPT) {
        return complain(v, "the canary", rc, &err);
    }
    s->was_run = true;
    s->is_good = rc == 0 && mf_npu_gauge_is_good(&gauge);
    s->cosine = mf_npu_gauge_cosine(&gauge);
    s->max_abs_err = gauge.max_abs_err;
    return true;
}

static bool look_at_device(struct mf_verify *v, const struct mf_verify_ask *ask)
{
    struct mf_npu_canary_of of = {.backend = ask->backend, .limit_ns = CANARY_NS};
    struct mf_npu_health health;
    struct mf_npu_err err = {0};
    bool is_good = true;
    int rc = ask->backend->probe(&ask->npu, &v->caps, &err);

    if (rc < 0) {
        return complain(v, "there is no device to use", rc, &err);
    }
    rc = ask->backend->open(&ask->npu, &of.dev, &err);
    if (rc < 0) {
        return complain(v, "the device could not be opened", rc, &err);
    }
    v->has_device = true;
    ask->backend->caps(of.dev, &v->caps);
    v->is_verified = ask->backend->verify(of.dev, &health) == 0;
    for (size_t i = 0; i < v->n_shapes && is_good; i++) {
        is_good = check_shape(v, &of, &v->shapes[i]);
    }
    ask->backend->close(of.dev);
    return is_good;
}

/* ---- all of it ---- */

static int verify(const struct mf_verify_ask *ask)
{
    struct mf_verify v;
    struct mf_buf table;
    int rc;

    mf_verify_init(&v);
    mf_buf_init(&table);
    v.hidden[0] = (struct mf_verify_hidden){ask->dir, "DIR"};
    v.hidden[1] = (struct mf_verify_hidden){ask->model, "MODEL"};
    v.hidden[2] = (struct mf_verify_hidden){ask->npu.module, "MODULES"};
    look_at_machine(&v);
    if (look_at_artefacts(&v, ask->dir) && look_at_device(&v, ask)) {
        mf_verify_model(&v, ask);
    }
    mf_verify_judge(&v);
    mf_verify_print(&v, &table);
    rc = mf_buf_status(&table) < 0 || mf_buf_status(&v.failures) < 0 ? MF_ENOMEM : 0;
    if (rc == 0 &&
        (fwrite(table.p, 1, table.n, stdout) != table.n || fflush(stdout) != 0)) {
        rc = MF_EIO;
    }
    rc = rc == 0 && v.n_failures == 0 ? MF_EXIT_OK : MF_EXIT_FAILED;
    mf_buf_fini(&table);
    mf_verify_fini(&v);
    return rc;
}

static int verify_with(const struct mf_conf *conf, const struct words *w)
{
    char model[MF_HUB_PATH_MAX], installed[PATH_MAX];
    struct mf_verify_ask ask = {
        .dir = w->dir,
        .model = model,
        .precision = conf->embed_precision,
        .backend = backend_of(w->backend),
        .npu = {.dir = w->dir,
                .module = conf->embed_npu_module[0] != '\0' ? conf->embed_npu_module
                                                            : installed},
    };

    mf_npu_xrt_folder(installed, sizeof(installed));
    if (ask.backend == NULL) {
        (void)fprintf(stderr, "memfuse: --backend is xrt or twin, not '%s'\n",
                      w->backend);
        return MF_EXIT_USAGE;
    }
    if (mf_hub_find(model, sizeof(model),
                    w->model != NULL ? w->model : conf->embed_model,
                    conf->data_dir) < 0) {
        (void)fprintf(stderr, "memfuse: the name of the model's folder is too long\n");
        return MF_EXIT_USAGE;
    }
    if (strcmp(model, "hash") == 0) {
        (void)fprintf(stderr,
                      "memfuse: which model? --model FOLDER (`memfuse model pull` "
                      "brings one); the built-in one computes no products\n");
        return MF_EXIT_USAGE;
    }
    return verify(&ask);
}

int mf_cmd_npu_verify(int argc, char **argv)
{
    struct words w = {.backend = "xrt"};
    struct mf_conf conf;
    int rc = mf_load_conf(&conf, argc, argv, take_word, &w);

    if (rc == 0 && w.wants != NULL) {
        (void)fprintf(stderr, "memfuse: something must follow '%s'\n", argv[argc - 1]);
        rc = MF_EXIT_USAGE;
    }
    if (rc == 0 && w.dir == NULL) {
        (void)fprintf(stderr,
                      "memfuse: npu verify needs the folder of the artefacts\n");
        rc = MF_EXIT_USAGE;
    }
    if (rc == 0) {
        rc = verify_with(&conf, &w);
    }
    mf_conf_fini(&conf);
    return rc;
}
