/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an xclbin: refused with a sentence, or its uuid and kernel can be told.
 * The first byte says what follows: 'x' the XML section alone, 'p' the partition alone,
 * else a file, whose magic and length are put right so that mutations get behind them.
 */
#include "npu/xclbin_in.h"

#include <stdlib.h>

#define CHECK(cond) ((cond) ? (void)0 : abort())
#define KERNEL      "MLIR_AIE"
#define AT_LENGTH   304U
#define HEAD        456U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_refused(int rc, const struct mf_err *err)
{
    CHECK(rc == 0 || (rc == MF_EINVAL && err->code == rc && err->msg[0] != '\0'));
    return rc < 0;
}

static void read_file(char *bytes, size_t n)
{
    struct mf_xclbin_info info;
    struct mf_err err = {0};

    if (n >= HEAD) {
        memcpy(bytes, "xclbin2", 8);
        mf_put_u64(bytes + AT_LENGTH, n);
    }
    if (is_refused(mf_xclbin_check(mf_slice_of(bytes, n), KERNEL, &info, &err), &err)) {
        return;
    }
    CHECK(strspn(info.uuid, "0123456789abcdef") == 32 && info.uuid[32] == '\0');
    CHECK(strncmp(info.kernel, KERNEL, strlen(KERNEL)) == 0);
    CHECK(strlen(info.kernel) < sizeof(info.kernel));
    CHECK(info.n_sections >= 5 && HEAD + 40 * info.n_sections <= n);
}

static void read_xml(const struct mf_xclbin_section *s)
{
    struct mf_slice name = {NULL, 0};
    const char *p = (const char *)s->p;

    if (is_refused(mf_xclbin_find_kernel(s, KERNEL, &name), s->err)) {
        return;
    }
    CHECK(name.p >= p && name.n <= s->n && (size_t)(name.p - p) <= s->n - name.n);
    CHECK(name.n >= strlen(KERNEL) && memcmp(name.p, KERNEL, strlen(KERNEL)) == 0);
    CHECK(name.n < MF_XCLBIN_KERNEL_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mf_err err = {0};
    struct mf_xclbin_section s = {.name = "FUZZ", .at = 8, .err = &err};
    char *exact;

    if (n == 0) {
        return 0;
    }
    /* A block of its very size, for the sanitizer to see a byte too many. */
    exact = malloc(n - 1);
    CHECK(exact != NULL || n == 1);
    if (n > 1) {
        memcpy(exact, data + 1, n - 1);
    }
    s.p = (const uint8_t *)exact;
    s.n = n - 1;
    if (data[0] == 'x') {
        read_xml(&s);
    } else if (data[0] == 'p') {
        (void)is_refused(mf_xclbin_check_partition(&s, 0x901), &err);
    } else {
        read_file(exact, n - 1);
    }
    free(exact);
    return 0;
}
