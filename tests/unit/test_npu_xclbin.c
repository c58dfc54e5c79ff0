/* SPDX-License-Identifier: Apache-2.0 */
/* xclbin: one that is whole is taken, one that is damaged anywhere is named for it. */
#include "lib/mf_test.h"
#include "lib/npu_artefacts.h"
#include "npu/xclbin.h"

#include <stdlib.h>
#include <string.h>

#define KERNEL NPU_ARTEFACTS_KERNEL

struct fixture {
    struct npu_xclbin x;
    struct mf_buf file;
    struct mf_xclbin_info info;
    struct mf_err err;
};

static struct fixture fixture_new(const char *kernel)
{
    struct fixture f = {.x = {.kernel = kernel}};

    mf_buf_init(&f.file);
    npu_xclbin_make(&f.file, &f.x);
    MF_CHECK_OK(mf_buf_status(&f.file));
    return f;
}

static int check(struct fixture *f)
{
    /* A block of its very size, so that the sanitizer sees a byte too many. */
    char *exact = malloc(mf_max(f->file.n, (size_t)1));
    int rc;

    assert_non_null(exact);
    memcpy(exact, f->file.p, f->file.n);
    f->err = (struct mf_err){0};
    rc = mf_xclbin_check(mf_slice_of(exact, f->file.n), KERNEL, &f->info, &f->err);
    free(exact);
    return rc;
}

static void is_refused(struct fixture *f, const char *part)
{
    MF_CHECK_INT(check(f), MF_EINVAL);
    if (strstr(f->err.msg, part) == NULL) {
        fail_msg("'%s' is not in: %s", part, f->err.msg);
    }
}

static void refuses_u32(enum npu_section s, size_t at, uint32_t v, const char *part)
{
    struct fixture f = fixture_new(KERNEL);

    mf_put_u32(f.file.p + f.x.at[s] + at, v);
    is_refused(&f, part);
    mf_buf_fini(&f.file);
}

/* ---- whole ---- */

MF_TEST(npu_xclbin, takes_a_whole_one_and_tells_uuid_and_kernel)
{
    struct fixture f = fixture_new(KERNEL);

    MF_CHECK_OK(check(&f));
    MF_CHECK_STR(f.info.uuid, NPU_ARTEFACTS_UUID);
    MF_CHECK_STR(f.info.kernel, KERNEL);
    MF_CHECK_INT(f.info.n_sections, NPU_SECTIONS);
    mf_buf_fini(&f.file);
}

MF_TEST(npu_xclbin, takes_a_kernel_whose_name_begins_as_wanted)
{
    struct fixture f = fixture_new("MLIR_AIE_gemm_8x4");

    MF_CHECK_OK(check(&f));
    MF_CHECK_STR(f.info.kernel, "MLIR_AIE_gemm_8x4");
    mf_buf_fini(&f.file);
}

MF_TEST(npu_xclbin, refuses_a_kernel_of_another_name)
{
    struct fixture f = fixture_new("MLIR_AI");

    is_refused(&f, "no kernel's name begins with 'MLIR_AIE'");
    mf_buf_fini(&f.file);
}

/* ---- the file ---- */

MF_TEST(npu_xclbin, refuses_every_shorter_and_longer_file)
{
    struct fixture f = fixture_new(KERNEL);
    size_t n = f.file.n;

    for (f.file.n = 0; f.file.n < n; f.file.n++) {
        is_refused(&f, f.file.n < 456 ? "header" : "it was cut off or added to");
    }
    mf_buf_add_char(&f.file, '\0');
    is_refused(&f, "it was cut off or added to");
    mf_buf_fini(&f.file);
}

/* Cut, and the length says so: each end inside of a section is found. */
MF_TEST(npu_xclbin, refuses_every_cut_that_its_length_admits)
{
    struct fixture f = fixture_new(KERNEL);

    while (f.file.n > 456) {
        f.file.n--;
        mf_put_u64(f.file.p + 304, f.file.n);
        if (f.file.n < f.x.at[NPU_PARTITION] + f.x.n[NPU_PARTITION]) {
            is_refused(&f, f.file.n < 456 + 40 * NPU_SECTIONS ? "table" : "section");
        }
    }
    mf_buf_fini(&f.file);
}

MF_TEST(npu_xclbin, refuses_another_magic)
{
    struct fixture f = fixture_new(KERNEL);

    f.file.p[6] = '1';
    is_refused(&f, "at 0: it does not begin with 'xclbin2'");
    mf_buf_fini(&f.file);
}

MF_TEST(npu_xclbin, refuses_each_missing_section_by_its_name)
{
    static const char *const names[NPU_SECTIONS] = {
        "EMBEDDED_METADATA (2)", "MEM_TOPOLOGY (6)", "IP_LAYOUT (8)",
        "CONNECTIVITY (7)", "AIE_PARTITION (32)"};

    for (int s = 0; s < NPU_SECTIONS; s++) {
        struct fixture f = {.x = {.kernel = KERNEL, .left_out = 1U << s}};

        mf_buf_init(&f.file);
        npu_xclbin_make(&f.file, &f.x);
        is_refused(&f, names[s]);
        MF_CHECK(strstr(f.err.msg, "missing") != NULL);
        mf_buf_fini(&f.file);
    }
}

/* An entry: u32 kind at 0, u64 offset at 24, u64 size at 32. */
static void refuses_entry(size_t at, uint64_t v, const char *part)
{
    struct fixture f = fixture_new(KERNEL);

    mf_put_u64(f.file.p + 456 + 40 + at, v);
    is_refused(&f, part);
    mf_buf_fini(&f.file);
}

MF_TEST(npu_xclbin, refuses_sections_that_are_not_in_the_file)
{
    refuses_entry(24, UINT64_MAX, "at 496: section MEM_TOPOLOGY (6)");
    refuses_entry(24, UINT64_MAX - 7, "are not in the file");
    refuses_entry(32, UINT64_MAX, "are not in the file");
    refuses_entry(32, UINT64_MAX - 1000, "are not in the file");
    refuses_entry(24, 456, "behind its table"); /* over the table itself */
    refuses_entry(24, 0, "behind its table");
    refuses_entry(24, 663, "no multiple of 8");
}

MF_TEST(npu_xclbin, refuses_a_section_that_stands_twice)
{
    struct fixture f = fixture_new(KERNEL);

    mf_put_u32(f.file.p + 456 + 40, 2);
    is_refused(&f, "EMBEDDED_METADATA (2) stands twice");
    mf_buf_fini(&f.file);
}

MF_TEST(npu_xclbin, refuses_a_table_of_no_or_too_many_sections)
{
    static const uint32_t wrong[] = {0, 4097, 60, UINT32_MAX, INT32_MAX};

    for (size_t i = 0; i < mf_countof(wrong); i++) {
        struct fixture f = fixture_new(KERNEL);

        mf_put_u32(f.file.p + 448, wrong[i]);
        is_refused(&f, "at 448: a table of");
        mf_buf_fini(&f.file);
    }
}

/* ---- counts and what refers to one another ---- */

MF_TEST(npu_xclbin, refuses_counts_that_their_sections_do_not_hold)
{
    static const uint32_t wrong[] = {0, UINT32_MAX, INT32_MAX, 100};

    for (size_t i = 0; i < mf_countof(wrong); i++) {
        refuses_u32(NPU_BANKS, 0, wrong[i], "MEM_TOPOLOGY at");
        refuses_u32(NPU_UNITS, 0, wrong[i], "IP_LAYOUT at");
        refuses_u32(NPU_LINKS, 0, wrong[i], "CONNECTIVITY at");
    }
}

MF_TEST(npu_xclbin, refuses_connections_to_what_is_not_there)
{
    refuses_u32(NPU_LINKS, 4, 256, "argument 256");
    refuses_u32(NPU_LINKS, 4, UINT32_MAX, "argument -1");
    refuses_u32(NPU_LINKS, 4 + 12 + 4, 1, "unit 1");
    refuses_u32(NPU_LINKS, 4 + 12 + 8, 2, "bank 2: there are 1 units and 2 banks");
    refuses_u32(NPU_LINKS, 4 + 12 + 8, UINT32_MAX, "bank -1");
    refuses_u32(NPU_BANKS, 8, 2, "bank 0, which is not in use");
}

MF_TEST(npu_xclbin, refuses_names_that_do_not_end)
{
    struct fixture f = fixture_new(KERNEL);

    memset(f.file.p + f.x.at[NPU_BANKS] + 8 + 24, 'x', 16);
    is_refused(&f, "a memory bank does not end");
    mf_buf_fini(&f.file);
    f = fixture_new(KERNEL);
    memset(f.file.p + f.x.at[NPU_UNITS] + 8 + 16, 'x', 64);
    is_refused(&f, "a unit does not end");
    mf_buf_fini(&f.file);
}

MF_TEST(npu_xclbin, refuses_units_that_cannot_run_the_kernel)
{
    refuses_u32(NPU_UNITS, 8, 1, "no unit for the NPU");           /* no PS kernel */
    refuses_u32(NPU_UNITS, 12, 0x9010000, "no unit for the NPU");  /* no DPU */
    refuses_u32(NPU_UNITS, 24, 0x58585858, "no unit for the NPU"); /* its name */
    refuses_u32(NPU_UNITS, 32, 0x4d5f4d5f, "no unit for the NPU"); /* its end */
    refuses_u32(NPU_UNITS, 12, 1 | 0x902U << 16, "number is 0x902");
}

MF_TEST(npu_xclbin, refuses_lists_of_the_partition_that_leave_it)
{
    static const struct {
        size_t at;
        const char *part;
    } fields[] = {{40, "first columns"},   {120, "images"},
                  {200, "bytes of"},       {208, "groups"},
                  {296, "kernel numbers"}, {304, "groups before"}};

    for (size_t i = 0; i < mf_countof(fields); i++) {
        refuses_u32(NPU_PARTITION, fields[i].at, UINT32_MAX, fields[i].part);
        refuses_u32(NPU_PARTITION, fields[i].at + 4, UINT32_MAX, fields[i].part);
        refuses_u32(NPU_PARTITION, fields[i].at + 4, 416, fields[i].part);
    }
    refuses_u32(NPU_PARTITION, 4, 416, "the partition does not end");
    refuses_u32(NPU_PARTITION, 280, UINT32_MAX, "a group does not end");
    refuses_u32(NPU_PARTITION, 32, 0, "without columns");
    refuses_u32(NPU_PARTITION, 40, 0, "without columns");
    refuses_u32(NPU_PARTITION, 200, 0, "an image of 0 bytes");
    refuses_u32(NPU_PARTITION, 376, 0x777, "no image serves the kernel");
}

MF_TEST(npu_xclbin, refuses_a_partition_made_to_cost_time)
{
    struct fixture f = fixture_new(KERNEL);
    size_t at = f.x.at[NPU_PARTITION];

    const size_t more = (size_t)96 * 65;
    char *entry = f.file.p + 456 + (size_t)40 * NPU_PARTITION;

    /* A large section behind the others, which is nothing but images. */
    mf_put_u64(entry + 32, f.x.n[NPU_PARTITION] + more);
    for (size_t i = 0; i < more; i++) {
        mf_buf_add_char(&f.file, '\0');
    }
    mf_put_u64(f.file.p + 304, f.file.n);
    MF_CHECK_OK(check(&f));
    mf_put_u32(f.file.p + at + 120, 65);
    is_refused(&f, "65 images; 64 are the limit");
    mf_buf_fini(&f.file);
}

/* ---- its XML ---- */

#define ARG(id)                                                                        \
    "<arg id='" id "' name='x' offset='0x0' size='0x8' hostSize='8' "                  \
    "addressQualifier='1'/>"
#define ARGS5       ARG("0") ARG("1") ARG("2") ARG("3") ARG("4")
#define ARGS        ARGS5 ARG("5")
#define OPEN        "<project><platform><device><core>"
#define CLOSE       "</core></device></platform></project>"
#define K(name, in) "<kernel name='" name "'>" in "</kernel>"

static void xml(const char *text, const char *part)
{
    struct fixture f = {.x = {.kernel = KERNEL, .xml = text}};

    mf_buf_init(&f.file);
    npu_xclbin_make(&f.file, &f.x);
    if (part != NULL) {
        is_refused(&f, part);
        MF_CHECK(strstr(f.err.msg, "EMBEDDED_METADATA at 656") != NULL);
    } else if (check(&f) < 0) {
        fail_msg("refused: %s: %s", text, f.err.msg);
    }
    mf_buf_fini(&f.file);
}

MF_TEST(npu_xclbin, takes_xml_as_tools_write_it)
{
    xml(OPEN K(KERNEL, ARGS) CLOSE, NULL);
    xml("<?xml version='1.0'?>\n<!-- a <b> -- -->\n" OPEN K(KERNEL, ARGS) CLOSE "\n ",
        NULL);
    xml(OPEN "<kernel\tname = \"" KERNEL "\"\n>" ARGS "text &amp; &#65;&#x10ffff;"
             "<![CDATA[<&]]></kernel >" CLOSE,
        NULL);
    xml(OPEN "<a b='&lt;>'/><kernelClocks/>" K("other", "") K(KERNEL, ARGS) CLOSE,
        NULL);
    /* Called so, beside one that only begins so. */
    xml(OPEN K(KERNEL "_2", ARGS) K(KERNEL, ARGS) K(KERNEL "_3", ARGS) CLOSE, NULL);
}

MF_TEST(npu_xclbin, refuses_xml_that_is_not_nested_or_closed)
{
    xml("", "it holds no element");
    xml(" \n", "it holds no element");
    xml("text", "text outside of the root element");
    xml(OPEN, "it ends before all elements are closed");
    xml(OPEN "x", "it ends before all elements are closed");
    xml(OPEN "</device>", "not the innermost");
    xml(OPEN CLOSE "</project>", "not the innermost");
    xml(OPEN CLOSE "<project/>", "a second root element");
    xml(OPEN CLOSE "x", "text outside of the root element");
    xml("<project", "a blank, '>' or '/>' is expected");
    xml("<project /", "'>' is expected");
    xml("<project a", "'=' is expected");
    xml("<project a=", "a quote is expected");
    xml("<project a='b", "does not end");
    xml("<project a='<'/>", "'<' in an attribute's value");
    xml("<project a='b'c='d'/>", "a blank, '>' or '/>' is expected");
    xml("<project a='&x;'/>", "'&' begins no known character");
    xml("<project>&#0;</project>", "'&' begins no known character");
    xml("<project>&#1114112;</project>", "'&' begins no known character");
    xml("<project>&#99999999999999999999;</project>", "'&' begins no known");
    xml("<project>&#x;</project>", "'&' begins no known character");
    xml("< project/>", "the name of an element is expected");
    xml("<!DOCTYPE a><project/>", "'<!' begins something");
    xml("<!-- <project/>", "a comment does not end");
    xml("<?xml <project/>", "'?>' is missing");
    xml("<project><![CDATA[</project>", "']]>' is missing");
}

MF_TEST(npu_xclbin, refuses_xml_deeper_than_its_bound)
{
    char text[33 * 7 + 1] = "";

    for (size_t i = 0; i < 32; i++) {
        memcpy(text + strlen(text), "<a>", 4);
    }
    xml(text, "it ends before");
    memcpy(text + strlen(text), "<a>", 4);
    xml(text, "more than 32 elements");
}

MF_TEST(npu_xclbin, refuses_kernels_that_xrt_would_stumble_over)
{
    xml(OPEN CLOSE, "no kernel's name begins");
    xml("<project>" K(KERNEL, ARGS) "</project>", "no kernel's name begins");
    xml(OPEN "<kernel>" ARGS "</kernel>" CLOSE, "<kernel>: name");
    xml(OPEN K(KERNEL, ARGS5) CLOSE, "arguments 0 to 5 are needed");
    xml(OPEN K(KERNEL, "<x>" ARGS "</x>") CLOSE, "arguments 0 to 5 are needed");
    xml(OPEN K(KERNEL, ARGS "<arg/>") CLOSE, "<arg>: name is missing");
    xml(OPEN K(KERNEL, ARGS "<arg name='' id='6'/>") CLOSE, "<arg>: offset is missing");
    xml(OPEN K(KERNEL, ARGS ARG("x")) CLOSE, "<arg>: id is no number");
    xml(OPEN K(KERNEL, ARGS ARG("256")) CLOSE, "must be 0 to 255");
    xml(OPEN K(KERNEL, ARGS ARG("0x1ffffffff")) CLOSE, "id is no number");
    xml(OPEN K(KERNEL, ARGS "<port/>") CLOSE, "<port>: mode is missing");
    xml(OPEN K("other", "<extended-data/>") CLOSE, "functional is missing");
    xml(OPEN K(KERNEL "_1", ARGS) K(KERNEL "_2", ARGS) CLOSE, "2 kernels' names begin");
    xml(OPEN K(KERNEL, ARGS) K(KERNEL, ARGS) CLOSE, "<kernel>: name stands twice");
    xml(OPEN K(KERNEL, ARGS) "</core><core>" CLOSE, "<core>: the element stands twice");
}

/* Any byte of the file set to a few values: taken or refused, never more than that. */
MF_TEST(npu_xclbin, reads_nothing_outside_whatever_byte_is_wrong)
{
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
    struct fixture f = fixture_new(KERNEL);
    size_t n_refused = 0;

    for (size_t at = 0; at < f.file.n; at++) {
        char was = f.file.p[at];

        for (size_t i = 0; i < mf_countof(values); i++) {
            int rc;

            f.file.p[at] = (char)values[i];
            rc = check(&f);
            MF_CHECK(rc == 0 || (rc == MF_EINVAL && f.err.msg[0] != '\0'));
            n_refused += rc < 0;
        }
        f.file.p[at] = was;
    }
    MF_CHECK(n_refused > f.file.n);
    mf_buf_fini(&f.file);
}
