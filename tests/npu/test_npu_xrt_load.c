/* SPDX-License-Identifier: Apache-2.0 */
/* Which module is opened for which library. Each case is a process: what was loaded
 * stays loaded. */
#include "lib/mf_test.h"
#include "lib/test_file.h"
#include "npu/xrt_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct load {
    const char *library; /* NULL: none is given */
    const char *dir;
    int rc;
    struct mf_err err;
};

static void load_here(struct load *l)
{
    const struct mf_npu_backend *b = NULL;

    if (l->library != NULL && dlopen(l->library, RTLD_NOW | RTLD_GLOBAL) == NULL) {
        (void)snprintf(l->err.msg, sizeof(l->err.msg), "%s", dlerror());
        l->rc = MF_EFATAL;
        return;
    }
    l->rc = mf_npu_xrt_load(l->dir, &b, &l->err);
    if (l->rc == 0 && (b == NULL || strcmp(b->name, "xrt") != 0 ||
                       strcmp(getenv("XRT_INI_PATH"), "/dev/null") != 0)) {
        l->rc = MF_EFATAL;
    }
}

static void load(struct load *l)
{
    int pipes[2], status = 0;
    pid_t child;

    MF_CHECK_OK(pipe(pipes));
    child = fork();
    MF_CHECK(child >= 0);
    if (child == 0) {
        load_here(l);
        _exit(write(pipes[1], l, sizeof(*l)) == (ssize_t)sizeof(*l) ? 0 : 1);
    }
    (void)close(pipes[1]);
    MF_CHECK_INT(read(pipes[0], l, sizeof(*l)), sizeof(*l));
    (void)close(pipes[0]);
    MF_CHECK_INT(waitpid(child, &status, 0), child);
    MF_CHECK_INT(status, 0);
}

static void check_load(const char *library, const char *dir, int rc, const char *why)
{
    struct load l = {.library = library, .dir = dir};

    load(&l);
    if (l.rc != rc || strstr(l.err.msg, why) == NULL) {
        fail_msg("%d '%s', not %d '%s'", l.rc, l.err.msg, rc, why);
    }
}

static void copy(const char *from, const char *dir, const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    mf_test_copy(from, path);
}

MF_TEST(npu_xrt_load, opens_the_module_of_the_generation_that_is_installed)
{
    check_load(KIT_FAKE, KIT_MODULE, 0, "");
}

MF_TEST(npu_xrt_load, says_which_modules_there_are_for_another_generation)
{
    check_load(KIT_FAKE_FUTURE, KIT_MODULE, MF_ENOTFOUND,
               "XRT 9.77 is installed; there is no npu-xrt-9.77.so in " KIT_MODULE
               " (modules there: " MF_XRT_GENERATION ")");
}

MF_TEST(npu_xrt_load, says_that_a_folder_has_no_module)
{
    check_load(KIT_FAKE, mf_test_tmpdir(), MF_ENOTFOUND, "(modules there: none)");
}

MF_TEST(npu_xrt_load, refuses_the_generations_that_cannot_be_told_apart)
{
    check_load(KIT_FAKE_BETWEEN, KIT_MODULE, MF_EUNPROCESSABLE, "XRT 2.14 to 2.16");
}

/* A module under another's name: XRT would crash at the first call. */
MF_TEST(npu_xrt_load, does_not_trust_the_name_of_a_module)
{
    const char *dir = mf_test_tmpdir();

    copy(KIT_MODULE "/npu-xrt-" MF_XRT_GENERATION ".so", dir, "npu-xrt-9.77.so");
    check_load(KIT_FAKE_BOTH, dir, MF_EUNPROCESSABLE,
               "was built for another memfuse or another XRT than 9.77");
}

MF_TEST(npu_xrt_load, says_what_a_module_lacks)
{
    const char *dir = mf_test_tmpdir();

    copy(KIT_MODULE "/npu-xrt-" MF_XRT_GENERATION ".so", dir, "npu-xrt-9.77.so");
    check_load(KIT_FAKE_FUTURE, dir, MF_EUNPROCESSABLE, "undefined symbol");
}

MF_TEST(npu_xrt_load, does_not_take_another_library_for_a_module)
{
    const char *dir = mf_test_tmpdir();

    copy(KIT_FAKE_FUTURE, dir, "npu-xrt-9.77.so");
    check_load(KIT_FAKE_FUTURE, dir, MF_EUNPROCESSABLE, "no module of memfuse");
}
