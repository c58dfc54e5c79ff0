/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/folder.h"

#include "hub/disk.h"
#include "hub/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX ((size_t)1024 * 1024)

static int read_dim(struct mf_hub_folder *f, int dir, struct mf_err *err)
{
    static const char *const keys[] = {"hidden_size", "dim", "n_embd", "d_model"};
    struct mf_buf text;
    bool is_nomem = false;
    yyjson_doc *doc = NULL;
    int rc;

    mf_buf_init(&text);
    rc = mf_hub_read_file(dir, "config.json", CONFIG_MAX, &text, err);
    if (rc == 0) {
        doc = mf_hub_json_read(mf_slice_of(text.p, text.n), &is_nomem);
        rc = doc != NULL ? 0
             : is_nomem  ? mf_err_set(err, MF_ENOMEM, "out of memory")
                         : mf_err_set(err, MF_EINVAL, "config.json is no JSON");
    }
    for (size_t i = 0; rc == 0 && i < mf_countof(keys) && f->dim == 0; i++) {
        uint64_t v = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), keys[i]));

        f->dim = v <= UINT32_MAX ? (uint32_t)v : 0;
    }
    yyjson_doc_free(doc);
    mf_buf_fini(&text);
    return rc;
}

static uint64_t bytes_below(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    uint64_t bytes = 0;
    struct dirent *e;
    struct stat st;

    if (d == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return 0;
    }
    while ((e = readdir(d)) != NULL) {
        if (mf_hub_file_bound(e->d_name) > 0 && fstatat(dir, e->d_name, &st, 0) == 0) {
            bytes += (uint64_t)st.st_size;
        }
    }
    (void)closedir(d);
    return bytes;
}

/* The last part of the path, without slashes behind it; "." and ".." by their target.
 */
static void name_folder(struct mf_hub_folder *f)
{
    char *real = realpath(f->path, NULL);
    const char *leaf = mf_hub_leaf(real != NULL ? real : f->path);

    (void)snprintf(f->name, sizeof(f->name), "%s", leaf);
    free(real);
}

int mf_hub_folder_read(struct mf_hub_folder *f, const char *path, struct mf_err *err)
{
    struct mf_manifest m;
    int dir, rc;

    memset(f, 0, sizeof(*f));
    (void)snprintf(f->path, sizeof(f->path), "%s", path);
    dir = mf_hub_open_dir(path, false, err);
    if (dir < 0) {
        return dir;
    }
    name_folder(f);
    f->bytes = bytes_below(dir);
    if (mf_manifest_read(&m, dir, NULL) == 0) {
        memcpy(f->revision, m.revision, sizeof(m.revision));
    }
    rc = read_dim(f, dir, err);
    (void)close(dir);
    return rc;
}

/* Folders that are growing begin with a dot. */
static int is_shown(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

int mf_hub_list(const char *models,
                int (*each)(void *arg, const struct mf_hub_folder *f), void *arg,
                struct mf_err *err)
{
    struct mf_hub_folder f;
    struct dirent **names;
    int n = scandir(models, &names, is_shown, alphasort);
    int rc = 0;

    if (n < 0) {
        return errno == ENOENT ? 0
                               : mf_err_set(err, mf_code_from_errno(errno),
                                            "%.150s cannot be read", models);
    }
    for (int i = 0; i < n; i++) {
        char path[MF_HUB_PATH_MAX];
        int len = snprintf(path, sizeof(path), "%s/%s", models, names[i]->d_name);
        bool fits = len > 0 && (size_t)len < sizeof(path);

        if (rc == 0 && fits && mf_hub_is_model(path)) {
            rc = mf_hub_folder_read(&f, path, err);
            rc = rc == MF_ENOMEM ? rc : each(arg, &f); /* a broken one hides no other */
        }
        free(names[i]);
    }
    free(names);
    return rc;
}
