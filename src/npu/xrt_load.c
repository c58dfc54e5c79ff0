/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/xrt_load.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define LIBRARY      "libxrt_coreutil.so.2"
/* unsigned xrt::version::code(): since 2.17. */
#define VERSION_CODE "_ZN3xrt7version4codeEv"
/* xrt::hw_context::~hw_context(): since 2.15; with it and without the other, it is one
 * of the two in between, for which nobody builds. */
#define HAS_CONTEXT  "_ZN3xrt10hw_contextD1Ev"
#define PREFIX       "npu-xrt-"
#define SUFFIX       ".so"

typedef unsigned (*version_fn)(void);

static int generation_of(void *library, char *out, size_t n, struct mf_err *err)
{
    version_fn code = NULL;
    void *symbol = dlsym(library, VERSION_CODE);

    if (symbol == NULL && dlsym(library, HAS_CONTEXT) != NULL) {
        return mf_err_set(err, MF_EUNPROCESSABLE,
                          LIBRARY " is of XRT 2.14 to 2.16, which is not supported: "
                                  "install 2.25 or later");
    }
    if (symbol == NULL) {
        (void)snprintf(out, n, "2.13");
        return 0;
    }
    memcpy(&code, &symbol,
           sizeof(code)); /* ISO C has no cast from object to function */
    (void)snprintf(out, n, "%u.%u", code() >> 16, code() & 0xffffU);
    return 0;
}

/* Of the modules in `dir`: "2.13, 2.25", or "none". */
static void list_modules(const char *dir, char *out, size_t n)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    size_t used = 0;

    (void)snprintf(out, n, "none");
    while (d != NULL && (e = readdir(d)) != NULL) {
        size_t len = strlen(e->d_name), both = strlen(PREFIX) + strlen(SUFFIX);

        if (len <= both || strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            strcmp(e->d_name + len - strlen(SUFFIX), SUFFIX) != 0 || used >= n) {
            continue;
        }
        used += (size_t)snprintf(out + used, n - used, "%s%.*s", used > 0 ? ", " : "",
                                 (int)(len - both), e->d_name + strlen(PREFIX));
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

static int say_no_module(const char *dir, const char *generation, struct mf_err *err)
{
    char have[64];

    list_modules(dir, have, sizeof(have));
    return mf_err_set(err, MF_ENOTFOUND,
                      "XRT %s is installed; there is no " PREFIX "%s" SUFFIX
                      " in %.90s (modules there: %s)",
                      generation, generation, dir, have);
}

static int open_module(const char *path, const char *generation,
                       const struct mf_npu_backend **out, struct mf_err *err)
{
    mf_npu_entry_fn entry = NULL;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol;

    if (module == NULL) {
        return mf_err_set(err, MF_EUNPROCESSABLE, "the module does not load: %.200s",
                          dlerror());
    }
    symbol = dlsym(module, MF_NPU_ENTRY);
    if (symbol == NULL) {
        return mf_err_set(err, MF_EUNPROCESSABLE, "%.150s: no module of memfuse", path);
    }
    memcpy(&entry, &symbol, sizeof(entry));
    *out = entry(MF_NPU_ABI);
    if (*out == NULL || (*out)->abi != MF_NPU_ABI) {
        return mf_err_set(err, MF_EUNPROCESSABLE,
                          "%.120s was built for another memfuse or another XRT than "
                          "%s, which is installed",
                          path, generation);
    }
    return 0;
}

void mf_npu_xrt_folder(char *out, size_t cap)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

    for (int up = 0; up < 2 && n > 0; up++) { /* the name, and its folder */
        program[n] = '\0';
        n = strrchr(program, '/') - program;
    }
    if (n >= 0) {
        program[n] = '\0';
        (void)snprintf(out, cap, "%s/" MF_NPU_MODULE_SUBDIR, program);
    }
    if (n < 0 || access(out, R_OK) != 0) {
        (void)snprintf(out, cap, "%s", MF_NPU_MODULE_DIR);
    }
}

int mf_npu_xrt_load(const char *dir, const struct mf_npu_backend **out,
                    struct mf_err *err)
{
    char generation[16], installed[PATH_MAX], path[PATH_MAX];
    void *library;
    int rc;

    if (dir == NULL) {
        mf_npu_xrt_folder(installed, sizeof(installed));
        dir = installed;
    }
    if (setenv("XRT_INI_PATH", "/dev/null", 1) != 0) {
        return mf_err_set(err, MF_ENOMEM, "out of memory for XRT_INI_PATH");
    }
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return mf_err_set(err, MF_ENOTFOUND,
                          "XRT is not installed (libxrt2 and libxrt-npu2 of Debian): "
                          "%.120s",
                          dlerror());
    }
    rc = generation_of(library, generation, sizeof(generation), err);
    if (rc < 0) {
        return rc;
    }
    rc = snprintf(path, sizeof(path), "%s/" PREFIX "%s" SUFFIX, dir, generation);
    if (rc < 0 || (size_t)rc >= sizeof(path) || access(path, R_OK) != 0) {
        return say_no_module(dir, generation, err);
    }
    return open_module(path, generation, out, err);
}
