/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse doctor npu: why an NPU is not used, or that it could be. */
#include "main/npu_doctor.h"
#include "main/commands.h"
#include "npu/remote.h"
#include "npu/xrt_load.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* XRT's own words come from the helper process: XRT may end the one that loads it. */
static void ask_xrt(struct mf_doctor *d)
{
    static const struct mf_npu_remote_conf remote = {.inner = "xrt"};
    const struct mf_npu_backend *backend = mf_npu_remote(&remote);
    struct mf_npu_conf conf = {.dir = d->paths.artefacts, .module = d->paths.modules};
    struct mf_npu_caps caps = {0};
    struct mf_npu_err err = {0};
    int rc;

    if (!d->has_module) {
        mf_doctor_say(d, MF_DOCTOR_UNKNOWN, "answer",
                      "XRT was not asked: there is no module to ask it with");
        return;
    }
    rc = backend->probe(&conf, &caps, &err);
    if (rc < 0) {
        mf_doctor_say(d, MF_DOCTOR_BAD, "answer", "XRT says: %s",
                      err.text[0] != '\0' ? err.text : mf_code_sentence(rc));
    } else if (caps.simulated) {
        mf_doctor_say(d, MF_DOCTOR_BAD, "answer",
                      "XRT offers %s, which is SIMULATED: no hardware computes",
                      caps.device);
    } else {
        mf_doctor_say(d, MF_DOCTOR_OK, "answer", "XRT offers %s (XRT %s, driver %s)",
                      caps.device, caps.runtime, caps.driver);
    }
}

static void say_end(struct mf_doctor *d)
{
    mf_buf_addf(&d->out, "\n%s\n",
                d->n_bad == 0
                    ? "Nothing speaks against using the NPU. `memfuse npu verify DIR` "
                      "tells whether it computes right, and how fast."
                    : "What is `bad` keeps the NPU from being used, what is `?` may; "
                      "memfuse computes on the CPU meanwhile.");
    mf_buf_add_str(
        &d->out,
        "For a report attach: this text, the table of `memfuse npu verify DIR`, "
        "`memfuse version`,\n`xrt-smi examine`, `xrt-smi validate`, "
        "`sudo dmesg | grep -i amdxdna`.\n");
}

static int examine(const struct mf_doctor_paths *paths)
{
    struct mf_doctor d;
    int rc;

    mf_doctor_init(&d, paths);
    mf_doctor_system(&d);
    mf_doctor_xrt(&d);
    ask_xrt(&d);
    mf_doctor_artefacts(&d);
    say_end(&d);
    rc = mf_buf_status(&d.out);
    if (rc == 0 &&
        (fwrite(d.out.p, 1, d.out.n, stdout) != d.out.n || fflush(stdout) != 0)) {
        rc = MF_EIO;
    }
    rc = rc == 0 && d.n_bad == 0 ? MF_EXIT_OK : MF_EXIT_FAILED;
    mf_doctor_fini(&d);
    return rc;
}

int mf_cmd_doctor(int argc, char **argv)
{
    struct mf_conf conf;
    int rc;

    if (argc < 1 || strcmp(argv[0], "npu") != 0) {
        (void)fprintf(stderr, "usage: memfuse doctor npu [-c FILE] [--set "
                              "section.key=value]...\n");
        return MF_EXIT_USAGE;
    }
    rc = mf_load_conf(&conf, argc - 1, argv + 1, NULL, NULL);
    if (rc == 0) {
        char installed[PATH_MAX];
        struct mf_doctor_paths paths = {
            .root = "",
            .libraries = getenv("LD_LIBRARY_PATH"),
            .modules =
                conf.embed_npu_module[0] != '\0' ? conf.embed_npu_module : installed,
            .artefacts = conf.embed_npu_dir,
        };

        mf_npu_xrt_folder(installed, sizeof(installed));
        rc = examine(&paths);
    }
    mf_conf_fini(&conf);
    return rc;
}
