/* SPDX-License-Identifier: Apache-2.0 */
/* manifest: a folder that is whole is taken; what is wrong is named with file and key.
 */
#include "lib/mf_test.h"
#include "lib/npu_artefacts.h"
#include "npu/manifest_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUM  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UUID "0123456789abcdef0123456789abcdef"

/* ---- the text ---- */

#define FORMAT     "\"format\":1"
#define GENERATION "\"generation\":\"npu4\""
#define LAYOUT     "\"layout\":\"plain\""
#define ROUNDING   "\"rounding\":\"even\""
#define XCLBIN                                                                         \
    "\"xclbin\":{\"file\":\"a.xclbin\",\"sha256\":\"" SUM "\",\"uuid\":\"" UUID "\"}"
#define KERNEL "\"kernel\":\"MLIR_AIE\""
#define ARGUMENTS                                                                      \
    "\"arguments\":[\"opcode\",\"instructions\",\"n_instructions\",\"a\",\"b\",\"c\"]"
#define MULTS "\"m_mult\":256,\"k_mult\":512,\"n_mult\":64"
#define SHAPE(m, k, n, a, epi, file, sum)                                              \
    "{\"m\":" m ",\"k\":" k ",\"n\":" n ",\"a\":\"" a "\",\"b\":\"bf16\",\"c\":"       \
    "\"f32\",\"epilogue\":\"" epi "\",\"file\":\"" file "\",\"sha256\":\"" sum "\"}"
#define GOOD      SHAPE("256", "512", "1152", "bf16", "none", "a.insts", SUM)
#define SHAPES(s) "\"shapes\":[" s "]"

static const char *const whole[] = {FORMAT, GENERATION, LAYOUT, ROUNDING,    XCLBIN,
                                    KERNEL, ARGUMENTS,  MULTS,  SHAPES(GOOD)};

/* The whole text with the part that begins as `with` does replaced by it; NULL: as it
 * is; a part that is not there: added. */
static void make_text(struct mf_buf *out, const char *with, const char *without)
{
    size_t n_key = with == NULL ? 0 : strcspn(with, ":") + 1;
    bool is_in = false;

    mf_buf_init(out);
    mf_buf_add_char(out, '{');
    for (size_t i = 0; i < mf_countof(whole); i++) {
        bool is_it = with != NULL && strncmp(whole[i], with, n_key) == 0;

        if (without == NULL || strncmp(whole[i], without, strlen(without)) != 0) {
            mf_buf_addf(out, "%s%s", out->n > 1 ? "," : "", is_it ? with : whole[i]);
        }
        is_in |= is_it;
    }
    if (with != NULL && !is_in) {
        mf_buf_addf(out, ",%s", with);
    }
    mf_buf_add_char(out, '}');
}

static int parse(struct mf_npu_manifest *m, const char *with, const char *without,
                 struct mf_err *err)
{
    struct mf_buf text;
    int rc;

    make_text(&text, with, without);
    rc = mf_npu_manifest_parse(m, "dir", mf_slice_of(text.p, text.n), err);
    mf_buf_fini(&text);
    return rc;
}

static void says(const struct mf_err *err, const char *part)
{
    if (strstr(err->msg, part) == NULL) {
        fail_msg("'%s' is not in: %s", part, err->msg);
    }
}

static void refuses(const char *with, const char *part)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    MF_CHECK_INT(parse(&m, with, NULL, &err), MF_EINVAL);
    says(&err, part);
    says(&err, "manifest.json: ");
}

static void needs(const char *without, const char *part)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    MF_CHECK_INT(parse(&m, NULL, without, &err), MF_EINVAL);
    says(&err, part);
}

MF_TEST(npu_manifest, takes_a_whole_text)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    MF_CHECK_OK(parse(&m, NULL, NULL, &err));
    MF_CHECK_STR(m.dir, "dir");
    MF_CHECK_STR(m.generation, "npu4");
    MF_CHECK_STR(m.kernel, "MLIR_AIE");
    MF_CHECK_STR(m.xclbin, "a.xclbin");
    MF_CHECK_STR(m.uuid, UUID);
    MF_CHECK_INT(m.layout, MF_NPU_LAYOUT_PLAIN);
    MF_CHECK_INT(m.k_mult, 512);
    MF_CHECK_INT(m.n_shapes, 1);
    MF_CHECK_INT(m.shapes[0].gemm.n, 1152);
    MF_CHECK_INT(m.shapes[0].gemm.a, MF_NPU_BF16);
    MF_CHECK_INT(m.shapes[0].gemm.c, MF_NPU_F32);
    MF_CHECK_STR(m.shapes[0].file, "a.insts");
    MF_CHECK(!m.is_emulated);
    mf_npu_manifest_fini(&m);
    MF_CHECK_OK(parse(&m, "\"emulated\":true", NULL, &err));
    MF_CHECK(m.is_emulated);
    mf_npu_manifest_fini(&m);
    MF_CHECK_OK(parse(&m, "\"layout\":\"tiled-8x8\"", NULL, &err));
    MF_CHECK_INT(m.layout, MF_NPU_LAYOUT_TILED_8X8);
    mf_npu_manifest_fini(&m);
    MF_CHECK_OK(parse(&m, "\"tools\":{\"mlir-aie\":[1]}", NULL, &err));
    mf_npu_manifest_fini(&m);
}

MF_TEST(npu_manifest, names_each_key_that_is_missing)
{
    needs("\"format", "format is missing");
    needs("\"generation", "generation is missing");
    needs("\"layout", "layout is missing; known: plain, tiled-8x8");
    needs("\"rounding", "rounding is missing; known: even");
    needs("\"xclbin", "xclbin must be a JSON object");
    needs("\"kernel", "kernel is missing");
    needs("\"arguments", "arguments must be opcode, instructions");
    needs("\"m_mult", "m_mult is missing");
    needs("\"shapes", "shapes must be a list of 1 to 256");
}

MF_TEST(npu_manifest, names_each_value_that_is_wrong)
{
    refuses("\"format\":2", "format is 2; this memfuse knows 1 only");
    refuses("\"format\":\"1\"", "format must be a whole number");
    refuses("\"generation\":\"xdna\"", "generation must be npu and a digit");
    refuses("\"generation\":4", "generation must be text");
    refuses("\"layout\":\"tiled\"", "layout is tiled; known: plain, tiled-8x8");
    refuses("\"rounding\":\"floor\"", "rounding is floor; known: even");
    refuses("\"xclbin\":[]", "xclbin must be a JSON object");
    refuses("\"xclbin\":{\"path\":\"\"}", "xclbin.path is no key that is known here");
    refuses("\"kernel\":\"A B\"", "kernel must be of printable ASCII");
    refuses("\"kernel\":\"A\\u0000\"", "kernel must have 1 to 63 bytes");
    refuses("\"arguments\":[\"opcode\"]", "arguments must be opcode");
    refuses("\"arguments\":[\"opcode\",\"n_instructions\",\"instructions\",\"a\",\"b\","
            "\"c\"]",
            "in this order");
    refuses("\"m_mult\":0,\"k_mult\":512,\"n_mult\":64", "m_mult must be a whole");
    refuses("\"m_mult\":256,\"k_mult\":65537,\"n_mult\":64", "k_mult must be a whole");
    refuses("\"m_mult\":256,\"k_mult\":512,\"n_mult\":-8", "n_mult must be a whole");
    refuses("\"emulated\":\"yes\"", "emulated must be true or false");
    refuses("\"tools\":[]", "tools must be a JSON object");
    refuses("\"emulatd\":true", "emulatd is no key that is known here");
    refuses("\"emulated\":true,\"emulated\":false", "emulated stands twice");
}

MF_TEST(npu_manifest, wants_tiles_to_fit_the_multiples)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    MF_CHECK_OK(parse(&m, "\"m_mult\":1,\"k_mult\":4,\"n_mult\":4", NULL, &err));
    mf_npu_manifest_fini(&m);
    MF_CHECK_INT(parse(&m,
                       "\"m_mult\":1,\"k_mult\":4,\"n_mult\":4,\"layout\":"
                       "\"tiled-8x8\"",
                       "\"layout", &err),
                 MF_EINVAL);
    says(&err, "k_mult and n_mult must be multiples of 8");
}

static void refuses_shape(const char *shape, const char *part)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), "\"shapes\":[%s]", shape);
    refuses(text, part);
}

MF_TEST(npu_manifest, names_what_is_wrong_with_a_shape)
{
#define BAD(m, k, n, a, epi, file, sum, part)                                          \
    refuses_shape(SHAPE(m, k, n, a, epi, file, sum), part)
    BAD("100", "512", "64", "bf16", "none", "a", SUM,
        "shapes[0].m is 100, which is no multiple of m_mult, 256");
    BAD("256", "513", "64", "bf16", "none", "a", SUM, "shapes[0].k is 513");
    BAD("256", "512", "65", "bf16", "none", "a", SUM, "shapes[0].n is 65");
    BAD("0", "512", "64", "bf16", "none", "a", SUM, "shapes[0].m must be a whole");
    BAD("65792", "512", "64", "bf16", "none", "a", SUM, "1 to 65536");
    BAD("4294967552", "512", "64", "bf16", "none", "a", SUM, "1 to 65536");
    BAD("256", "512", "64", "fp8", "none", "a", SUM, "shapes[0].a is fp8; known: f32");
    BAD("256", "512", "64", "bf16", "relu", "a", SUM, "epilogue is relu; known: none");
    BAD("256", "512", "64", "bf16", "none", "", SUM, "shapes[0].file is missing");
    BAD("256", "512", "64", "bf16", "none", "../a", SUM, "shapes[0].file must be the");
    BAD("256", "512", "64", "bf16", "none", "/etc/passwd", SUM, "plain name");
    BAD("256", "512", "64", "bf16", "none", ".hidden", SUM, "plain name");
    BAD("256", "512", "64", "bf16", "none", "a b", SUM, "plain name");
    BAD("256", "512", "64", "bf16", "none", "a", "12", "sha256 must be 64 digits");
    BAD("256", "512", "64", "bf16", "none", "a", SUM "0", "sha256 must have 1 to 64");
    refuses_shape("1", "shapes[0] must be a JSON object");
    refuses_shape("{\"m\":256,\"q\":1}", "shapes[0].q is no key");
    refuses_shape(GOOD ",{}", "shapes[1].m is missing");
    refuses_shape(GOOD "," GOOD, "shapes[1] is the same as shapes[0]");
#undef BAD
}

MF_TEST(npu_manifest, bounds_the_number_of_shapes)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    for (unsigned n = 256; n <= 257; n++) {
        struct mf_buf list;

        mf_buf_init(&list);
        for (unsigned i = 1; i <= n; i++) {
            mf_buf_addf(&list,
                        "%s{\"m\":%u,\"k\":512,\"n\":64,\"a\":\"bf16\",\"b\":\"bf16\","
                        "\"c\":\"f32\",\"epilogue\":\"gelu\",\"file\":\"f\",\"sha256\":"
                        "\"" SUM "\"}",
                        i == 1 ? "\"shapes\":[" : ",", i);
        }
        mf_buf_add_str(&list, "],\"m_mult\":1,\"k_mult\":1,\"n_mult\":1");
        mf_buf_add_char(&list, '\0');
        MF_CHECK_OK(mf_buf_status(&list));
        MF_CHECK_INT(parse(&m, list.p, "\"m_mult", &err), n == 256 ? 0 : MF_EINVAL);
        if (n == 256) {
            MF_CHECK_INT(m.n_shapes, 256);
            mf_npu_manifest_fini(&m);
        }
        mf_buf_fini(&list);
    }
    says(&err, "shapes must be a list of 1 to 256");
}

MF_TEST(npu_manifest, refuses_what_is_no_object)
{
    static const char *const texts[] = {"", "[]", "1", "{", "null", "{}"};

    for (size_t i = 0; i < mf_countof(texts); i++) {
        struct mf_npu_manifest m;
        struct mf_err err = {0};

        MF_CHECK_INT(mf_npu_manifest_parse(&m, "dir", mf_slice_str(texts[i]), &err),
                     MF_EINVAL);
        says(&err, "manifest.json: ");
    }
}

/* ---- the folder ---- */

static const struct mf_npu_gemm small_shape = {.m = 8,
                                               .k = 16,
                                               .n = 8,
                                               .a = MF_NPU_BF16,
                                               .b = MF_NPU_BF16,
                                               .c = MF_NPU_F32,
                                               .epi = MF_NPU_EPI_GELU};
#define SMALL "gemm_8_16_8_bf16_bf16_f32_gelu.insts"

static const char *small_folder(void)
{
    struct npu_artefacts a = {.m_mult = 8,
                              .k_mult = 8,
                              .n_mult = 8,
                              .shapes = &small_shape,
                              .n_shapes = 1,
                              .kernel = "MLIR_AIE_1"};
    const char *dir = mf_test_tmpdir();
    struct mf_err err = {0};

    MF_CHECK_OK(npu_artefacts_write(dir, &a));
    MF_CHECK_OK(mf_npu_manifest_make(dir, &err));
    return dir;
}

/* One byte of a file gets another value; -1: one is added. */
static void damage(const char *dir, const char *name, long at)
{
    char path[512];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, at < 0 ? "ab" : "r+b");
    assert_non_null(f);
    MF_CHECK_INT(fseek(f, at < 0 ? 0 : at, at < 0 ? SEEK_END : SEEK_SET), 0);
    MF_CHECK_INT(fputc('~', f), '~');
    MF_CHECK_INT(fclose(f), 0);
}

static void open_refuses(const char *dir, int code, const char *part)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};

    MF_CHECK_INT(mf_npu_manifest_open(&m, dir, &err), code);
    says(&err, part);
}

MF_TEST(npu_manifest, opens_a_whole_folder_and_reads_its_files)
{
    const char *dir = small_folder();
    struct mf_npu_gemm other = small_shape;
    struct mf_npu_manifest m;
    struct mf_err err = {0};
    uint8_t *bytes;
    size_t n;

    MF_CHECK_OK(mf_npu_manifest_open(&m, dir, &err));
    MF_CHECK_STR(m.kernel, "MLIR_AIE_1"); /* the whole name, of the xclbin */
    MF_CHECK_STR(m.uuid, NPU_ARTEFACTS_UUID);
    MF_CHECK(m.is_emulated);
    MF_CHECK_PTR(mf_npu_manifest_find(&m, &small_shape), &m.shapes[0]);
    other.epi = MF_NPU_EPI_NONE;
    MF_CHECK_PTR(mf_npu_manifest_find(&m, &other), NULL);
    MF_CHECK_OK(mf_npu_manifest_read(&m, m.shapes[0].file, &bytes, &n, &err));
    MF_CHECK_INT(n, 64);
    MF_CHECK_INT(mf_get_u32(bytes + 4), 8);
    mf_free(bytes);
    MF_CHECK_OK(mf_npu_manifest_read(&m, m.xclbin, &bytes, &n, &err));
    MF_CHECK_MEM(bytes, "xclbin2", 8);
    mf_free(bytes);
    MF_CHECK_INT(mf_npu_manifest_read(&m, "shapes.json", &bytes, &n, &err),
                 MF_ENOTFOUND);
    says(&err, "shapes.json is not in manifest.json");
    mf_npu_manifest_fini(&m);
}

MF_TEST(npu_manifest, refuses_files_that_were_changed)
{
    const char *dir = small_folder();

    damage(dir, SMALL, 40);
    open_refuses(dir, MF_EINVAL, SMALL " has the SHA-256");
    dir = small_folder();
    damage(dir, SMALL, -1);
    open_refuses(dir, MF_EINVAL, SMALL " has the SHA-256");
    dir = small_folder();
    damage(dir, NPU_ARTEFACTS_XCLBIN, 700);
    open_refuses(dir, MF_EINVAL, NPU_ARTEFACTS_XCLBIN " has the SHA-256");
}

/* Between open and read, too: what reaches the device was summed. */
MF_TEST(npu_manifest, refuses_a_file_that_is_changed_after_it_was_opened)
{
    const char *dir = small_folder();
    struct mf_npu_manifest m;
    struct mf_err err = {0};
    uint8_t *bytes;
    size_t n;

    MF_CHECK_OK(mf_npu_manifest_open(&m, dir, &err));
    damage(dir, SMALL, 0);
    MF_CHECK_INT(mf_npu_manifest_read(&m, SMALL, &bytes, &n, &err), MF_EINVAL);
    says(&err, "it was changed");
    mf_npu_manifest_fini(&m);
}

static void path_of(char out[512], const char *dir, const char *name)
{
    (void)snprintf(out, 512, "%s/%s", dir, name);
}

MF_TEST(npu_manifest, names_files_that_are_missing_or_no_files)
{
    const char *dir = small_folder();
    char path[512];

    path_of(path, dir, SMALL);
    MF_CHECK_INT(unlink(path), 0);
    open_refuses(dir, MF_ENOTFOUND, SMALL ": cannot be opened");
    MF_CHECK_INT(mkfifo(path, 0600), 0);
    open_refuses(dir, MF_EINVAL, SMALL " is no plain file");
    path_of(path, dir, "manifest.json");
    MF_CHECK_INT(unlink(path), 0);
    open_refuses(dir, MF_ENOTFOUND, "`memfuse npu manifest` writes it");
    path_of(path, dir, "nowhere");
    open_refuses(path, MF_ENOTFOUND, "nowhere: the folder cannot be opened");
}

/* The manifest's text with one word in place of another of the same length. */
static void swap_word(const char *dir, const char *from, const char *to)
{
    char path[512], text[8192], *at;
    FILE *f;
    size_t n;

    path_of(path, dir, "manifest.json");
    f = fopen(path, "r+b");
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    at = strstr(text, from);
    assert_non_null(at);
    memcpy(at, to, strlen(to));
    rewind(f);
    MF_CHECK_INT(fwrite(text, 1, n, f), n);
    MF_CHECK_INT(fclose(f), 0);
}

MF_TEST(npu_manifest, refuses_what_the_files_themselves_deny)
{
    const char *dir = small_folder();

    swap_word(dir, "6d656d", "000000");
    open_refuses(dir, MF_EINVAL, "xclbin.uuid says 000000");
    dir = small_folder();
    swap_word(dir, "\"MLIR_AIE\"", "\"MLIR_XIE\"");
    open_refuses(dir, MF_EINVAL, "no kernel's name begins with 'MLIR_XIE'");
    dir = small_folder();
    swap_word(dir, "\"emulated\": true", "\"emulated\":false");
    open_refuses(dir, MF_EINVAL, "does not say \"emulated\": true");
    dir = small_folder();
    swap_word(dir, "\"m\": 8", "\"m\":16");
    open_refuses(dir, MF_EINVAL, SMALL ": word 1 is 8 where its shape");
    dir = small_folder();
    swap_word(dir, "\"epilogue\": \"gelu\"", "\"epilogue\": \"none\"");
    open_refuses(dir, MF_EINVAL, SMALL ": word 4 is 1 where its shape");
}

MF_TEST(npu_manifest, gives_all_back_when_any_allocation_fails)
{
    const char *dir = small_folder();
    bool is_over = false;

    for (size_t nth = 1; !is_over; nth++) {
        struct mf_npu_manifest m;
        struct mf_err err = {0};
        int rc;

        mf_test_fail_nth(nth);
        rc = mf_npu_manifest_open(&m, dir, &err);
        is_over = !mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK_INT(rc, is_over ? 0 : MF_ENOMEM);
        if (rc == 0) {
            mf_npu_manifest_fini(&m);
        } else {
            says(&err, "out of memory");
        }
    }
}
