/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/manifest.h"

#include "hub/disk.h"
#include "hub/find.h"
#include "hub/json.h"
#include "hub/known_sums.h"
#include "hub/sum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A copy of a JSON text that fits and holds no NUL. */
static bool take_text(char *out, size_t cap, yyjson_val *val)
{
    const char *s = yyjson_get_str(val);

    if (s == NULL || strlen(s) != yyjson_get_len(val) || strlen(s) >= cap) {
        return false;
    }
    memcpy(out, s, strlen(s) + 1);
    return true;
}

static bool take_file(struct mf_manifest *m, yyjson_val *val)
{
    struct mf_manifest_file *f = &m->files[m->n_files];
    yyjson_val *sum = yyjson_obj_get(val, "sha256");
    yyjson_val *bytes = yyjson_obj_get(val, "bytes");

    if (m->n_files == mf_countof(m->files) || !yyjson_is_uint(bytes) ||
        !yyjson_is_str(sum) ||
        !take_text(f->path, sizeof(f->path), yyjson_obj_get(val, "path")) ||
        !mf_hub_path_ok(f->path)) {
        return false;
    }
    f->bytes = yyjson_get_uint(bytes);
    m->n_files++;
    return mf_hub_take_sha256(f->sha256, yyjson_get_str(sum), yyjson_get_len(sum));
}

static bool take_root(struct mf_manifest *m, yyjson_val *root)
{
    yyjson_arr_iter it;
    yyjson_val *val;

    if (!take_text(m->name, sizeof(m->name), yyjson_obj_get(root, "name")) ||
        !take_text(m->revision, sizeof(m->revision),
                   yyjson_obj_get(root, "revision")) ||
        !yyjson_arr_iter_init(yyjson_obj_get(root, "files"), &it)) {
        return false;
    }
    while ((val = yyjson_arr_iter_next(&it)) != NULL) {
        if (!take_file(m, val)) {
            return false;
        }
    }
    return true;
}

int mf_manifest_read(struct mf_manifest *m, int dir, struct mf_err *err)
{
    struct mf_buf text;
    bool is_nomem, is_good;
    yyjson_doc *doc;
    int rc;

    memset(m, 0, sizeof(*m));
    mf_buf_init(&text);
    rc = mf_hub_read_file(dir, MF_MANIFEST_NAME, MF_MANIFEST_MAX, &text, err);
    if (rc < 0) {
        mf_buf_fini(&text);
        return rc;
    }
    doc = mf_hub_json_read(mf_slice_of(text.p, text.n), &is_nomem);
    is_good = doc != NULL && take_root(m, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    mf_buf_fini(&text);
    if (is_nomem) {
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    return is_good ? 0 : mf_err_set(err, MF_EINVAL, "%s is damaged", MF_MANIFEST_NAME);
}

/* Names and revisions need no escapes: see hub/names.h. */
int mf_manifest_write(const struct mf_manifest *m, int dir, struct mf_err *err)
{
    struct mf_buf out;
    int rc;

    mf_buf_init(&out);
    mf_buf_addf(&out, "{\n  \"name\": \"%s\",\n  \"revision\": \"%s\",\n  \"files\": [",
                m->name, m->revision);
    for (size_t i = 0; i < m->n_files; i++) {
        mf_buf_addf(
            &out,
            "%s\n    {\"path\": \"%s\", \"bytes\": %" PRIu64 ", \"sha256\": \"%s\"}",
            i == 0 ? "" : ",", m->files[i].path, m->files[i].bytes, m->files[i].sha256);
    }
    mf_buf_add_str(&out, "\n  ]\n}\n");
    rc = mf_buf_status(&out);
    rc = rc < 0
             ? mf_err_set(err, rc, "out of memory")
             : mf_hub_write_file(dir, MF_MANIFEST_NAME, mf_slice_of(out.p, out.n), err);
    mf_buf_fini(&out);
    return rc;
}

void mf_manifest_of_default(struct mf_manifest *m)
{
    static const struct mf_manifest_file known[] = {
#define X(path, bytes, sum) {path, bytes, sum},
        MF_HUB_KNOWN_SUMS(X)
#undef X
    };

    memset(m, 0, sizeof(*m));
    (void)snprintf(m->name, sizeof(m->name), "%s", MF_HUB_DEFAULT_MODEL);
    memcpy(m->files, known, sizeof(known));
    m->n_files = mf_countof(known);
}

const struct mf_manifest_file *mf_manifest_find(const struct mf_manifest *m,
                                                const char *path)
{
    for (size_t i = 0; i < m->n_files; i++) {
        if (strcmp(m->files[i].path, path) == 0) {
            return &m->files[i];
        }
    }
    return NULL;
}

int mf_manifest_put(struct mf_manifest *m, const struct mf_manifest_file *f)
{
    for (size_t i = 0; i < m->n_files; i++) {
        if (strcmp(m->files[i].path, f->path) == 0) {
            m->files[i] = *f;
            return 0;
        }
    }
    if (m->n_files == mf_countof(m->files)) {
        return MF_ETOOBIG;
    }
    m->files[m->n_files++] = *f;
    return 0;
}

int mf_manifest_check(const struct mf_manifest_file *f, int dir, struct mf_err *err)
{
    char sha256[MF_SHA256_HEX];
    uint64_t bytes;
    int rc = mf_hub_sum(dir, f->path, sha256, &bytes, err);

    if (rc < 0) {
        return rc;
    }
    if (bytes != f->bytes) {
        return mf_err_set(err, MF_ECORRUPT,
                          "%s has %" PRIu64 " bytes where %" PRIu64 " are expected",
                          f->path, bytes, f->bytes);
    }
    if (strcmp(sha256, f->sha256) != 0) {
        return mf_err_set(err, MF_ECORRUPT,
                          "%s has the checksum %.12s.. where %.12s.. is expected",
                          f->path, sha256, f->sha256);
    }
    return 0;
}
