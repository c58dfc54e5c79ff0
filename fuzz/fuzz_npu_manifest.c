/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the manifest of a folder of NPU artefacts: refused with a sentence, or
 * what was read is within its bounds and every shape is found as itself.
 */
#include "npu/artefact.h"
#include "npu/manifest_in.h"

#include <stdlib.h>

#define CHECK(cond) ((cond) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_dim(uint32_t v, uint32_t mult)
{
    return v >= 1 && v <= MF_NPU_MAX_DIM && v % mult == 0;
}

static bool is_sum(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static void check_shape(const struct mf_npu_manifest *m, const struct mf_npu_shape *s)
{
    CHECK(is_dim(s->gemm.m, m->m_mult));
    CHECK(is_dim(s->gemm.k, m->k_mult));
    CHECK(is_dim(s->gemm.n, m->n_mult));
    CHECK(s->gemm.a <= MF_NPU_I8 && s->gemm.b <= MF_NPU_I8 && s->gemm.c <= MF_NPU_I8);
    CHECK(s->gemm.epi <= MF_NPU_EPI_GELU);
    CHECK(mf_npu_artefact_name_ok(mf_slice_str(s->file)));
    CHECK(strchr(s->file, '/') == NULL && s->file[0] != '.');
    CHECK(is_sum(s->sha256, 64));
    CHECK(mf_npu_manifest_find(m, &s->gemm) == s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};
    int rc = mf_npu_manifest_parse(&m, "dir", mf_slice_of((const char *)data, n), &err);

    if (rc < 0) {
        CHECK(rc == MF_EINVAL && err.code == rc && err.msg[0] != '\0');
        return 0;
    }
    CHECK(m.n_shapes >= 1 && m.n_shapes <= MF_NPU_MAX_SHAPES);
    CHECK(m.m_mult >= 1 && m.k_mult >= 1 && m.n_mult >= 1);
    CHECK(m.layout == MF_NPU_LAYOUT_PLAIN || (m.k_mult % 8 == 0 && m.n_mult % 8 == 0));
    CHECK(mf_npu_artefact_name_ok(mf_slice_str(m.xclbin)));
    CHECK(is_sum(m.xclbin_sha256, 64) && is_sum(m.uuid, 32));
    CHECK(strlen(m.kernel) >= 1 && strlen(m.kernel) <= 63);
    CHECK(strlen(m.generation) == 4);
    for (size_t i = 0; i < m.n_shapes; i++) {
        check_shape(&m, &m.shapes[i]);
    }
    mf_npu_manifest_fini(&m);
    return 0;
}
