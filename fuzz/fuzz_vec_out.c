/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as floats: written as JSON they read back as the same bits, in at most the
 * nine digits that any float needs.
 */
#include "api/vec_out.h"

#include <math.h>
#include <stdlib.h>

#define CHECK(cond) ((cond) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_float(const uint8_t *at)
{
    char text[MF_FLOAT_TEXT + 1];
    uint32_t bits, again;
    float v, back;
    size_t n;

    memcpy(&v, at, sizeof(v));
    memcpy(&bits, at, sizeof(bits));
    n = mf_float_format(v, text);
    CHECK(n > 0 && n <= MF_FLOAT_TEXT);
    text[n] = '\0';
    if (!isfinite(v)) {
        CHECK(strcmp(text, "null") == 0);
        return;
    }
    back = strtof(text, NULL);
    memcpy(&again, &back, sizeof(again));
    CHECK(bits == again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    for (size_t i = 0; i + sizeof(float) <= n; i += sizeof(float)) {
        check_float(data + i);
    }
    return 0;
}
