/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mixed and damaged text through tokenizer and encoder, in each precision: for the
 * sanitizers. MF_FLOOD_TOKENS says how many tokens (make torture: 24 million);
 * MF_FLOOD_MODEL names a real model's folder, else a small made-up one serves.
 */
#include "base/mem.h"
#include "embed/model.h"
#include "embed/sample_texts.h"
#include "lib/mf_test.h"
#include "lib/model_folder.h"

#include <math.h>
#include <stdlib.h>

#define DEFAULT_TOKENS 300000
#define MAX_BATCH      96
#define MAX_TEXT       3000

static uint64_t seed = 20;

static uint32_t chance(uint32_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)((seed >> 33) % below);
}

static size_t put_cp(char *out, uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | (cp >> 6));
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | (cp >> 12));
        out[1] = (char)(0x80 | ((cp >> 6) & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | (cp >> 18));
    out[1] = (char)(0x80 | ((cp >> 12) & 63));
    out[2] = (char)(0x80 | ((cp >> 6) & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

/* A stretch of one of: a sample text, letters, any character of any script, any byte.
 */
static size_t put_stretch(char *out, size_t room)
{
    const char *sample = chance(2) == 0
                             ? mf_sample_guard[chance(MF_SAMPLE_GUARD)]
                             : mf_sample_calibration[chance(MF_SAMPLE_CALIBRATION)];
    size_t n = mf_min(strlen(sample), room), k = 0;

    switch (chance(4)) {
    case 0: memcpy(out, sample, n); return n;
    case 1:
        for (n = chance(40); k < n && k < room; k++) {
            out[k] = "abcdefghijklmnopqrstuvwxyz ABC.,!?"[chance(34)];
        }
        return k;
    case 2:
        for (n = chance(60); n > 0 && k + 4 <= room; n--) {
            k += put_cp(out + k, 1 + chance(0x10FFFF));
        }
        return k;
    default:
        for (n = chance(30); k < n && k < room; k++) {
            out[k] = (char)chance(256);
        }
        return k;
    }
}

static struct mf_text make_text(char *out)
{
    static const unsigned flags[] = {0, 0, 0, MF_TEXT_LEFT, MF_TEXT_RAW, MF_TEXT_WHOLE};
    size_t want = chance(20) == 0 ? MAX_TEXT : chance(400), n = 0;

    while (n < want) {
        n += put_stretch(out + n, MAX_TEXT - n);
    }
    /* On the heap and of its very size: a byte too many is noticed. */
    return (struct mf_text){mf_slice_of(mf_strndup(out, n), n), flags[chance(6)]};
}

static void check_row(const struct mf_model *m, const struct mf_text *t,
                      const struct mf_text_result *r, const float *v)
{
    double sum = 0;

    if (r->rc == MF_ETOOBIG) {
        MF_CHECK(t->flags == MF_TEXT_WHOLE);
        return;
    }
    MF_CHECK_OK(r->rc);
    MF_CHECK(r->n_tokens >= m->info.n_special &&
             r->n_tokens <= m->info.window + m->info.n_special);
    for (size_t i = 0; i < m->info.dim; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    MF_CHECK(isfinite(sum) && sum > 0);
    MF_CHECK(t->flags == MF_TEXT_RAW || fabs(sqrt(sum) - 1) < 1e-3);
}

/* One batch of texts; returns how many tokens the model read. */
static uint64_t embed_batch(struct mf_model *m)
{
    static char buf[MAX_TEXT];
    struct mf_text texts[MAX_BATCH];
    struct mf_text_result res[MAX_BATCH];
    size_t n = 1 + chance(MAX_BATCH);
    float *v = mf_array(n * m->info.dim, sizeof(*v));
    uint64_t n_tokens = 0;

    MF_CHECK(v != NULL);
    for (size_t i = 0; i < n; i++) {
        texts[i] = make_text(buf);
        MF_CHECK(texts[i].text.p != NULL);
    }
    MF_CHECK_OK(m->ops->embed(m, texts, n, v, res));
    for (size_t i = 0; i < n; i++) {
        check_row(m, &texts[i], &res[i], v + i * m->info.dim);
        n_tokens += res[i].n_tokens;
        mf_free((char *)(uintptr_t)texts[i].text.p);
    }
    mf_free(v);
    return n_tokens;
}

static void flood(const char *folder, const char *precision, uint64_t n_tokens)
{
    struct mf_model_options opt = {.model = folder, .precision = precision};
    struct mf_model *m = NULL;
    struct mf_err err = {0};

    if (mf_model_open(&m, &opt, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    for (uint64_t n = 0; n < n_tokens;) {
        n += embed_batch(m);
    }
    mf_model_close(m);
}

MF_TEST(transformer, survives_a_flood_of_mixed_text_in_each_precision)
{
    static const char *const precisions[] = {"f32", "auto", "bf16", "int8"};
    const char *folder = getenv("MF_FLOOD_MODEL"), *n = getenv("MF_FLOOD_TOKENS");
    uint64_t n_tokens = n == NULL ? DEFAULT_TOKENS : strtoull(n, NULL, 10);
    struct mf_model_spec spec = mf_model_small();

    if (folder == NULL) {
        folder = mf_test_tmpdir();
        mf_model_folder(folder, &spec);
    }
    for (size_t i = 0; i < mf_countof(precisions); i++) {
        flood(folder, precisions[i], n_tokens / mf_countof(precisions));
    }
}
