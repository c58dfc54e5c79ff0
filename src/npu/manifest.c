/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of artefacts: its manifest.json against its files. */
#include "npu/manifest.h"

#include "npu/artefact.h"
#include "npu/manifest_in.h"
#include "npu/xclbin.h"

#include <string.h>
#include <unistd.h>

void mf_npu_manifest_fini(struct mf_npu_manifest *m)
{
    mf_arena_fini(&m->arena);
    *m = (struct mf_npu_manifest){0};
}

const struct mf_npu_shape *mf_npu_manifest_find(const struct mf_npu_manifest *m,
                                                const struct mf_npu_gemm *g)
{
    for (size_t i = 0; i < m->n_shapes; i++) {
        const struct mf_npu_gemm *s = &m->shapes[i].gemm;

        if (s->m == g->m && s->k == g->k && s->n == g->n && s->a == g->a &&
            s->b == g->b && s->c == g->c && s->epi == g->epi) {
            return &m->shapes[i];
        }
    }
    return NULL;
}

static const char *sum_of(const struct mf_npu_manifest *m, const char *file)
{
    if (strcmp(m->xclbin, file) == 0) {
        return m->xclbin_sha256;
    }
    for (size_t i = 0; i < m->n_shapes; i++) {
        if (strcmp(m->shapes[i].file, file) == 0) {
            return m->shapes[i].sha256;
        }
    }
    return NULL;
}

static int check_sum(const char *file, const uint8_t *bytes, size_t n, const char *want,
                     struct mf_err *err)
{
    char sum[MF_NPU_SUM];
    int rc = mf_npu_artefact_sum(mf_slice_of((const char *)bytes, n), sum);

    if (rc < 0) {
        return mf_err_set(err, rc, "%s: out of memory", file);
    }
    if (strcmp(sum, want) != 0) {
        return mf_err_set(err, MF_EINVAL,
                          "%s has the SHA-256 %.12s.. and " MF_NPU_MANIFEST
                          " says %.12s..: it was changed; put it back, or write the "
                          "manifest again",
                          file, sum, want);
    }
    return 0;
}

int mf_npu_manifest_read(const struct mf_npu_manifest *m, const char *file,
                         uint8_t **out, size_t *n, struct mf_err *err)
{
    const char *want = sum_of(m, file);
    uint8_t *bytes = NULL;
    int dir, rc;

    if (want == NULL) {
        return mf_err_set(err, MF_ENOTFOUND, "%s is not in " MF_NPU_MANIFEST, file);
    }
    dir = mf_npu_artefact_dir(m->dir, err);
    if (dir < 0) {
        return dir;
    }
    rc = mf_npu_artefact_read(dir, file, MF_NPU_MAX_FILE, &bytes, n, err);
    (void)close(dir);
    rc = rc < 0 ? rc : check_sum(file, bytes, *n, want, err);
    if (rc < 0) {
        mf_free(bytes);
        return rc;
    }
    *out = bytes;
    return 0;
}

/* ---- what the files hold ---- */

static int check_xclbin(struct mf_npu_manifest *m, struct mf_err *err)
{
    struct mf_xclbin_info info;
    uint8_t *bytes = NULL;
    size_t n = 0;
    int rc = mf_npu_manifest_read(m, m->xclbin, &bytes, &n, err);

    if (rc < 0) {
        return rc;
    }
    rc = mf_xclbin_check(mf_slice_of((const char *)bytes, n), m->kernel, &info, err);
    mf_free(bytes);
    if (rc < 0) {
        return mf_err_wrap(err, rc, "%s", m->xclbin);
    }
    if (strcmp(info.uuid, m->uuid) != 0) {
        return mf_err_set(err, MF_EINVAL,
                          "%s has the uuid %s and " MF_NPU_MANIFEST
                          ": xclbin.uuid says %s",
                          m->xclbin, info.uuid, m->uuid);
    }
    m->kernel = mf_arena_strndup(&m->arena, info.kernel, strlen(info.kernel));
    return m->kernel == NULL
               ? mf_err_set(err, MF_ENOMEM, "%s: out of memory", m->xclbin)
               : 0;
}

/* Of our emulation: is it of this very shape? The rest only the device understands. */
static int check_emulated(const struct mf_npu_manifest *m, const struct mf_npu_shape *s,
                          const uint8_t *bytes, size_t n, struct mf_err *err)
{
    const uint32_t want[] = {MF_NPU_EMULATED_MAGIC, s->gemm.m, s->gemm.k, s->gemm.n,
                             s->gemm.epi,           m->layout};

    if (n != MF_NPU_EMULATED_WORDS * sizeof(uint32_t)) {
        return mf_err_set(err, MF_EINVAL,
                          "%s: %zu bytes; emulated instructions have %zu", s->file, n,
                          MF_NPU_EMULATED_WORDS * sizeof(uint32_t));
    }
    for (size_t i = 0; i < mf_countof(want); i++) {
        uint32_t is = mf_get_u32(bytes + i * sizeof(is));

        if (is != want[i]) {
            return mf_err_set(err, MF_EINVAL,
                              "%s: word %zu is %u where its shape in " MF_NPU_MANIFEST
                              " wants %u",
                              s->file, i, is, want[i]);
        }
    }
    return 0;
}

static int check_instructions(const struct mf_npu_manifest *m,
                              const struct mf_npu_shape *s, const uint8_t *bytes,
                              size_t n, struct mf_err *err)
{
    if (n == 0 || n % sizeof(uint32_t) != 0) {
        return mf_err_set(err, MF_EINVAL,
                          "%s: %zu bytes; instructions are words of 4 bytes", s->file,
                          n);
    }
    if (m->is_emulated) {
        return check_emulated(m, s, bytes, n, err);
    }
    if (mf_get_u32(bytes) == MF_NPU_EMULATED_MAGIC) {
        return mf_err_set(err, MF_EINVAL,
                          "%s: instructions of an emulation, and " MF_NPU_MANIFEST
                          " does not say \"emulated\": true",
                          s->file);
    }
    return 0;
}

int mf_npu_manifest_check(struct mf_npu_manifest *m, struct mf_err *err)
{
    int rc = check_xclbin(m, err);

    for (size_t i = 0; rc == 0 && i < m->n_shapes; i++) {
        uint8_t *bytes = NULL;
        size_t n = 0;

        rc = mf_npu_manifest_read(m, m->shapes[i].file, &bytes, &n, err);
        if (rc == 0) {
            rc = check_instructions(m, &m->shapes[i], bytes, n, err);
            mf_free(bytes);
        }
    }
    return rc;
}

int mf_npu_manifest_open(struct mf_npu_manifest *m, const char *path,
                         struct mf_err *err)
{
    int dir = mf_npu_artefact_dir(path, err), rc;
    uint8_t *text = NULL;
    size_t n = 0;

    if (dir < 0) {
        return dir;
    }
    rc =
        mf_npu_artefact_read(dir, MF_NPU_MANIFEST, MF_NPU_MANIFEST_MAX, &text, &n, err);
    (void)close(dir);
    if (rc == MF_ENOTFOUND) {
        return mf_err_set(
            err, rc, "%s has no " MF_NPU_MANIFEST "; `memfuse npu manifest` writes it",
            path);
    }
    if (rc < 0) {
        return rc;
    }
    rc = mf_npu_manifest_parse(m, path, mf_slice_of((const char *)text, n), err);
    mf_free(text);
    if (rc < 0) {
        return rc;
    }
    rc = mf_npu_manifest_check(m, err);
    if (rc < 0) {
        mf_npu_manifest_fini(m);
    }
    return rc;
}
