/* SPDX-License-Identifier: Apache-2.0 */
/* XRT as files, our modules for it, and the artefacts. */
#include "main/npu_doctor.h"
#include "npu/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libxrt_coreutil.so.2"
#define PLUGIN  "libxrt_driver_xdna.so.2"
#define PREFIX  "npu-xrt-"
#define SUFFIX  ".so"

/* Where the loader looks, and where AMD's own packages put it. */
static const char *const folders[] = {"/usr/local/lib",
                                      "/usr/lib/x86_64-linux-gnu",
                                      "/lib/x86_64-linux-gnu",
                                      "/usr/lib64",
                                      "/usr/lib",
                                      "/opt/xilinx/xrt/lib"};

/* "libxrt_coreutil.so.2.25.00", where the name leads in the end: "2.25". */
static bool read_generation(const char *path, char *out, size_t n)
{
    char real[PATH_MAX];
    const char *version;
    unsigned major, minor;

    if (realpath(path, real) == NULL) {
        return false;
    }
    version = strstr(real, ".so.");
    if (version == NULL || !mf_doctor_version(version + 4, &major, &minor)) {
        return false;
    }
    (void)snprintf(out, n, "%u.%u", major, minor);
    return true;
}

static bool is_in(const char *root, struct mf_slice folder, char *path, size_t n)
{
    if (folder.n == 0) {
        return false;
    }
    (void)snprintf(path, n, "%s%.*s/" LIBRARY, root, (int)folder.n, folder.p);
    return access(path, R_OK) == 0;
}

static bool find_library(const struct mf_doctor *d, char *path, size_t n)
{
    struct mf_slice rest = mf_slice_str(d->paths.libraries);

    while (rest.n > 0) {
        const char *colon = memchr(rest.p, ':', rest.n);
        size_t len = colon == NULL ? rest.n : (size_t)(colon - rest.p);

        if (is_in("", mf_slice_of(rest.p, len), path, n)) {
            return true;
        }
        rest = colon == NULL ? mf_slice_of(NULL, 0)
                             : mf_slice_of(colon + 1, rest.n - len - 1);
    }
    for (size_t i = 0; i < mf_countof(folders); i++) {
        if (is_in(d->paths.root, mf_slice_str(folders[i]), path, n)) {
            return true;
        }
    }
    return false;
}

static void look_at_plugin(struct mf_doctor *d, const char *library)
{
    char path[MF_DOCTOR_PATH];
    const char *end = strrchr(library, '/');

    (void)snprintf(path, sizeof(path), "%.*s/" PLUGIN, (int)(end - library), library);
    if (access(path, R_OK) == 0) {
        mf_doctor_say(d, MF_DOCTOR_OK, "plugin", "%s", path);
    } else {
        mf_doctor_say(d, MF_DOCTOR_BAD, "plugin",
                      "there is no " PLUGIN
                      " beside the library: install libxrt-npu2 of "
                      "the same version");
    }
}

static bool look_at_library(struct mf_doctor *d)
{
    char path[MF_DOCTOR_PATH];

    if (!find_library(d, path, sizeof(path))) {
        mf_doctor_say(d, MF_DOCTOR_BAD, "xrt",
                      LIBRARY " was not found: install libxrt2 and libxrt-npu2 (2.25: "
                              "Debian trixie-backports, sid)");
        return false;
    }
    if (!read_generation(path, d->generation, sizeof(d->generation))) {
        mf_doctor_say(d, MF_DOCTOR_UNKNOWN, "xrt", "%s: its file name has no version",
                      path);
        return true;
    }
    if (strcmp(d->generation, "2.13") == 0) {
        mf_doctor_say(d, MF_DOCTOR_BAD, "xrt",
                      "%s is %s, which cannot drive an NPU (it has no hardware "
                      "contexts): install libxrt2 and libxrt-npu2 of 2.25",
                      path, d->generation);
        return true;
    }
    mf_doctor_say(d, MF_DOCTOR_OK, "xrt", "%s is %s", path, d->generation);
    look_at_plugin(d, path);
    return true;
}

/* ---- our modules ---- */

static bool is_module(const char *name, struct mf_slice *generation)
{
    size_t n = strlen(name), head = strlen(PREFIX), tail = strlen(SUFFIX);

    if (n <= head + tail || strncmp(name, PREFIX, head) != 0 ||
        strcmp(name + n - tail, SUFFIX) != 0) {
        return false;
    }
    *generation = mf_slice_of(name + head, n - head - tail);
    return true;
}

static void list_modules(struct mf_doctor *d, char *have, size_t n)
{
    DIR *dir = opendir(d->paths.modules);
    const struct dirent *e;
    struct mf_slice g;
    size_t used = 0;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (!is_module(e->d_name, &g) || used >= n) {
            continue;
        }
        used += (size_t)snprintf(have + used, n - used, "%s%.*s", used > 0 ? ", " : "",
                                 (int)g.n, g.p);
        d->has_module |= d->generation[0] != '\0' && mf_slice_is(g, d->generation);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static void look_at_modules(struct mf_doctor *d)
{
    char have[128] = "";

    list_modules(d, have, sizeof(have));
    if (have[0] == '\0') {
        mf_doctor_say(d, MF_DOCTOR_BAD, "module",
                      "no " PREFIX "*" SUFFIX
                      " in %s: build memfuse where the headers of "
                      "XRT are (-DMF_XRT=on), or set embed.npu.module",
                      d->paths.modules);
    } else if (d->has_module) {
        mf_doctor_say(d, MF_DOCTOR_OK, "module",
                      "%s/" PREFIX "%s" SUFFIX " would be taken (there: %s)",
                      d->paths.modules, d->generation, have);
    } else if (d->generation[0] == '\0') {
        mf_doctor_say(
            d, MF_DOCTOR_UNKNOWN, "module",
            "there are some for XRT %s; which is taken depends on the XRT that "
            "is found",
            have);
    } else {
        mf_doctor_say(
            d, MF_DOCTOR_BAD, "module",
            "XRT %s is here, %s has modules for %s only: build memfuse with the "
            "XRT that runs, their C++ classes differ",
            d->generation, d->paths.modules, have);
    }
}

void mf_doctor_xrt(struct mf_doctor *d)
{
    d->generation[0] = '\0';
    d->has_module = false;
    if (!look_at_library(d)) {
        d->generation[0] = '\0';
    }
    look_at_modules(d);
}

/* ---- artefacts ---- */

void mf_doctor_artefacts(struct mf_doctor *d)
{
    struct mf_npu_manifest m;
    struct mf_err err = {0};
    int rc;

    if (d->paths.artefacts[0] == '\0') {
        mf_doctor_say(
            d, MF_DOCTOR_UNKNOWN, "artefacts",
            "embed.npu.dir names no folder: tools/npu-kernels tells how they are "
            "made");
        return;
    }
    rc = mf_npu_manifest_open(&m, d->paths.artefacts, &err);
    if (rc < 0) {
        mf_doctor_say(d, MF_DOCTOR_BAD, "artefacts",
                      "%s. Make them anew "
                      "(tools/npu-kernels), then `memfuse npu manifest DIR`",
                      err.msg[0] != '\0' ? err.msg : mf_code_sentence(rc));
        return;
    }
    if (m.is_emulated) {
        mf_doctor_say(
            d, MF_DOCTOR_BAD, "artefacts",
            "%s holds instructions of our emulation (%zu shapes): no hardware "
            "runs them",
            d->paths.artefacts, m.n_shapes);
    } else {
        mf_doctor_say(
            d, MF_DOCTOR_OK, "artefacts",
            "%s: made for %s, kernel %s, %zu shapes; files and sums are right",
            d->paths.artefacts, m.generation, m.kernel, m.n_shapes);
    }
    mf_npu_manifest_fini(&m);
}
