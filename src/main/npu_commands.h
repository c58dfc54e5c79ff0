/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npu_commands: memfuse npu manifest, verify. argv is what follows the word.
 *
 * Owns:    nothing
 * Thread:  the main thread
 * Limits:  none
 * Fails:   the exit code: see enum mf_exit
 */
#ifndef MF_MAIN_NPU_COMMANDS_H
#define MF_MAIN_NPU_COMMANDS_H

#include "base/base.h"

MF_ANY int mf_cmd_npu_manifest(int argc, char **argv);
MF_ANY int mf_cmd_npu_verify(int argc, char **argv);

#endif
