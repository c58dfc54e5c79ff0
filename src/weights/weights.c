/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/weights.h"

#include "weights/folder.h"
#include "weights/gguf.h"
#include "weights/name.h"
#include "weights/roles.h"
#include "weights/safetensors.h"
#include "weights/wfile.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define SAFETENSORS "model.safetensors"
#define MAX_BYTES   ((uint64_t)1 << 40)

struct mf_weights {
    struct mf_wfile file;
    struct mf_arena arena; /* prompts, pieces */
    struct mf_roles roles;
    struct mf_weights_info info;
    struct mf_weights_vocab vocab;
};

/* ---- a folder ---- */

static int no_weights(const char *folder, struct mf_err *err)
{
    if (mf_wfile_is_there(folder, SAFETENSORS ".index.json")) {
        return mf_err_set(err, MF_EINVAL,
                          "%s.index.json: weights in several files are not supported: "
                          "save the model as one " SAFETENSORS,
                          SAFETENSORS);
    }
    if (mf_wfile_is_there(folder, "pytorch_model.bin")) {
        return mf_err_set(err, MF_EINVAL,
                          "pytorch_model.bin: not supported: convert it to " SAFETENSORS
                          ", or take a revision of the model published with it");
    }
    return mf_err_set(err, MF_ENOTFOUND, "%s: not there", SAFETENSORS);
}

static int bind(struct mf_weights *w, struct mf_wtable *t, struct mf_plan *plan,
                struct mf_err *err)
{
    int rc = mf_roles_bind(&w->roles, t, plan, err);

    mf_wtable_fini(t);
    w->info = plan->info;
    w->vocab = plan->vocab;
    return rc;
}

static int open_folder(struct mf_weights *w, const char *path, struct mf_err *err)
{
    struct mf_plan plan = {0};
    char folder[PATH_MAX];
    struct mf_wtable t;
    int rc = mf_folder_read(&plan, &w->arena, path, folder, err);

    if (rc < 0) {
        return rc;
    }
    if (!mf_wfile_is_there(folder, SAFETENSORS)) {
        return no_weights(folder, err);
    }
    rc = mf_wfile_open(&w->file, folder, SAFETENSORS, MAX_BYTES, err);
    rc = rc < 0 ? rc : mf_safetensors_read(&t, SAFETENSORS, w->file.bytes, err);
    rc = rc < 0 ? rc : bind(w, &t, &plan, err);
    if (rc == 0) {
        mf_name_of_folder(w->info.name, sizeof(w->info.name), path, plan.published);
    }
    return rc;
}

/* ---- a GGUF file ---- */

static int open_gguf(struct mf_weights *w, const char *path, struct mf_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash == NULL ? path : slash + 1;
    struct mf_plan plan = {0};
    char folder[PATH_MAX];
    struct mf_wtable t;
    int rc;

    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(file - path), path);
    rc = mf_wfile_open(&w->file, folder, file, MAX_BYTES, err);
    rc = rc < 0 ? rc : mf_gguf_read(&plan, &w->arena, &t, file, w->file.bytes, err);
    rc = rc < 0 ? rc : bind(w, &t, &plan, err);
    if (rc < 0) {
        return rc;
    }
    /* The context may be longer than the table of positions, never reach behind it. */
    w->info.window = mf_min(w->info.window, w->info.n_positions);
    mf_name_of_gguf(w->info.name, sizeof(w->info.name), path, plan.published);
    return 0;
}

/* ---- both ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), n_end = strlen(end);

    return n > n_end && mf_slice_is_nocase(mf_slice_str(s + n - n_end), end);
}

static int open_path(struct mf_weights *w, const char *path, struct mf_err *err)
{
    struct stat st;
    int rc;

    if (strlen(path) >= PATH_MAX) {
        return mf_err_set(err, MF_EINVAL, "the model's path is too long");
    }
    if (stat(path, &st) != 0) {
        return mf_err_set(err, MF_ENOTFOUND, "no folder or file %s", path);
    }
    if (S_ISDIR(st.st_mode)) {
        rc = open_folder(w, path, err);
    } else if (ends_with(path, ".gguf")) {
        rc = open_gguf(w, path, err);
    } else {
        return mf_err_set(err, MF_EINVAL,
                          "%s: neither a model's folder nor a .gguf file", path);
    }
    return rc < 0 ? rc : mf_wfile_digest(&w->file, w->info.revision, err);
}

int mf_weights_open(struct mf_weights **out, const char *path, struct mf_err *err)
{
    struct mf_weights *w = mf_calloc(1, sizeof(*w));
    int rc;

    if (w == NULL) {
        return mf_err_set(err, MF_ENOMEM, "%s: out of memory", path);
    }
    mf_arena_init(&w->arena, 1024);
    rc = open_path(w, path, err);
    if (rc < 0) {
        mf_weights_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

void mf_weights_close(struct mf_weights *w)
{
    if (w == NULL) {
        return;
    }
    mf_roles_free(&w->roles);
    mf_arena_fini(&w->arena);
    mf_wfile_close(&w->file);
    mf_free(w);
}

const struct mf_weights_info *mf_weights_info(const struct mf_weights *w)
{
    return &w->info;
}

const struct mf_weights_vocab *mf_weights_vocab(const struct mf_weights *w)
{
    return w->vocab.n == 0 ? NULL : &w->vocab;
}

const struct mf_tensor *mf_weights_of_model(const struct mf_weights *w,
                                            enum mf_model_role role)
{
    return &w->roles.model[role];
}

const struct mf_tensor *mf_weights_of_layer(const struct mf_weights *w, uint32_t layer,
                                            enum mf_layer_role role)
{
    MF_ASSERT(layer < w->info.n_layers);
    return &w->roles.layer[layer][role];
}
