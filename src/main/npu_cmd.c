/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse npu: its words, and `manifest`. */
#include "main/commands.h"
#include "main/npu_commands.h"
#include "main/words.h"
#include "npu/manifest.h"

#include <stdio.h>

static const struct mf_command verbs[] = {
    {"manifest", "DIR",
     "writes DIR/" MF_NPU_MANIFEST
     " from the xclbin, the *.insts and shapes.json there",
     mf_cmd_npu_manifest},
    {"verify",
     "DIR [--model FOLDER] [--backend xrt|twin] [-c FILE] [--set section.key=value]...",
     "lets a device compute a model beside the CPU and prints one table of it",
     mf_cmd_npu_verify},
};

int mf_cmd_npu(int argc, char **argv)
{
    return mf_run_command("npu ", verbs, mf_countof(verbs), argc, argv);
}

static void print_manifest(const struct mf_npu_manifest *m)
{
    (void)printf("%s/" MF_NPU_MANIFEST ": %s%s, kernel %s, %zu shapes\n", m->dir,
                 m->generation, m->is_emulated ? " (emulated)" : "", m->kernel,
                 m->n_shapes);
    for (size_t i = 0; i < m->n_shapes; i++) {
        const struct mf_npu_gemm *g = &m->shapes[i].gemm;

        (void)printf("  m %-6u k %-6u n %-6u %s\n", g->m, g->k, g->n,
                     m->shapes[i].file);
    }
}

int mf_cmd_npu_manifest(int argc, char **argv)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};
    int rc;

    if (argc != 1 || argv[0][0] == '-') {
        (void)fprintf(stderr, "memfuse: npu manifest needs the folder of the artefacts "
                              "and nothing else\n");
        return MF_EXIT_USAGE;
    }
    rc = mf_npu_manifest_make(argv[0], &err);
    rc = rc < 0 ? rc : mf_npu_manifest_open(&m, argv[0], &err);
    if (rc < 0) {
        return mf_say_failed(&err, rc);
    }
    print_manifest(&m);
    mf_npu_manifest_fini(&m);
    return fflush(stdout) == 0 ? MF_EXIT_OK : MF_EXIT_FAILED;
}
