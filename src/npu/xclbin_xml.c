/* SPDX-License-Identifier: Apache-2.0 */
/* The EMBEDDED_METADATA section: XML whose kernels stand at
 * project/platform/device/core/kernel. XRT reads numbers out of attributes without
 * asking whether they are there; where that ends a process we look first. */
#include "npu/xclbin_in.h"
#include "npu/xml.h"

#include <string.h>

#define KERNEL_DEPTH 5U
#define N_ARGUMENTS  6U /* opcode, instructions, their number, a, b, c */
#define MAX_INDEX    255U

static const struct mf_slice path[KERNEL_DEPTH] = {
    MF_SLICE("project"), MF_SLICE("platform"), MF_SLICE("device"), MF_SLICE("core"),
    MF_SLICE("kernel")};

struct search {
    const struct mf_xclbin_section *s;
    struct mf_npu_xml xml;
    struct mf_slice wanted;
    struct mf_slice name;        /* of the kernel we are in */
    uint32_t arguments;          /* of that kernel: 1 << id */
    bool seen[KERNEL_DEPTH - 1]; /* elements of the path */
    bool is_exact;               /* the one found is called as wanted */
    size_t n_found;              /* that begin as wanted */
    struct mf_slice found;
};

struct needed {
    const char *element, *attribute;
    bool is_number;
};

static const struct needed needed[] = {
    {"arg", "name", false},
    {"arg", "id", true},
    {"arg", "offset", true},
    {"arg", "size", true},
    {"arg", "hostSize", true},
    {"arg", "addressQualifier", true},
    {"extended-data", "functional", true},
    {"extended-data", "dpu_kernel_id", true},
    {"port", "mode", false},
};

/* Decimal, or hexadecimal behind 0x, as strtoul takes them: at most 32 bits. */
static bool to_number(struct mf_slice s, uint32_t *out)
{
    bool is_hex = s.n > 2 && s.p[0] == '0' && (s.p[1] | 32) == 'x';
    uint64_t v = 0;

    if (!is_hex) {
        if (mf_slice_to_u64(s, &v) < 0 || v > UINT32_MAX) {
            return false;
        }
        *out = (uint32_t)v;
        return true;
    }
    for (size_t i = 2; i < s.n; i++) {
        unsigned char c = (unsigned char)(s.p[i] | 32);
        bool is_digit = s.p[i] >= '0' && s.p[i] <= '9';

        if ((!is_digit && (c < 'a' || c > 'f')) || v > UINT32_MAX >> 4) {
            return false;
        }
        v = v << 4 | (is_digit ? (uint64_t)(s.p[i] - '0') : (uint64_t)(c - 'a' + 10));
    }
    *out = (uint32_t)v;
    return true;
}

static int refuse(const struct search *f, const char *element, const char *attribute,
                  const char *what)
{
    return mf_xclbin_refuse(f->s, f->xml.at, "its XML: <%s>: %s %s", element, attribute,
                            what);
}

static int check_needed(const struct search *f, const struct mf_npu_xml_tag *tag)
{
    for (size_t i = 0; i < mf_countof(needed); i++) {
        const struct needed *w = &needed[i];
        struct mf_slice value;
        uint32_t number;

        if (!mf_slice_is(tag->name, w->element)) {
            continue;
        }
        if (!mf_npu_xml_attribute(tag, w->attribute, &value)) {
            return refuse(f, w->element, w->attribute, "is missing");
        }
        if (w->is_number && !to_number(value, &number)) {
            return refuse(f, w->element, w->attribute, "is no number");
        }
    }
    return 0;
}

static int take_argument(struct search *f, const struct mf_npu_xml_tag *tag)
{
    struct mf_slice value;
    uint32_t id = 0;

    if (!mf_npu_xml_attribute(tag, "id", &value) || !to_number(value, &id) ||
        id > MAX_INDEX) {
        return refuse(f, "arg", "id", "must be 0 to 255");
    }
    if (id < N_ARGUMENTS) {
        f->arguments |= 1U << id;
    }
    return 0;
}

/* How much of the path the open elements are; 0: they have left it. */
static size_t on_path(const struct mf_npu_xml *x)
{
    for (size_t i = 0; i < x->depth && i < KERNEL_DEPTH; i++) {
        if (!mf_slice_eq(x->stack[i], path[i])) {
            return 0;
        }
    }
    return x->depth;
}

static int on_open(struct search *f, const struct mf_npu_xml_tag *tag)
{
    size_t depth = on_path(&f->xml);
    int rc;

    if (depth == 0 || depth > KERNEL_DEPTH + 1) {
        return 0;
    }
    if (depth < KERNEL_DEPTH) {
        /* XRT looks into the first only. */
        if (f->seen[depth - 1]) {
            return refuse(f, path[depth - 1].p, "the element", "stands twice");
        }
        f->seen[depth - 1] = true;
        return 0;
    }
    if (depth == KERNEL_DEPTH) {
        f->arguments = 0;
        return mf_npu_xml_attribute(tag, "name", &f->name) && f->name.n > 0 &&
                       f->name.n < MF_XCLBIN_KERNEL_MAX
                   ? 0
                   : refuse(f, "kernel", "name", "must have 1 to 63 bytes");
    }
    rc = check_needed(f, tag);
    return rc == 0 && mf_slice_is(tag->name, "arg") ? take_argument(f, tag) : rc;
}

/* A kernel is over: is it ours? Before its name leaves the stack: depth is one less. */
static int on_close(struct search *f, const struct mf_npu_xml_tag *tag)
{
    bool is_kernel = f->xml.depth == KERNEL_DEPTH - 1 && on_path(&f->xml) > 0 &&
                     mf_slice_is(tag->name, "kernel");
    bool is_exact = is_kernel && mf_slice_eq(f->name, f->wanted);

    if (!is_kernel || f->name.n < f->wanted.n ||
        memcmp(f->name.p, f->wanted.p, f->wanted.n) != 0) {
        return 0;
    }
    if (is_exact && f->is_exact) {
        return refuse(f, "kernel", "name", "stands twice");
    }
    if (f->arguments != (1U << N_ARGUMENTS) - 1) {
        return refuse(f, "kernel", "arguments 0 to 5", "are needed");
    }
    f->n_found++;
    if (!f->is_exact) {
        f->found = f->name;
        f->is_exact = is_exact;
    }
    return 0;
}

int mf_xclbin_find_kernel(const struct mf_xclbin_section *xml, const char *kernel,
                          struct mf_slice *name)
{
    struct search f = {.s = xml, .wanted = mf_slice_str(kernel)};
    struct mf_npu_xml_tag tag;
    int rc;

    mf_npu_xml_init(&f.xml, mf_slice_of((const char *)xml->p, xml->n), xml->err);
    do {
        rc = mf_npu_xml_next(&f.xml, &tag);
        if (rc < 0) {
            return mf_err_wrap(xml->err, rc, "xclbin, section %s at %llu", xml->name,
                               (unsigned long long)xml->at);
        }
        if (tag.kind == MF_NPU_XML_OPEN) {
            rc = on_open(&f, &tag);
        } else if (tag.kind == MF_NPU_XML_CLOSE) {
            rc = on_close(&f, &tag);
        }
    } while (rc == 0 && tag.kind != MF_NPU_XML_END);
    if (rc < 0) {
        return rc;
    }
    if (f.n_found == 0) {
        return mf_xclbin_refuse(xml, 0, "no kernel's name begins with '%s'", kernel);
    }
    if (f.n_found > 1 && !f.is_exact) {
        return mf_xclbin_refuse(xml, 0, "%zu kernels' names begin with '%s'", f.n_found,
                                kernel);
    }
    *name = f.found;
    return 0;
}
