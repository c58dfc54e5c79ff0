/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xclbin: is this file one that XRT may be given? XRT ends the process on some that are
 * damaged. Pure.
 *
 * Checked: magic, total length, section table and bounds, the five sections that both
 * generations of XRT need (EMBEDDED_METADATA 2, MEM_TOPOLOGY 6, CONNECTIVITY 7,
 * IP_LAYOUT 8, AIE_PARTITION 32), their counts against their sizes and what refers from
 * one to another, the XML's nesting, and that the kernel is among its names: the one
 * that is called so, or else the only one whose name begins so (compilers add to
 * MLIR_AIE). Source of the layout: xclbin.h of libxrt-dev.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  MF_NPU_MAX_FILE
 * Fails:   MF_EINVAL with what is wrong
 */
#ifndef MF_NPU_XCLBIN_H
#define MF_NPU_XCLBIN_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MF_XCLBIN_KERNEL_MAX 64

struct mf_xclbin_info {
    char uuid[33];                     /* hex */
    char kernel[MF_XCLBIN_KERNEL_MAX]; /* its whole name */
    size_t n_sections;
};

MF_MUST MF_ANY int mf_xclbin_check(struct mf_slice file, const char *kernel,
                                   struct mf_xclbin_info *info, struct mf_err *err);

#endif
