/* SPDX-License-Identifier: Apache-2.0 */
/* The reference: nothing clever, sums in double. */
#include "encoder/rowops_in.h"

#include <math.h>

static bool plain_is_supported(void)
{
    return true;
}

static void norm_row(float *x, uint32_t width, const float *g, const float *b,
                     float eps)
{
    double sum = 0;
    double square = 0;
    double mean;
    double scale;

    for (uint32_t i = 0; i < width; i++) {
        sum += (double)x[i];
    }
    mean = sum / width;
    for (uint32_t i = 0; i < width; i++) {
        double d = (double)x[i] - mean;

        square += d * d;
    }
    scale = 1 / sqrt(square / width + (double)eps);
    for (uint32_t i = 0; i < width; i++) {
        x[i] = (float)(((double)x[i] - mean) * scale) * g[i] + b[i];
    }
}

static void plain_layer_norm(float *x, size_t rows, uint32_t width, const float *g,
                             const float *b, float eps)
{
    for (size_t i = 0; i < rows; i++) {
        norm_row(x + i * width, width, g, b, eps);
    }
}

static size_t plain_attention_bytes(uint32_t n, MF_UNUSED uint32_t width,
                                    MF_UNUSED uint32_t n_heads)
{
    return ((size_t)n * sizeof(float) + 63) & ~(size_t)63;
}

static float dot(const float *a, const float *b, uint32_t n)
{
    double sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return (float)sum;
}

/* Scores to weights whose sum is 1. */
static void soften(float *s, uint32_t n)
{
    double sum = 0;
    float top = s[0];

    for (uint32_t j = 1; j < n; j++) {
        top = fmaxf(top, s[j]);
    }
    for (uint32_t j = 0; j < n; j++) {
        s[j] = expf(s[j] - top);
        sum += (double)s[j];
    }
    for (uint32_t j = 0; j < n; j++) {
        s[j] = (float)((double)s[j] / sum);
    }
}

static void blend(const float *weight, const float *v, const struct mf_attention *a,
                  float *out)
{
    uint32_t dim = a->width / a->n_heads;
    size_t ld = (size_t)3 * a->width;

    for (uint32_t d = 0; d < dim; d++) {
        double sum = 0;

        for (uint32_t j = 0; j < a->n; j++) {
            sum += (double)weight[j] * (double)v[j * ld + d];
        }
        out[d] = (float)sum;
    }
}

static void attend_head(const struct mf_attention *a, uint32_t head, float *s)
{
    uint32_t dim = a->width / a->n_heads;
    size_t ld = (size_t)3 * a->width;
    const float *q = a->qkv + (size_t)head * dim;
    const float *k = q + a->width;
    const float *bias = a->bias == NULL ? NULL : a->bias + head * a->bias_ld;

    for (uint32_t i = 0; i < a->n; i++) {
        for (uint32_t j = 0; j < a->n; j++) {
            s[j] = dot(q + i * ld, k + j * ld, dim);
            s[j] += bias == NULL ? 0 : bias[(ptrdiff_t)j - (ptrdiff_t)i];
        }
        soften(s, a->n);
        blend(s, k + a->width, a, a->out + (size_t)i * a->width + (size_t)head * dim);
    }
}

static void plain_attention(const struct mf_attention *a, void *work)
{
    for (uint32_t h = 0; h < a->n_heads; h++) {
        attend_head(a, h, work);
    }
}

static void plain_add(float *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dst[i] += src[i];
    }
}

static void plain_max(float *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        dst[i] = dst[i] > src[i] ? dst[i] : src[i];
    }
}

const struct mf_rowops mf_rowops_plain = {
    .name = "plain",
    .is_supported = plain_is_supported,
    .layer_norm = plain_layer_norm,
    .attention_bytes = plain_attention_bytes,
    .attention = plain_attention,
    .attention_fast = plain_attention,
    .add = plain_add,
    .max = plain_max,
};
