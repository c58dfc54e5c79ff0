/* SPDX-License-Identifier: Apache-2.0 */
/* npu_artefacts DIR [tiled | small]: emulated artefacts of MiniLM's shapes, or of a
 * small model's, with their manifest, for tests of the whole program. */
#include "lib/npu_artefacts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    const char *which = argc == 3 ? argv[2] : "";
    bool is_small = strcmp(which, "small") == 0;
    struct npu_artefacts a = is_small ? npu_artefacts_small() : npu_artefacts_minilm();
    struct mf_err err = {0};

    if (argc < 2 || argc > 3 ||
        (argc == 3 && !is_small && strcmp(which, "tiled") != 0)) {
        (void)fprintf(stderr, "usage: npu_artefacts DIR [tiled | small]\n");
        return 2;
    }
    if (strcmp(which, "tiled") == 0) {
        a.layout = MF_NPU_LAYOUT_TILED_8X8;
    }
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
