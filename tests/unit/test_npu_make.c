/* SPDX-License-Identifier: Apache-2.0 */
/* manifest_make: what lies in a folder becomes its manifest, or is named for what keeps
 * it from that; nothing wrong is written. */
#include "lib/mf_test.h"
#include "lib/npu_artefacts.h"
#include "lib/test_file.h"
#include "npu/artefact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new one each time, also within a case. */
static const char *empty_folder(void)
{
    static char path[512];
    static unsigned n;

    (void)snprintf(path, sizeof(path), "%s/%u", mf_test_tmpdir(), n++);
    MF_CHECK_INT(mkdir(path, 0755), 0);
    return path;
}

static const char *folder(void)
{
    struct npu_artefacts a = npu_artefacts_minilm();
    const char *dir = empty_folder();

    MF_CHECK_OK(npu_artefacts_write(dir, &a));
    return dir;
}

static void take_away(const char *dir, const char *name)
{
    char path[640];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    MF_CHECK_INT(unlink(path), 0);
}

static bool is_there(const char *dir, const char *name)
{
    char path[640];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static void refuses(const char *dir, int code, const char *part)
{
    struct mf_err err = {0};

    MF_CHECK_INT(mf_npu_manifest_make(dir, &err), code);
    if (strstr(err.msg, part) == NULL) {
        fail_msg("'%s' is not in: %s", part, err.msg);
    }
    MF_CHECK(!is_there(dir, "manifest.json"));
    MF_CHECK(!is_there(dir, ".manifest.json.new"));
}

MF_TEST(npu_make, writes_a_manifest_of_all_shapes_that_opens)
{
    struct npu_artefacts a = npu_artefacts_minilm();
    const char *dir = folder();
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    for (int again = 0; again < 2; again++) {
        MF_CHECK_OK(mf_npu_manifest_make(dir, &err));
        MF_CHECK_OK(mf_npu_manifest_open(&m, dir, &err));
        MF_CHECK_INT(m.n_shapes, a.n_shapes);
        for (size_t i = 0; i < a.n_shapes; i++) {
            const struct mf_npu_shape *s = mf_npu_manifest_find(&m, &a.shapes[i]);
            char name[96];

            assert_non_null(s);
            npu_instructions_name(&a.shapes[i], name, sizeof(name));
            MF_CHECK_STR(s->file, name);
        }
        MF_CHECK_STR(m.xclbin, NPU_ARTEFACTS_XCLBIN);
        MF_CHECK_STR(m.generation, "npu4");
        MF_CHECK(m.is_emulated);
        mf_npu_manifest_fini(&m);
    }
    MF_CHECK(!is_there(dir, ".manifest.json.new"));
}

MF_TEST(npu_make, does_the_same_for_tiles)
{
    struct npu_artefacts a = npu_artefacts_minilm();
    const char *dir = empty_folder();
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    a.layout = MF_NPU_LAYOUT_TILED_8X8;
    MF_CHECK_OK(npu_artefacts_write(dir, &a));
    MF_CHECK_OK(mf_npu_manifest_make(dir, &err));
    MF_CHECK_OK(mf_npu_manifest_open(&m, dir, &err));
    MF_CHECK_INT(m.layout, MF_NPU_LAYOUT_TILED_8X8);
    mf_npu_manifest_fini(&m);
}

MF_TEST(npu_make, keeps_what_the_tools_were)
{
    const char *dir = folder();
    struct mf_err err = {0};
    uint8_t *text;
    size_t n;
    int fd;

    mf_test_text(
        dir, "shapes.json",
        "{\"format\":1,\"generation\":\"npu1\",\"layout\":\"plain\",\"rounding\":"
        "\"even\",\"kernel\":\"MLIR_AIE\",\"m_mult\":256,\"k_mult\":512,\"n_mult\":64,"
        "\"tools\":{\"peano\":\"18 \\\"x\\\"\"},\"emulated\":true}");
    MF_CHECK_OK(mf_npu_manifest_make(dir, &err));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MF_CHECK_OK(mf_npu_artefact_read(fd, "manifest.json", 1U << 20, &text, &n, &err));
    (void)close(fd);
    text[n] = '\0'; /* it has room for one more */
    MF_CHECK(strstr((const char *)text, "\"peano\": \"18 \\\"x\\\"\"") != NULL);
    MF_CHECK(strstr((const char *)text, "\"generation\": \"npu1\"") != NULL);
    mf_free(text);
}

MF_TEST(npu_make, names_what_is_missing)
{
    const char *dir = folder();
    char nowhere[600];

    take_away(dir, "shapes.json");
    refuses(dir, MF_ENOTFOUND, "shapes.json: cannot be opened");
    take_away(dir, NPU_ARTEFACTS_XCLBIN);
    refuses(dir, MF_ENOTFOUND, "has no file *.xclbin; what makes them");
    dir = empty_folder();
    refuses(dir, MF_ENOTFOUND, "has no file *.insts");
    (void)snprintf(nowhere, sizeof(nowhere), "%s/nowhere", dir);
    refuses(nowhere, MF_ENOTFOUND, "nowhere: the folder cannot be opened");
}

MF_TEST(npu_make, names_files_that_do_not_say_their_shape)
{
    static const char *const wrong[] = {
        "a.insts",
        "gemm.insts",
        "gemm_256_512_64_bf16_bf16_f32.insts",
        "gemm_256_512_64_bf16_bf16_f32_relu.insts",
        "gemm_256_512_64_bf16_fp8_f32_none.insts",
        "gemm_256_512_64_bf16_bf16_f32_none_x.insts",
        "gemm_-256_512_64_bf16_bf16_f32_none.insts",
        "gemm_256__64_bf16_bf16_f32_none.insts",
        "gemm_256_512_65537_bf16_bf16_f32_none.insts",
        "gemm_256_512_99999999999999999999_bf16_bf16_f32_none.insts",
    };

    for (size_t i = 0; i < mf_countof(wrong); i++) {
        const char *dir = folder();
        char part[128];

        mf_test_text(dir, wrong[i], "1234");
        (void)snprintf(part, sizeof(part), "%s does not say its shape", wrong[i]);
        refuses(dir, MF_EINVAL, part);
    }
}

MF_TEST(npu_make, names_files_that_cannot_be_what_they_are_called)
{
    const char *dir = folder();

    mf_test_text(dir, "gemm_100_512_64_bf16_bf16_f32_none.insts", "1234");
    refuses(dir, MF_EINVAL, "what shapes.json and the files' names give");
    dir = folder();
    mf_test_text(dir, "gemm_0256_512_1152_bf16_bf16_f32_none.insts", "1234");
    refuses(dir, MF_EINVAL, "is the same as shapes[");
    dir = folder();
    mf_test_text(dir, "gemm_768_512_64_bf16_bf16_f32_none.insts", "123");
    refuses(dir, MF_EINVAL, "3 bytes; instructions are words of 4 bytes");
    dir = folder();
    mf_test_text(dir, "gemm_768_512_64_bf16_bf16_f32_none.insts", "");
    refuses(dir, MF_EINVAL, "0 bytes; instructions are words of 4 bytes");
    dir = folder();
    mf_test_text(dir, "a b.insts", "1234");
    refuses(dir, MF_EINVAL, "a name of letters, digits");
    dir = folder();
    mf_test_text(dir, NPU_ARTEFACTS_XCLBIN, "xclbin2");
    refuses(dir, MF_EINVAL, NPU_ARTEFACTS_XCLBIN ": xclbin: 7 bytes");
    dir = folder();
    mf_test_text(dir, "other.xclbin", "xclbin2");
    refuses(dir, MF_EINVAL, "one xclbin holds all shapes");
}

MF_TEST(npu_make, names_what_is_wrong_in_shapes_json)
{
    static const struct {
        const char *text, *part;
    } wrong[] = {
        {"", "shapes.json: no JSON"},
        {"[]", "shapes.json: must be a JSON object"},
        {"{\"shapes\":[]}", "shapes.json: shapes is no key that is known here"},
        {"{\"format\":1}", "shapes.json: kernel is missing"},
        {"{\"kernel\":\"MLIR_AIE\"}", "format is missing"},
        {"{\"kernel\":\"MLIR_AIE\",\"format\":7}", "format is 7"},
        {"{\"kernel\":\"OTHER\",\"format\":1}", "no kernel's name begins with 'OTHER'"},
    };

    for (size_t i = 0; i < mf_countof(wrong); i++) {
        const char *dir = folder();

        mf_test_text(dir, "shapes.json", wrong[i].text);
        refuses(dir, MF_EINVAL, wrong[i].part);
    }
}

/* The one that was there stays, byte by byte, until a whole one takes its place. */
MF_TEST(npu_make, leaves_the_manifest_that_was_there_when_it_fails)
{
    const char *dir = folder();
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    MF_CHECK_OK(mf_npu_manifest_make(dir, &err));
    mf_test_text(dir, "gemm_100_512_64_bf16_bf16_f32_none.insts", "1234");
    MF_CHECK_INT(mf_npu_manifest_make(dir, &err), MF_EINVAL);
    MF_CHECK_OK(mf_npu_manifest_open(&m, dir, &err));
    mf_npu_manifest_fini(&m);
}

MF_TEST(npu_make, gives_all_back_when_any_allocation_fails)
{
    const char *dir = folder();
    bool is_over = false;

    for (size_t nth = 1; !is_over; nth++) {
        struct mf_err err = {0};
        int rc;

        mf_test_fail_nth(nth);
        rc = mf_npu_manifest_make(dir, &err);
        is_over = !mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK_INT(rc, is_over ? 0 : MF_ENOMEM);
        MF_CHECK_INT(is_there(dir, "manifest.json"), is_over);
    }
}
