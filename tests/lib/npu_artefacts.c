/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/npu_artefacts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* ---- shapes ---- */

#define SHAPE(m_, k_, n_, epi_)                                                        \
    {                                                                                  \
        .m = (m_), .k = (k_), .n = (n_), .a = MF_NPU_BF16, .b = MF_NPU_BF16,           \
        .c = MF_NPU_F32, .epi = (epi_)                                                 \
    }
#define LAYER(m)                                                                       \
    SHAPE(m, 512, 1152, MF_NPU_EPI_NONE), SHAPE(m, 512, 384, MF_NPU_EPI_NONE),         \
        SHAPE(m, 512, 1536, MF_NPU_EPI_GELU), SHAPE(m, 1536, 384, MF_NPU_EPI_NONE)

struct npu_artefacts npu_artefacts_minilm(void)
{
    static const struct mf_npu_gemm shapes[] = {LAYER(256), LAYER(512)};

    return (struct npu_artefacts){.layout = MF_NPU_LAYOUT_PLAIN,
                                  .m_mult = 256,
                                  .k_mult = 512,
                                  .n_mult = 64,
                                  .shapes = shapes,
                                  .n_shapes = mf_countof(shapes),
                                  .kernel = NPU_ARTEFACTS_KERNEL};
}

struct npu_artefacts npu_artefacts_small(void)
{
    static const struct mf_npu_gemm shapes[] = {
        SHAPE(64, 128, 192, MF_NPU_EPI_NONE), SHAPE(64, 128, 64, MF_NPU_EPI_NONE),
        SHAPE(64, 128, 128, MF_NPU_EPI_GELU), SHAPE(128, 128, 192, MF_NPU_EPI_NONE),
        SHAPE(128, 128, 64, MF_NPU_EPI_NONE), SHAPE(128, 128, 128, MF_NPU_EPI_GELU)};

    return (struct npu_artefacts){.layout = MF_NPU_LAYOUT_TILED_8X8,
                                  .m_mult = 64,
                                  .k_mult = 128,
                                  .n_mult = 64,
                                  .shapes = shapes,
                                  .n_shapes = mf_countof(shapes),
                                  .kernel = NPU_ARTEFACTS_KERNEL};
}

/* ---- xclbin ---- */

#define HEAD      456U
#define ENTRY     40U
#define KERNEL_ID 0x901U

static const uint32_t kinds[NPU_SECTIONS] = {2, 6, 8, 7, 32};

static void zeros(struct mf_buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mf_buf_add_char(b, '\0');
    }
}

static void u16(struct mf_buf *b, uint16_t v)
{
    mf_buf_add(b, &v, sizeof(v));
}

static void u32(struct mf_buf *b, uint32_t v)
{
    mf_buf_add(b, &v, sizeof(v));
}

static void u64(struct mf_buf *b, uint64_t v)
{
    mf_buf_add(b, &v, sizeof(v));
}

static void text(struct mf_buf *b, const char *s, size_t field)
{
    mf_buf_add_str(b, s);
    zeros(b, field - strlen(s));
}

static void put_xml(struct mf_buf *b, const struct npu_xclbin *x)
{
    static const struct {
        const char *name, *type;
        unsigned is_memory, size, at;
    } arguments[] = {
        {"opcode", "uint64_t", 0, 8, 0x00}, {"instr", "char *", 1, 8, 0x08},
        {"ninstr", "uint32_t", 0, 4, 0x10}, {"bo0", "void*", 1, 8, 0x14},
        {"bo1", "void*", 1, 8, 0x1c},       {"bo2", "void*", 1, 8, 0x24},
    };

    if (x->xml != NULL) {
        mf_buf_add_str(b, x->xml);
        return;
    }
    mf_buf_addf(b,
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
                "<!-- emulated -->\n"
                "<project name=\"emulated\">\n<platform vendor=\"memfuse\" "
                "boardid=\"emulated\" name=\"emulated\" featureRomTime=\"0\">\n"
                "<device name=\"npu\">\n<core name=\"OCL_REGION_0\" "
                "target=\"hw\">\n<kernel name=\"%s\" language=\"c\" type=\"dpu\">\n"
                "<extended-data subtype=\"1\" functional=\"0\" "
                "dpu_kernel_id=\"0x%x\"/>\n",
                x->kernel, KERNEL_ID);
    for (unsigned i = 0; i < mf_countof(arguments); i++) {
        mf_buf_addf(b,
                    "<arg name=\"%s\" addressQualifier=\"%u\" id=\"%u\" size=\"0x%x\" "
                    "offset=\"0x%02x\" hostOffset=\"0x0\" hostSize=\"0x%x\" "
                    "type=\"%s\"/>\n",
                    arguments[i].name, arguments[i].is_memory, i, arguments[i].size,
                    arguments[i].at, arguments[i].size, arguments[i].type);
    }
    mf_buf_add_str(b, "<instance name=\"MLIRAIE\"/>\n</kernel>\n</core>\n</device>\n"
                      "</platform>\n</project>\n");
}

static void put_banks(struct mf_buf *b)
{
    static const struct {
        const char *name;
        uint64_t kib;
    } banks[] = {{"HOST", 0x10000}, {"SRAM", 0xc000}};

    u64(b, mf_countof(banks));
    for (size_t i = 0; i < mf_countof(banks); i++) {
        u64(b, 2 | 1 << 8); /* MEM_DRAM, in use */
        u64(b, banks[i].kib);
        u64(b, 0x4000000);
        text(b, banks[i].name, 16);
    }
}

static void put_units(struct mf_buf *b, const char *kernel)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "%s:MLIRAIE", kernel);
    u64(b, 1);
    u32(b, 7);                   /* IP_PS_KERNEL */
    u32(b, 1 | KERNEL_ID << 16); /* a DPU */
    u64(b, UINT64_MAX);
    text(b, name, 64);
}

/* The instructions live in SRAM, the matrices on the host. */
static void put_links(struct mf_buf *b)
{
    u32(b, 4);
    for (uint32_t argument = 1; argument <= 5; argument++) {
        if (argument != 2) {
            u32(b, argument);
            u32(b, 0);
            u32(b, argument == 1);
        }
    }
}

/* Header 0, image 184, group 280, number 376, columns 384, before 388, name 392, bytes
 * 400. */
static void put_partition(struct mf_buf *b)
{
    u32(b, 0);
    u32(b, 392);
    zeros(b, 24);
    u16(b, 8); /* columns */
    zeros(b, 6);
    u32(b, 1);
    u32(b, 384);
    zeros(b, 72);
    u32(b, 1);
    u32(b, 184);
    zeros(b, 56);
    text(b, "memfuse emulated", 16); /* image: its uuid */
    u32(b, 16);
    u32(b, 400);
    u32(b, 1);
    u32(b, 280);
    zeros(b, 64);
    u32(b, 392); /* group */
    u32(b, 1);
    u64(b, 1);
    u32(b, 1);
    u32(b, 376);
    u32(b, 1);
    u32(b, 388);
    zeros(b, 64);
    u64(b, KERNEL_ID);
    u32(b, 0); /* the first column */
    u32(b, 0xc1);
    text(b, "DPU", 8);
    text(b, "emulated image", 16);
}

static void put_section(struct mf_buf *b, enum npu_section s,
                        const struct npu_xclbin *x)
{
    switch (s) {
    case NPU_XML: put_xml(b, x); break;
    case NPU_BANKS: put_banks(b); break;
    case NPU_UNITS: put_units(b, x->kernel); break;
    case NPU_LINKS: put_links(b); break;
    case NPU_PARTITION: put_partition(b); break;
    case NPU_SECTIONS: break;
    }
}

static void put_head(struct mf_buf *b, uint64_t length, uint32_t n_sections)
{
    static const char ones[32] = {[0 ... 31] = '\xff'};

    text(b, "xclbin2", 8);
    mf_buf_add(b, ones, sizeof(ones)); /* no signature */
    zeros(b, 256);
    u64(b, 1);
    u64(b, length);
    u64(b, 1); /* made when, platform when */
    u64(b, 0);
    u64(b, 2 << 16 | 13 << 24); /* versions; flat, no actions */
    zeros(b, 16);
    text(b, "emulated", 64);
    text(b, "memfuse npuemu1", 16); /* uuid */
    zeros(b, 16);
    u32(b, n_sections);
    u32(b, 0);
}

void npu_xclbin_make(struct mf_buf *out, struct npu_xclbin *x)
{
    uint32_t n = NPU_SECTIONS - (uint32_t)__builtin_popcount(x->left_out);
    struct mf_buf body, table;

    mf_buf_init(&body);
    mf_buf_init(&table);
    for (int s = 0; s < NPU_SECTIONS; s++) {
        x->at[s] = HEAD + n * ENTRY + body.n;
        x->n[s] = 0;
        if ((x->left_out & 1U << s) == 0) {
            put_section(&body, (enum npu_section)s, x);
            x->n[s] = HEAD + n * ENTRY + body.n - x->at[s];
            zeros(&body, -body.n % 8);
            u32(&table, kinds[s]);
            zeros(&table, 20);
            u64(&table, x->at[s]);
            u64(&table, x->n[s]);
        }
    }
    put_head(out, HEAD + n * ENTRY + body.n, n);
    mf_buf_add(out, table.p, table.n);
    mf_buf_add(out, body.p, body.n);
    mf_buf_fini(&body);
    mf_buf_fini(&table);
}

/* ---- the folder ---- */

static int put_file(int dir, const char *name, const struct mf_buf *b)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t n = fd < 0 ? -1 : write(fd, b->p, b->n);

    if (fd >= 0 && close(fd) < 0) {
        n = -1;
    }
    return n == (ssize_t)b->n && !b->failed ? 0 : -1;
}

void npu_instructions_name(const struct mf_npu_gemm *g, char *out, size_t cap)
{
    static const char *const types[] = {"f32", "bf16", "i8"};

    (void)snprintf(out, cap, "gemm_%u_%u_%u_%s_%s_%s_%s.insts", g->m, g->k, g->n,
                   types[g->a], types[g->b], types[g->c],
                   g->epi == MF_NPU_EPI_GELU ? "gelu" : "none");
}

static int put_instructions(int dir, const struct npu_artefacts *a)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a->n_shapes; i++) {
        const struct mf_npu_gemm *g = &a->shapes[i];
        const uint32_t words[MF_NPU_EMULATED_WORDS] = {
            MF_NPU_EMULATED_MAGIC, g->m, g->k, g->n, g->epi, a->layout};
        struct mf_buf b;
        char name[96];

        npu_instructions_name(g, name, sizeof(name));
        mf_buf_init(&b);
        mf_buf_add(&b, words, sizeof(words));
        rc = put_file(dir, name, &b);
        mf_buf_fini(&b);
    }
    return rc;
}

static int put_xclbin(int dir, const struct npu_artefacts *a)
{
    struct npu_xclbin x = {.kernel = a->kernel};
    struct mf_buf b;
    int rc;

    mf_buf_init(&b);
    npu_xclbin_make(&b, &x);
    rc = put_file(dir, NPU_ARTEFACTS_XCLBIN, &b);
    mf_buf_fini(&b);
    return rc;
}

static int put_shapes_json(int dir, const struct npu_artefacts *a)
{
    struct mf_buf b;
    int rc;

    mf_buf_init(&b);
    mf_buf_addf(&b,
                "{\"format\": 1, \"generation\": \"npu4\", \"layout\": \"%s\", "
                "\"rounding\": \"even\", \"kernel\": \"" NPU_ARTEFACTS_KERNEL "\", "
                "\"m_mult\": %u, \"k_mult\": %u, \"n_mult\": %u, "
                "\"tools\": {\"made by\": \"tests/lib/npu_artefacts.c\"}, "
                "\"emulated\": true}\n",
                a->layout == MF_NPU_LAYOUT_PLAIN ? "plain" : "tiled-8x8", a->m_mult,
                a->k_mult, a->n_mult);
    rc = put_file(dir, "shapes.json", &b);
    mf_buf_fini(&b);
    return rc;
}

int npu_artefacts_write(const char *dir, const struct npu_artefacts *a)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : put_xclbin(fd, a);

    rc = rc < 0 ? rc : put_instructions(fd, a);
    rc = rc < 0 ? rc : put_shapes_json(fd, a);
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}
