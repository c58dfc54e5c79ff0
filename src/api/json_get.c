/* SPDX-License-Identifier: Apache-2.0 */
/* Typed fields of an open document. */
#include "api/json_in.h"

#include <stdlib.h>

/* NULL when absent or null; a fault when it was required. */
static yyjson_val *look_up(const struct mf_json_at *at, const char *key,
                           enum mf_json_need need)
{
    yyjson_val *v = yyjson_obj_getn(at->obj, key, strlen(key));

    if (v != NULL && !yyjson_is_null(v)) {
        return v;
    }
    if (need == MF_JSON_REQUIRED) {
        (void)mf_json_fault(at, key, MF_EUNPROCESSABLE,
                            v == NULL ? "missing" : "null_type", "%s",
                            v == NULL ? "Field required" : "Input must not be null");
    }
    return NULL;
}

static bool is_of_type(const struct mf_json_at *at, const char *key, bool is_right,
                       const char *type, const char *sentence)
{
    if (!is_right) {
        (void)mf_json_fault(at, key, MF_EUNPROCESSABLE, type, "%s", sentence);
    }
    return is_right;
}

bool mf_json_text(const struct mf_json_at *at, const char *key, enum mf_json_need need,
                  struct mf_slice *out)
{
    yyjson_val *v = look_up(at, key, need);

    if (v == NULL || !is_of_type(at, key, yyjson_is_str(v), "string_type",
                                 "Input should be a valid string")) {
        return false;
    }
    *out = mf_json_slice(v);
    return true;
}

bool mf_json_object(const struct mf_json_at *at, const char *key, yyjson_val **out)
{
    *out = look_up(at, key, MF_JSON_OPTIONAL);
    return *out != NULL && is_of_type(at, key, yyjson_is_obj(*out), "dict_type",
                                      "Input should be an object");
}

bool mf_json_list(const struct mf_json_at *at, const char *key, enum mf_json_need need,
                  yyjson_val **out)
{
    *out = look_up(at, key, need);
    return *out != NULL && is_of_type(at, key, yyjson_is_arr(*out), "list_type",
                                      "Input should be a valid list");
}

bool mf_json_bool(const struct mf_json_at *at, const char *key, bool *out)
{
    yyjson_val *v = look_up(at, key, MF_JSON_OPTIONAL);

    if (v == NULL || !is_of_type(at, key, yyjson_is_bool(v), "bool_type",
                                 "Input should be a valid boolean")) {
        return false;
    }
    *out = yyjson_get_bool(v);
    return true;
}

/* Of a number as it was sent, checked by mf_json_open. */
static void number_of(yyjson_val *v, char digits[MF_JSON_MAX_DIGITS + 1])
{
    size_t n = yyjson_get_len(v);

    memcpy(digits, yyjson_get_raw(v), n);
    digits[n] = '\0';
}

bool mf_json_int(const struct mf_json_at *at, const char *key, int64_t *out)
{
    yyjson_val *v = look_up(at, key, MF_JSON_OPTIONAL);
    char digits[MF_JSON_MAX_DIGITS + 1] = ".";

    if (v == NULL) {
        return false;
    }
    if (yyjson_is_raw(v)) {
        number_of(v, digits);
    }
    if (!is_of_type(at, key, strpbrk(digits, ".eE") == NULL, "int_type",
                    "Input should be a valid integer")) {
        return false;
    }
    *out = strtoll(digits, NULL, 10); /* which stops at the ends of its range */
    return true;
}

bool mf_json_real(const struct mf_json_at *at, const char *key, double *out)
{
    yyjson_val *v = look_up(at, key, MF_JSON_OPTIONAL);
    char digits[MF_JSON_MAX_DIGITS + 1];

    if (v == NULL || !is_of_type(at, key, yyjson_is_raw(v), "float_type",
                                 "Input should be a valid number")) {
        return false;
    }
    number_of(v, digits);
    *out = strtod(digits, NULL);
    return true;
}

bool mf_json_texts(const struct mf_json_at *at, const char *key, uint64_t max,
                   const char *limit, struct mf_slice **out, size_t *n)
{
    struct mf_json_at each = {.faults = at->faults, .list = key};
    size_t n_before = at->faults->n;
    yyjson_val *list, *v;
    yyjson_arr_iter it;

    *n = 0;
    if (!mf_json_list(at, key, MF_JSON_REQUIRED, &list)) {
        return false;
    }
    if (yyjson_arr_size(list) > max) {
        (void)mf_json_fault(at, key, MF_EUNPROCESSABLE, "too_long",
                            "List should have at most %llu items (%s): split it",
                            (unsigned long long)max, limit);
        return false;
    }
    *out =
        mf_arena_alloc(at->faults->arena, (yyjson_arr_size(list) + 1) * sizeof(**out));
    if (*out == NULL) {
        at->faults->code = MF_ENOMEM;
        return false;
    }
    (void)yyjson_arr_iter_init(list, &it);
    for (; (v = yyjson_arr_iter_next(&it)) != NULL; each.i++) {
        if (is_of_type(&each, NULL, yyjson_is_str(v), "string_type",
                       "Input should be a valid string")) {
            (*out)[(*n)++] = mf_json_slice(v);
        }
    }
    return at->faults->n == n_before;
}
