/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_commands: memfuse model pull, list, info, verify. argv is what follows the
 * word.
 *
 * Owns:    nothing
 * Thread:  the main thread
 * Limits:  none
 * Fails:   the exit code: see enum mf_exit
 */
#ifndef MF_MAIN_MODEL_COMMANDS_H
#define MF_MAIN_MODEL_COMMANDS_H

#include "base/base.h"

MF_ANY int mf_cmd_model_pull(int argc, char **argv);
MF_ANY int mf_cmd_model_list(int argc, char **argv);
MF_ANY int mf_cmd_model_info(int argc, char **argv);
MF_ANY int mf_cmd_model_verify(int argc, char **argv);

#endif
