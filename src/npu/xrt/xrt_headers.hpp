// SPDX-License-Identifier: Apache-2.0
// XRT's headers where each of its generations keeps them. From 2.15 on there are
// hardware contexts; from 2.17 on the library tells its version.
#ifndef MF_NPU_XRT_HEADERS_HPP
#define MF_NPU_XRT_HEADERS_HPP

#if __has_include(<xrt/xrt_hw_context.h>)
#    include <xrt/xrt_hw_context.h>
#    define MF_XRT_HAS_CONTEXT 1
#else
#    define MF_XRT_HAS_CONTEXT 0
#endif
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_kernel.h>
#if __has_include(<xrt/experimental/xrt_xclbin.h>)
#    include <xrt/experimental/xrt_ini.h>
#    include <xrt/experimental/xrt_xclbin.h>
#else
#    include <experimental/xrt_ini.h>
#    include <experimental/xrt_xclbin.h>
#endif
#if __has_include(<xrt/experimental/xrt_version.h>)
#    include <xrt/experimental/xrt_version.h>
#    define MF_XRT_HAS_VERSION 1
#else
#    define MF_XRT_HAS_VERSION 0
#endif

#endif
