/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test_file.h"

#include "lib/mf_test.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

void mf_test_write(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wbe");

    assert_non_null(f);
    MF_CHECK_INT(fwrite(p, 1, n, f), n);
    MF_CHECK_OK(fclose(f));
}

const char *mf_test_file(const char *dir, const char *name, const void *p, size_t n)
{
    static char path[PATH_MAX];

    assert_in_range(snprintf(path, sizeof(path), "%s/%s", dir, name), 1,
                    sizeof(path) - 1);
    mf_test_write(path, p, n);
    return path;
}

const char *mf_test_text(const char *dir, const char *name, const char *text)
{
    return mf_test_file(dir, name, text, strlen(text));
}

void mf_test_copy(const char *from, const char *to)
{
    static char block[1 << 16];
    FILE *in = fopen(from, "rbe"), *out = fopen(to, "wbe");
    size_t n;

    MF_CHECK(in != NULL && out != NULL);
    while ((n = fread(block, 1, sizeof(block), in)) > 0) {
        MF_CHECK_INT(fwrite(block, 1, n, out), n);
    }
    MF_CHECK_OK(fclose(out));
    MF_CHECK_OK(fclose(in));
}
