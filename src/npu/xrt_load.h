/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xrt_load: finds the module for the XRT that is installed. memfuse itself links
 * nothing of XRT; DIR/npu-xrt-GENERATION.so does.
 *
 * XRT's C++ classes differ between its generations behind one library name: a module
 * that was built with 2.13 loads beside 2.25, opens the device and crashes. So the
 * library is asked for its version first (`xrt::version::code`; 2.13 has none), and
 * only the module of exactly that generation is opened; the module asks once more.
 *
 * Owns:    nothing: library and module stay loaded until the process ends, since XRT
 *          keeps threads and never expects to be unloaded
 * Thread:  before the process has others that use the environment: XRT_INI_PATH is set,
 *          so that no xrt.ini beside the program or in its folder changes anything
 * Limits:  none
 * Fails:   MF_ENOTFOUND: no library, no module for it; MF_EUNPROCESSABLE: they do not
 *          go together; each with a sentence that names file and remedy
 */
#ifndef MF_NPU_XRT_LOAD_H
#define MF_NPU_XRT_LOAD_H

#include "base/base.h"
#include "base/err.h"
#include "npu/npu.h"

/* Where modules were installed: ../lib/memfuse of this program, wherever it was moved
 * to with them; else the folder of the build's prefix. */
MF_ANY void mf_npu_xrt_folder(char *out, size_t cap);
/* `dir`: of the modules; NULL: where they were installed. */
MF_MUST MF_ANY int mf_npu_xrt_load(const char *dir, const struct mf_npu_backend **out,
                                   struct mf_err *err);

#endif
