/* SPDX-License-Identifier: Apache-2.0 */
/* The AIE_PARTITION section: columns, images, groups; lists in it are (u32 how many,
 * u32 where in the section). */
#include "npu/xclbin_in.h"

#include <inttypes.h>
#include <string.h>

#define PARTITION    184U
#define AT_NAME      4U   /* u32: where its name is */
#define AT_WIDTH     32U  /* u16: columns */
#define AT_COLUMNS   40U  /* list of u16: where it may begin */
#define AT_IMAGES    120U /* list of images */
#define IMAGE        96U
#define IMAGE_BYTES  16U /* list of u8; before it: a uuid */
#define IMAGE_GROUPS 24U /* list of groups */
#define IMAGE_MAX    (128UL * 1024 * 1024)
#define GROUP        96U
#define GROUP_NAME   0U  /* u32: where its name is */
#define GROUP_IDS    16U /* list of u64: the kernels it serves */
#define GROUP_BEFORE 24U /* list of u32: groups that go first */
#define TEXT_MAX     4096U

/* Lists may lie over one another: what is walked stays small all the same. */
#define MAX_IMAGES 64U
#define MAX_GROUPS 64U
#define MAX_IDS    256U

struct list {
    uint64_t n, at;
};

static int take_list(const struct mf_xclbin_section *s, const char *what, uint64_t at,
                     uint64_t size, struct list *out)
{
    out->n = mf_get_u32(s->p + at);
    out->at = mf_get_u32(s->p + at + 4);
    return mf_xclbin_array(s, what, out->at, out->n, size);
}

/* The same, of a number of things that somebody could make on purpose to cost time. */
static int take_few(const struct mf_xclbin_section *s, const char *what, uint64_t at,
                    uint64_t size, uint64_t max, struct list *out)
{
    int rc = take_list(s, what, at, size, out);

    if (rc == 0 && out->n > max) {
        return mf_xclbin_refuse(s, at, "%" PRIu64 " %s; %" PRIu64 " are the limit",
                                out->n, what, max);
    }
    return rc;
}

static int check_group(const struct mf_xclbin_section *s, uint64_t at,
                       uint32_t kernel_id, bool *is_served)
{
    struct list ids = {0}, before;
    struct mf_slice name;
    int rc = mf_xclbin_text(s, "a group", mf_get_u32(s->p + at + GROUP_NAME), TEXT_MAX,
                            &name);

    rc = rc < 0 ? rc : take_few(s, "kernel numbers", at + GROUP_IDS, 8, MAX_IDS, &ids);
    rc = rc < 0 ? rc : take_list(s, "groups before", at + GROUP_BEFORE, 4, &before);
    for (uint64_t i = 0; rc == 0 && i < ids.n; i++) {
        *is_served |= mf_get_u64(s->p + ids.at + 8 * i) == kernel_id;
    }
    return rc;
}

static int check_image(const struct mf_xclbin_section *s, uint64_t at,
                       uint32_t kernel_id, bool *is_served)
{
    struct list bytes, groups = {0};
    int rc = take_list(s, "bytes of an image", at + IMAGE_BYTES, 1, &bytes);

    if (rc == 0 && (bytes.n == 0 || bytes.n > IMAGE_MAX)) {
        return mf_xclbin_refuse(s, at, "an image of %" PRIu64 " bytes; 1 to %lu may be",
                                bytes.n, IMAGE_MAX);
    }
    rc = rc < 0 ? rc
                : take_few(s, "groups", at + IMAGE_GROUPS, GROUP, MAX_GROUPS, &groups);
    for (uint64_t i = 0; rc == 0 && i < groups.n; i++) {
        rc = check_group(s, groups.at + i * GROUP, kernel_id, is_served);
    }
    return rc;
}

int mf_xclbin_check_partition(const struct mf_xclbin_section *s, uint32_t kernel_id)
{
    struct list columns, images = {0};
    struct mf_slice name;
    bool is_served = false;
    int rc = mf_xclbin_array(s, "header", 0, 1, PARTITION);

    rc = rc < 0 ? rc
                : mf_xclbin_text(s, "the partition", mf_get_u32(s->p + AT_NAME),
                                 TEXT_MAX, &name);
    rc = rc < 0 ? rc : take_list(s, "first columns", AT_COLUMNS, 2, &columns);
    if (rc == 0 && (mf_get_u16(s->p + AT_WIDTH) == 0 || columns.n == 0)) {
        return mf_xclbin_refuse(s, AT_WIDTH, "a partition without columns");
    }
    rc = rc < 0 ? rc : take_few(s, "images", AT_IMAGES, IMAGE, MAX_IMAGES, &images);
    for (uint64_t i = 0; rc == 0 && i < images.n; i++) {
        rc = check_image(s, images.at + i * IMAGE, kernel_id, &is_served);
    }
    if (rc == 0 && !is_served) {
        return mf_xclbin_refuse(s, AT_IMAGES,
                                "no image serves the kernel, whose number is 0x%x",
                                kernel_id);
    }
    return rc;
}
