/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a text: pieces ascend, passages cover the text and part no character,
 * tokens are counted, and the hash model gives a finite unit vector.
 * The first two bytes choose the pieces of a passage and the room for spans.
 */
#include "embed/model.h"
#include "item/chunk.h"
#include "item/item.h"
#include "item/utf8.h"

#include <math.h>

#define MAX_TEXT  8192
#define MAX_SPANS 64

/* NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pieces(const uint32_t *at, size_t n, size_t text_bytes)
{
    for (size_t i = 0; i < n; i++) {
        MF_ASSERT(at[i] < text_bytes && (i == 0 || at[i] > at[i - 1]));
    }
}

static void check_spans(struct mf_slice text, const struct mf_span *s, size_t n)
{
    size_t end = 0, at = 0;
    uint32_t cp;

    for (size_t i = 0; i < n; i++) {
        MF_ASSERT(s[i].at == end && s[i].n > 0);
        end += s[i].n;
        while (at < end) {
            at += mf_utf8_next(text, at, &cp);
        }
        MF_ASSERT(at == end); /* no character is parted */
    }
    MF_ASSERT(end == text.n);
}

static void check_vector(struct mf_model *m, struct mf_slice text)
{
    static float v[1024];
    double length = 0;
    struct mf_text t = {.text = text};
    struct mf_text_result res = {.rc = -1};

    MF_ASSERT(m->info.dim <= mf_countof(v));
    MF_ASSERT(m->ops->embed(m, &t, 1, v, &res) == 0 && res.rc == 0);
    for (size_t i = 0; i < m->info.dim; i++) {
        MF_ASSERT(isfinite(v[i]));
        length += (double)v[i] * v[i];
    }
    MF_ASSERT(fabs(length - 1) < 1e-5);
}

/* NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mf_model *model;
    static uint32_t at[MAX_TEXT];
    struct mf_span spans[MAX_SPANS];
    struct mf_slice text;
    size_t n, n_spans, cap;

    if (size < 2 || size > MAX_TEXT) {
        return 0;
    }
    if (model == NULL) {
        MF_ASSERT(mf_model_hash_open(&model, NULL) == 0);
    }
    text = mf_slice_of((const char *)data + 2, size - 2);
    cap = 1 + data[1] % MAX_SPANS;
    n = model->ops->pieces(model, text, at, mf_countof(at));
    check_pieces(at, n, text.n);
    n_spans = mf_chunk(text, at, n, 1 + data[0], spans, cap);
    check_spans(text, spans, mf_min(n_spans, cap));
    (void)mf_tokens_of_text(text);
    check_vector(model, text);
    return 0;
}
