/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse: the command line. */
#include "main/commands.h"
#include "npu/remote.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    const char *args;
    const char *what; /* NULL: not for people, not in the help */
    int (*run)(int argc, char **argv);
};

static int run_help(int argc, char **argv);

static const struct command commands[] = {
    {"serve", "[-c FILE] [--set section.key=value]...", "runs the service",
     mf_cmd_serve},
    {"check-config", "[-c FILE] [--set section.key=value]...",
     "says what is wrong with a configuration", mf_cmd_check_config},
    {"print-config", "[-c FILE] [--set section.key=value]... [--docs | --sample]",
     "prints the settings in force; --docs: docs/config.md; --sample: memfuse.yaml",
     mf_cmd_print_config},
    {"model", "pull | list | info | verify ...",
     "fetches an embedding model, or tells about those here", mf_cmd_model},
    {"npu", "manifest | verify ...",
     "artefacts for an NPU, and whether it computes right", mf_cmd_npu},
    {"npu-worker", "", NULL, mf_npu_worker_main},
    {"doctor", "npu [-c FILE] [--set section.key=value]...",
     "why an NPU is not used, and what to do", mf_cmd_doctor},
    {"version", "", "prints the versions of memfuse and its libraries", mf_cmd_version},
    {"help", "", "prints this", run_help},
};

static void print_help(FILE *to)
{
    (void)fprintf(to, "usage: memfuse COMMAND\n\n");
    for (size_t i = 0; i < mf_countof(commands); i++) {
        if (commands[i].what == NULL) {
            continue;
        }
        (void)fprintf(to, "  %s %s\n      %s\n", commands[i].name, commands[i].args,
                      commands[i].what);
    }
}

static int run_help(MF_UNUSED int argc, MF_UNUSED char **argv)
{
    print_help(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    for (size_t i = 0; i < mf_countof(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].run(argc - 2, argv + 2);
        }
    }
    if (argc > 1) {
        (void)fprintf(stderr, "memfuse: unknown command '%s'\n\n", name);
    }
    print_help(stderr);
    return MF_EXIT_USAGE;
}
