/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/mem.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_CASES 512

struct test_case {
    const char *name;
    mf_test_fn fn;
};

static struct test_case cases[MAX_CASES];
static size_t n_cases;

static atomic_size_t live_blocks;
static atomic_long fail_in; /* 0 or less: off; 1: the next allocation fails */
static atomic_bool has_failed;

static char tmp_root[PATH_MAX];
static char tmp_dir[PATH_MAX + 24]; /* of the running case; empty until asked for */
static pid_t tmp_owner;

/* The count may run below 0 when two threads meet here; only one of them saw the 1. */
static bool must_fail(void)
{
    if (atomic_load(&fail_in) <= 0 || atomic_fetch_sub(&fail_in, 1) != 1) {
        return false;
    }
    atomic_store(&has_failed, true);
    return true;
}

static void *counted(void *p)
{
    if (p != NULL) {
        atomic_fetch_add(&live_blocks, 1);
    }
    return p;
}

static void *seam_malloc(size_t n)
{
    return must_fail() ? NULL : counted(malloc(n));
}

static void *seam_calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : counted(calloc(n, size));
}

static void *seam_realloc(void *p, size_t n)
{
    if (must_fail()) {
        return NULL;
    }
    return p == NULL ? counted(malloc(n)) : realloc(p, n);
}

static void seam_free(void *p)
{
    if (p != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
    }
    free(p);
}

void mf_test_fail_nth(size_t n)
{
    atomic_store(&has_failed, false);
    atomic_store(&fail_in, (long)n);
}

bool mf_test_has_failed(void)
{
    return atomic_load(&has_failed);
}

size_t mf_test_live_blocks(void)
{
    return atomic_load(&live_blocks);
}

static void die(const char *what)
{
    (void)fprintf(stderr, "mf_test: %s: %s\n", what, strerror(errno));
    exit(2);
}

void mf_test_register(const char *name, mf_test_fn fn)
{
    if (n_cases == MAX_CASES) {
        errno = ENOBUFS;
        die("too many cases in one program");
    }
    cases[n_cases++] = (struct test_case){name, fn};
}

static int remove_one(const char *path, MF_UNUSED const struct stat *st,
                      MF_UNUSED int type, MF_UNUSED struct FTW *at)
{
    return remove(path);
}

/* A child that a test forked leaves its parent's folders alone. */
static void remove_tmp_root(void)
{
    if (getpid() == tmp_owner &&
        nftw(tmp_root, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        (void)fprintf(stderr, "mf_test: cannot remove %s\n", tmp_root);
    }
}

static void make_tmp_root(void)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(tmp_root, sizeof(tmp_root), "%s/mf-test-XXXXXX",
                   base != NULL && base[0] != '\0' ? base : "/tmp");
    if (mkdtemp(tmp_root) == NULL) {
        die(tmp_root);
    }
    tmp_owner = getpid();
    if (atexit(remove_tmp_root) != 0) {
        die("atexit");
    }
}

const char *mf_test_tmpdir(void)
{
    static unsigned n_dirs;

    if (tmp_root[0] == '\0') {
        make_tmp_root();
    }
    if (tmp_dir[0] == '\0') {
        (void)snprintf(tmp_dir, sizeof(tmp_dir), "%s/%u", tmp_root, ++n_dirs);
        if (mkdir(tmp_dir, 0700) != 0) {
            die(tmp_dir);
        }
    }
    return tmp_dir;
}

static int case_setup(MF_UNUSED void **state)
{
    mf_test_fail_nth(0);
    tmp_dir[0] = '\0';
    return 0;
}

static int case_teardown(MF_UNUSED void **state)
{
    mf_test_fail_nth(0);
    return 0;
}

static void run_case(void **state)
{
    const struct test_case *c = *state;
    size_t before = mf_test_live_blocks();
    size_t after;

    *state = NULL;
    c->fn(state);
    after = mf_test_live_blocks();
    if (after != before) {
        fail_msg("%s left %ld blocks of the seam behind", c->name,
                 (long)after - (long)before);
    }
}

static size_t select_cases(struct CMUnitTest *tests, const char *part)
{
    size_t n = 0;

    for (size_t i = 0; i < n_cases; i++) {
        if (part == NULL || strstr(cases[i].name, part) != NULL) {
            tests[n++] = (struct CMUnitTest){.name = cases[i].name,
                                             .test_func = run_case,
                                             .setup_func = case_setup,
                                             .teardown_func = case_teardown,
                                             .initial_state = &cases[i]};
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct mf_mem_ops seam = {seam_malloc, seam_calloc, seam_realloc,
                                           seam_free};
    static struct CMUnitTest tests[MAX_CASES];
    size_t n = select_cases(tests, argc > 1 ? argv[1] : NULL);

    if (n == 0) {
        (void)fprintf(stderr, "mf_test: no case matches\n");
        return 2;
    }
    mf_mem_set(&seam);
    /* cmocka returns how many failed; the lowest byte alone would lose 256. */
    return _cmocka_run_group_tests(argv[0], tests, n, NULL, NULL) == 0 ? 0 : 1;
}
