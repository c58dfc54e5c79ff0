/* SPDX-License-Identifier: Apache-2.0 */
/* npu_artefacts DIR [tiled]: emulated artefacts of MiniLM's shapes with their manifest,
 * for tests of the whole program. */
#include "lib/npu_artefacts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    struct npu_artefacts a = npu_artefacts_minilm();
    struct mf_err err = {0};

    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "tiled") != 0)) {
        (void)fprintf(stderr, "usage: npu_artefacts DIR [tiled]\n");
        return 2;
    }
    a.layout = argc == 3 ? MF_NPU_LAYOUT_TILED_8X8 : MF_NPU_LAYOUT_PLAIN;
    if ((mkdir(argv[1], 0755) < 0 && errno != EEXIST) ||
        npu_artefacts_write(argv[1], &a) < 0) {
        perror(argv[1]);
        return 1;
    }
    if (mf_npu_manifest_make(argv[1], &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    return 0;
}
