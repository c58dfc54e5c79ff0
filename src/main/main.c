/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse: the command line. */
#include "main/commands.h"
#include "main/words.h"
#include "npu/remote.h"

#include <string.h>

static int run_help(int argc, char **argv);

static const struct mf_command commands[] = {
    {"serve", "[-c FILE] [--set section.key=value]...", "runs the service",
     mf_cmd_serve},
    {"import", "[-c FILE] [--set section.key=value]... [--skip-bad] FILE",
     "stores the messages of a file of JSON lines (-: the standard input)",
     mf_cmd_import},
    {"check-config", "[-c FILE] [--set section.key=value]...",
     "says what is wrong with a configuration", mf_cmd_check_config},
    {"print-config", "[-c FILE] [--set section.key=value]... [--docs | --sample]",
     "prints the settings in force; --docs: docs/config.md; --sample: memfuse.yaml",
     mf_cmd_print_config},
    {"model", "pull | list | info | verify ...",
     "fetches an embedding model, or tells about those here", mf_cmd_model},
    {"npu", "manifest | verify ...",
     "artefacts for an NPU, and whether it computes right", mf_cmd_npu},
    {"postgres", "index [-c FILE] [--set section.key=value]... [--drop]",
     "builds (or drops) the index over the vectors, for people who ask in SQL",
     mf_cmd_postgres},
    {"npu-worker", "", NULL, mf_npu_worker_main},
    {"doctor", "npu [-c FILE] [--set section.key=value]...",
     "why an NPU is not used, and what to do", mf_cmd_doctor},
    {"version", "", "prints the versions of memfuse and its libraries", mf_cmd_version},
    {"help", "", "prints this", run_help},
};

static int run_help(MF_UNUSED int argc, MF_UNUSED char **argv)
{
    mf_print_commands(stdout, "", commands, mf_countof(commands));
    return 0;
}

int main(int argc, char **argv)
{
    static char help[] = "help", version[] = "version";

    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        argv[1] = help;
    } else if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        argv[1] = version;
    }
    return mf_run_command("", commands, mf_countof(commands), argc - 1, argv + 1);
}
