/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands: what the command line can do. argv is what follows the command's name.
 *
 * Owns:    nothing
 * Thread:  the main thread
 * Limits:  none
 * Fails:   the exit code: see enum mf_exit
 */
#ifndef MF_MAIN_COMMANDS_H
#define MF_MAIN_COMMANDS_H

#include "base/base.h"
#include "conf/conf.h"

enum mf_exit {
    MF_EXIT_OK = 0,
    MF_EXIT_FAILED = 1,  /* could not start: the sentence says why */
    MF_EXIT_USAGE = 2,   /* command line or configuration */
    MF_EXIT_JOURNAL = 74 /* the journal failed while running (EX_IOERR): start anew */
};

MF_ANY int mf_cmd_serve(int argc, char **argv);
MF_ANY int mf_cmd_import(int argc, char **argv);
MF_ANY int mf_cmd_check_config(int argc, char **argv);
MF_ANY int mf_cmd_print_config(int argc, char **argv);
MF_ANY int mf_cmd_model(int argc, char **argv);
MF_ANY int mf_cmd_npu(int argc, char **argv);
MF_ANY int mf_cmd_postgres(int argc, char **argv);
MF_ANY int mf_cmd_doctor(int argc, char **argv);
MF_ANY int mf_cmd_version(int argc, char **argv);

/* Reads -c FILE (default: ./memfuse.yaml when it is there), FILE.d/, the environment
 * and --set; all problems go to stderr. 0, or the exit code; mf_conf_fini follows in
 * both cases. `extra` (may be NULL) is called for a word this does not know: true when
 * it took it. */
MF_ANY int mf_load_conf(struct mf_conf *c, int argc, char **argv,
                        bool (*extra)(const char *word, void *arg), void *arg);

#endif
