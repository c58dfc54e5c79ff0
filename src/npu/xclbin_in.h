/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xclbin_in: what the parts of the xclbin check share: a section's bytes, and sentences
 * that name it and the place. Offsets are read, never trusted. Internal.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  a section of MF_NPU_MAX_FILE bytes
 * Fails:   MF_EINVAL with section, offset and reason
 */
#ifndef MF_NPU_XCLBIN_IN_H
#define MF_NPU_XCLBIN_IN_H

#include "npu/xclbin.h"

struct mf_xclbin_section {
    const char *name; /* as xclbin.h calls it */
    uint32_t kind;
    const uint8_t *p;
    uint64_t at, n; /* in the file */
    struct mf_err *err;
};

/* MF_EINVAL with "xclbin, section NAME at AT + OFFSET: <sentence>". */
MF_ANY int mf_xclbin_refuse(const struct mf_xclbin_section *s, uint64_t offset,
                            const char *fmt, ...) MF_PRINTF(3, 4);
/* `count` things of `size` bytes from `offset` on lie in the section. */
MF_MUST MF_ANY int mf_xclbin_array(const struct mf_xclbin_section *s, const char *what,
                                   uint64_t offset, uint64_t count, uint64_t size);
/* A text of the section, ended by its NUL within `max` bytes and the section. */
MF_MUST MF_ANY int mf_xclbin_text(const struct mf_xclbin_section *s, const char *what,
                                  uint64_t offset, uint64_t max, struct mf_slice *out);

/* The kernel's name by the rule of xclbin.h; XML that XRT could stumble over is
 * refused. *name is in the section. */
MF_MUST MF_ANY int mf_xclbin_find_kernel(const struct mf_xclbin_section *xml,
                                         const char *kernel, struct mf_slice *name);
/* The partition's own tables, and that it serves the kernel of this number. */
MF_MUST MF_ANY int mf_xclbin_check_partition(const struct mf_xclbin_section *s,
                                             uint32_t kernel_id);

#endif
