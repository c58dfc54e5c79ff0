/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes on a connection: how they are cut changes nothing of what is read, in one
 * piece, byte by byte, or in pieces drawn from the input. The first byte chooses
 * between roomy and narrow bounds, the second seeds the cuts.
 */
#include "http/transcript.h"

#define MAX_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t cut_one(MF_UNUSED size_t at, MF_UNUSED size_t left, MF_UNUSED void *arg)
{
    return 1;
}

static size_t cut_anywhere(MF_UNUSED size_t at, size_t left, void *arg)
{
    uint32_t *chance = arg;

    *chance = *chance * 1664525U + 1013904223U;
    return 1 + (*chance >> 16) % mf_min(left, 64);
}

static void check_same(const struct mf_buf *whole, const struct mf_http_bounds *bounds,
                       struct mf_slice bytes, mf_cut_fn cut, uint32_t chance)
{
    struct mf_buf text;

    mf_buf_init(&text);
    mf_transcript(&text, bounds, bytes, cut, &chance, NULL);
    MF_ASSERT(text.n == whole->n);
    MF_ASSERT(text.n == 0 || memcmp(text.p, whole->p, text.n) == 0);
    mf_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mf_http_bounds roomy = {.max_body_bytes = 1 << 20,
                                                .max_url_bytes = 8192,
                                                .max_header_bytes = 16384,
                                                .max_headers = 100,
                                                .max_buffered_bytes = 1 << 24};
    static const struct mf_http_bounds narrow = {.max_body_bytes = 24,
                                                 .max_url_bytes = 16,
                                                 .max_header_bytes = 96,
                                                 .max_headers = 4,
                                                 .max_buffered_bytes = 1 << 24};
    const struct mf_http_bounds *bounds;
    struct mf_slice bytes;
    struct mf_buf whole;

    if (size < 2 || size > MAX_BYTES) {
        return 0;
    }
    bounds = (data[0] & 1) != 0 ? &narrow : &roomy;
    bytes = mf_slice_of((const char *)data + 2, size - 2);
    mf_buf_init(&whole);
    mf_transcript(&whole, bounds, bytes, NULL, NULL, NULL);
    check_same(&whole, bounds, bytes, cut_one, 0);
    check_same(&whole, bounds, bytes, cut_anywhere, data[1]);
    mf_buf_fini(&whole);
    return 0;
}
