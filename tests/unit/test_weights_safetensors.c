/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "weights/safetensors.h"
#include "weights/weights.h"

#include <stdlib.h>

#define GOOD                                                                           \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"              \
    "\"b\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[16,24]}}"

/* A file of this header and so many bytes of data, exactly as long, so that the
 * address sanitizer sees a look behind it. */
static char *file_of(const char *header, size_t n_data, size_t *n)
{
    size_t n_header = strlen(header);
    char *p = calloc(1, 8 + n_header + n_data);

    MF_CHECK(p != NULL);
    mf_put_u64(p, n_header);
    memcpy(p + 8, header, n_header);
    *n = 8 + n_header + n_data;
    return p;
}

static void check_refused(const char *header, size_t n_data, const char *sentence)
{
    struct mf_err err = {0};
    struct mf_wtable t;
    size_t n;
    char *p = file_of(header, n_data, &n);
    int rc = mf_safetensors_read(&t, "f", mf_slice_of(p, n), &err);

    if (rc != MF_EINVAL || strstr(err.msg, sentence) == NULL) {
        fail_msg("%s: rc %d, \"%s\", expected \"%s\"", header, rc, err.msg, sentence);
    }
    free(p);
}

MF_TEST(safetensors, finds_tensors_by_name)
{
    struct mf_err err = {0};
    struct mf_wtable t;
    size_t n;
    char *p = file_of(GOOD, 24, &n);
    const struct mf_wentry *e;

    MF_CHECK_OK(mf_safetensors_read(&t, "f", mf_slice_of(p, n), &err));
    MF_CHECK_INT(t.n, 2);
    e = mf_wtable_find(&t, "b");
    MF_CHECK(e != NULL && e->begin == 16 && e->n_bytes == 8 && e->n_dims == 1);
    MF_CHECK_INT(e->type->dtype, MF_NO_DTYPE);
    e = mf_wtable_find(&t, "a");
    MF_CHECK(e != NULL && e->dim[0] == 2 && e->dim[1] == 2);
    MF_CHECK(mf_wtable_find(&t, "c") == NULL);
    MF_CHECK_PTR(t.data.p, p + n - 24);
    mf_wtable_fini(&t);
    free(p);
}

MF_TEST(safetensors, refuses_a_file_cut_off_anywhere)
{
    size_t n;
    char *p = file_of(GOOD, 24, &n);

    for (size_t cut = 0; cut < n; cut++) {
        struct mf_err err = {0};
        struct mf_wtable t;
        char *part = malloc(cut == 0 ? 1 : cut);

        MF_CHECK(part != NULL);
        memcpy(part, p, cut);
        MF_CHECK_INT(mf_safetensors_read(&t, "f", mf_slice_of(part, cut), &err),
                     MF_EINVAL);
        MF_CHECK(strstr(err.msg, "cut off") != NULL);
        free(part);
    }
    free(p);
}

MF_TEST(safetensors, refuses_a_header_longer_than_file_or_bound)
{
    char p[16] = {0};
    struct mf_err err = {0};
    struct mf_wtable t;

    mf_put_u64(p, 9);
    MF_CHECK_INT(mf_safetensors_read(&t, "f", mf_slice_of(p, 16), &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "9 bytes ends behind the file") != NULL);
    mf_put_u64(p, UINT64_MAX);
    MF_CHECK_INT(mf_safetensors_read(&t, "f", mf_slice_of(p, 16), &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "at most 16777216") != NULL);
}

#define ONE(rest) "{\"a\":{" rest "}}"
#define F32       "\"dtype\":\"F32\","

MF_TEST(safetensors, refuses_a_header_that_is_no_declaration)
{
    check_refused("", 0, "f: no JSON");
    check_refused("{", 0, "f: no JSON, at byte 1");
    check_refused("[]", 0, "f: must be a JSON object");
    check_refused("{\"\xff\":1}", 0, "UTF-8");
    check_refused("{\"a\":1}", 0, "tensor a: must be a JSON object");
    check_refused("{\"__metadata__\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1"
                  "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
                  0, "deeper than 32");
    check_refused(ONE("\"shape\":[1],\"data_offsets\":[0,4]"), 4, "is missing");
    check_refused(ONE(F32 F32 "\"shape\":[1],\"data_offsets\":[0,4]"), 4,
                  "tensor a: declared twice");
}

MF_TEST(safetensors, refuses_types_and_shapes_that_do_not_hold)
{
    check_refused(ONE("\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]"), 4,
                  "tensor a: unknown dtype F31");
    check_refused(ONE("\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]"), 4,
                  "tensor a: dtype must be text");
    check_refused(ONE("\"dtype\":{\"F32\":1,\"b\":2},\"shape\":[1],"
                      "\"data_offsets\":[0,4]"),
                  4, "tensor a: dtype must be text");
    check_refused(ONE(F32 "\"shape\":4,\"data_offsets\":[0,4]"), 4, "shape must be");
    check_refused(ONE(F32 "\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]"), 4,
                  "shape must be");
    check_refused(ONE(F32 "\"shape\":[-1],\"data_offsets\":[0,4]"), 4,
                  "shape must be of whole numbers");
    check_refused(ONE(F32 "\"shape\":[1.0],\"data_offsets\":[0,4]"), 4,
                  "shape must be of whole numbers");
    check_refused(ONE(F32 "\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]"),
                  4, "its shape is too large");
    check_refused(ONE(F32 "\"shape\":[4611686018427387904],\"data_offsets\":[0,0]"), 4,
                  "its shape is too large");
}

MF_TEST(safetensors, refuses_places_that_do_not_fit)
{
    check_refused(ONE(F32 "\"shape\":[1],\"data_offsets\":[4,0]"), 4, "ascending");
    check_refused(ONE(F32 "\"shape\":[1],\"data_offsets\":[0]"), 4, "[begin, end]");
    check_refused(ONE(F32 "\"shape\":[1],\"data_offsets\":[0,4,8]"), 8, "[begin, end]");
    check_refused(ONE(F32 "\"shape\":[1],\"data_offsets\":[-4,0]"), 8, "[begin, end]");
    check_refused(ONE(F32 "\"shape\":[2],\"data_offsets\":[0,4]"), 4,
                  "4 bytes of data, its shape needs 8");
    check_refused(ONE(F32 "\"shape\":[2],\"data_offsets\":[0,8]"), 4,
                  "tensor a ends behind the file");
    check_refused(ONE(F32 "\"shape\":[1],\"data_offsets\":[18446744073709551611,"
                          "18446744073709551615]"),
                  4, "tensor a ends behind the file");
    check_refused(ONE(F32 "\"shape\":[1],\"data_offsets\":[4,8]"), 8,
                  "a gap before tensor a: it begins at 4, expected 0");
    check_refused(ONE(F32 "\"shape\":[1],\"data_offsets\":[0,4]"), 5,
                  "1 bytes behind the last tensor");
    check_refused("{\"a\":{" F32 "\"shape\":[2],\"data_offsets\":[0,8]},"
                  "\"b\":{" F32 "\"shape\":[2],\"data_offsets\":[4,12]}}",
                  12, "tensor b overlaps another");
    check_refused("{\"a\":{" F32 "\"shape\":[1],\"data_offsets\":[0,4]},"
                  "\"b\":{" F32 "\"shape\":[1],\"data_offsets\":[8,12]}}",
                  12, "a gap before tensor b");
    check_refused("{\"a\":{" F32 "\"shape\":[1],\"data_offsets\":[0,4]},"
                  "\"a\":{" F32 "\"shape\":[1],\"data_offsets\":[4,8]}}",
                  8, "tensor a is there twice");
}

MF_TEST(safetensors, takes_tensors_in_any_order_and_empty_ones)
{
    struct mf_err err = {0};
    struct mf_wtable t;
    size_t n;
    char *p = file_of("{\"b\":{" F32 "\"shape\":[1],\"data_offsets\":[4,8]},"
                      "\"a\":{" F32 "\"shape\":[1],\"data_offsets\":[0,4]},"
                      "\"c\":{" F32 "\"shape\":[0,3],\"data_offsets\":[4,4]},"
                      "\"d\":{" F32 "\"shape\":[0],\"data_offsets\":[8,8]}}   ",
                      8, &n);

    MF_CHECK_OK(mf_safetensors_read(&t, "f", mf_slice_of(p, n), &err));
    MF_CHECK_INT(t.n, 4);
    mf_wtable_fini(&t);
    free(p);
}

MF_TEST(safetensors, ends_cleanly_at_each_failed_allocation)
{
    size_t n, nth = 0;
    char *p = file_of(GOOD, 24, &n);
    int rc = MF_ENOMEM;

    while (rc != 0) {
        struct mf_wtable t;
        struct mf_err err = {0};

        mf_test_fail_nth(++nth);
        rc = mf_safetensors_read(&t, "f", mf_slice_of(p, n), &err);
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        if (rc == 0) {
            mf_wtable_fini(&t);
        }
    }
    MF_CHECK(nth > 3);
    free(p);
}
