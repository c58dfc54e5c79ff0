/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/listing.h"

#include "hub/json.h"

#include <stdio.h>
#include <string.h>

bool mf_hub_take_sha256(char *out, const char *text, size_t n)
{
    out[0] = '\0';
    if (!mf_hub_is_sha256(text, n)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = text[i];
        if (text[i] >= 'A' && text[i] <= 'F') {
            out[i] = "abcdef"[text[i] - 'A'];
        }
    }
    out[n] = '\0';
    return true;
}

static int take_revision(struct mf_hub_listing *l, yyjson_val *root, struct mf_err *err)
{
    const char *sha = yyjson_get_str(yyjson_obj_get(root, "sha"));

    l->revision[0] = '\0';
    if (sha == NULL) {
        return 0;
    }
    if (!mf_hub_revision_ok(sha)) {
        return mf_err_set(err, MF_EINVAL, "the hub names a revision that is none");
    }
    (void)snprintf(l->revision, sizeof(l->revision), "%s", sha);
    return 0;
}

static void take_sums(struct mf_hub_file *f, yyjson_val *entry)
{
    yyjson_val *lfs = yyjson_obj_get(entry, "lfs");
    yyjson_val *sum = yyjson_obj_get(lfs, "sha256");

    f->bytes = yyjson_get_uint(yyjson_obj_get(entry, "size"));
    if (yyjson_is_uint(yyjson_obj_get(lfs, "size"))) {
        f->bytes = yyjson_get_uint(yyjson_obj_get(lfs, "size"));
    }
    f->sha256[0] = '\0';
    if (yyjson_is_str(sum)) {
        (void)mf_hub_take_sha256(f->sha256, yyjson_get_str(sum), yyjson_get_len(sum));
    }
}

static bool is_listed(const struct mf_hub_listing *l, const char *path)
{
    for (size_t i = 0; i < l->n_files; i++) {
        if (strcmp(l->files[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

static int add_file(struct mf_hub_listing *l, yyjson_val *entry, const char *path,
                    struct mf_err *err)
{
    struct mf_hub_file *f = &l->files[l->n_files];
    uint64_t max_bytes = mf_hub_file_bound(path);

    if (max_bytes == 0 || is_listed(l, path)) {
        return 0;
    }
    if (l->n_files == mf_countof(l->files)) {
        return mf_err_set(err, MF_EINVAL, "the hub lists more than %d needed files",
                          MF_HUB_FILES_MAX);
    }
    (void)snprintf(f->path, sizeof(f->path), "%s", path);
    f->max_bytes = max_bytes;
    take_sums(f, entry);
    if (f->bytes > max_bytes) {
        return mf_err_set(err, MF_ETOOBIG, "%s has %llu bytes; at most %llu are taken",
                          path, (unsigned long long)f->bytes,
                          (unsigned long long)max_bytes);
    }
    l->n_files++;
    return 0;
}

static int take_entry(struct mf_hub_listing *l, yyjson_val *entry, struct mf_err *err)
{
    yyjson_val *val = yyjson_obj_get(entry, "rfilename");
    const char *path = yyjson_get_str(val);

    /* A NUL inside would hide what follows it from every check below. */
    if (path == NULL || strlen(path) != yyjson_get_len(val)) {
        return mf_err_set(err, MF_EINVAL, "the hub lists a file without a name");
    }
    if (!mf_hub_path_ok(path)) {
        return mf_err_set(err, MF_EINVAL,
                          "the hub lists the file name '%.80s', which leaves its "
                          "folder; nothing was taken",
                          path);
    }
    return add_file(l, entry, path, err);
}

static int check_whole(const struct mf_hub_listing *l, struct mf_err *err)
{
    if (!is_listed(l, "config.json")) {
        return mf_err_set(err, MF_ENOTFOUND, "the model has no config.json");
    }
    if (!is_listed(l, "tokenizer.json") && !is_listed(l, "vocab.txt")) {
        return mf_err_set(err, MF_ENOTFOUND,
                          "the model has no tokenizer.json and no vocab.txt");
    }
    if (!is_listed(l, "model.safetensors")) {
        return mf_err_set(
            err, MF_ENOTFOUND,
            "the model has no model.safetensors, the only form of weights "
            "that is read");
    }
    return 0;
}

/* What is small and likely to be wrong comes first. */
static void put_weights_last(struct mf_hub_listing *l)
{
    for (size_t i = 0; i + 1 < l->n_files; i++) {
        if (strcmp(l->files[i].path, "model.safetensors") == 0) {
            struct mf_hub_file weights = l->files[i];

            l->files[i] = l->files[l->n_files - 1];
            l->files[l->n_files - 1] = weights;
            return;
        }
    }
}

static int read_root(struct mf_hub_listing *l, yyjson_val *root, struct mf_err *err)
{
    yyjson_val *files = yyjson_obj_get(root, "siblings");
    yyjson_arr_iter it;
    yyjson_val *entry;
    int rc = take_revision(l, root, err);

    if (rc < 0) {
        return rc;
    }
    if (!yyjson_arr_iter_init(files, &it)) {
        return mf_err_set(err, MF_EINVAL, "the hub's answer has no list of files");
    }
    while ((entry = yyjson_arr_iter_next(&it)) != NULL) {
        rc = take_entry(l, entry, err);
        if (rc < 0) {
            return rc;
        }
    }
    put_weights_last(l);
    return check_whole(l, err);
}

int mf_hub_listing_read(struct mf_hub_listing *out, struct mf_slice json,
                        struct mf_err *err)
{
    bool is_nomem;
    yyjson_doc *doc = mf_hub_json_read(json, &is_nomem);
    int rc;

    memset(out, 0, sizeof(*out));
    if (doc == NULL) {
        return is_nomem ? mf_err_set(err, MF_ENOMEM, "out of memory")
                        : mf_err_set(err, MF_EINVAL, "the hub's answer is no JSON");
    }
    rc = read_root(out, yyjson_doc_get_root(doc), err);
    yyjson_doc_free(doc);
    return rc;
}
