/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#include "base/err.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

#define ALIGN 64

/* Largest weight of a column becomes this: -127..127, so that signs are even. */
#define S8_MAX     127.0f
/* Of an input never seen, and of weights that are all zero. */
#define MIN_SEEN   1e-3f
#define MIN_WEIGHT 1e-6f
#define MIN_SCALE  1e-30f

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* The arrays stand behind the struct in one block; each begins at a cache line. */
static struct mf_linear *layer_new(const struct mf_linear_source *src,
                                   const struct mf_linear_kernel *kernel)
{
    size_t n_panels = ((size_t)src->n + kernel->width - 1) / kernel->width;
    size_t panel = (size_t)kernel->width * src->k * kernel->bytes;
    size_t column = round_up(n_panels * kernel->width * sizeof(float), ALIGN);
    size_t head = round_up(sizeof(struct mf_linear), ALIGN);
    size_t input = round_up((size_t)src->k * sizeof(float), ALIGN);
    size_t total = head + round_up(n_panels * panel, ALIGN) + 3 * column + input;
    char *block = mf_aligned(ALIGN, total);
    struct mf_linear *l = (struct mf_linear *)(void *)block;

    if (block == NULL) {
        return NULL;
    }
    memset(block, 0, total);
    l->kernel = kernel;
    l->k = src->k;
    l->n = src->n;
    l->panel_bytes = panel;
    l->bias = (float *)(void *)(block + head);
    l->scale = (float *)(void *)(block + head + column);
    l->sum = (int32_t *)(void *)(block + head + 2 * column);
    if (src->absmax != NULL && kernel->precision == MF_PREC_INT8) {
        l->smooth = (float *)(void *)(block + head + 3 * column);
    }
    l->w = (unsigned char *)block + head + 3 * column + input;
    return l;
}

/* Where the first weight of column n stands. */
static unsigned char *column_of(const struct mf_linear *l, uint32_t n)
{
    uint32_t width = l->kernel->width;

    return l->w + n / width * l->panel_bytes + (size_t)(n % width) * MF_GROUP_BYTES;
}

/* The weight of input k: its group is in row (byte / 4) of the panel. */
static void put(const struct mf_linear *l, unsigned char *column, uint32_t k,
                const void *w)
{
    size_t byte = (size_t)k * l->kernel->bytes;
    size_t row = byte / MF_GROUP_BYTES * MF_GROUP_BYTES * l->kernel->width;

    memcpy(column + row + byte % MF_GROUP_BYTES, w, l->kernel->bytes);
}

/* One factor an input, so that the large inputs and the large weights of it share the
 * trouble: sqrt(input / weight). The weights take it, x is divided by it. */
static void smooth(struct mf_linear *l, const struct mf_linear_source *src)
{
    for (uint32_t n = 0; n < l->n; n++) {
        for (uint32_t k = 0; k < l->k; k++) {
            l->smooth[k] = fmaxf(l->smooth[k], fabsf(src->w[(size_t)n * l->k + k]));
        }
    }
    for (uint32_t k = 0; k < l->k; k++) {
        l->smooth[k] =
            sqrtf(fmaxf(l->smooth[k], MIN_WEIGHT) / fmaxf(src->absmax[k], MIN_SEEN));
    }
}

static float smoothed(const struct mf_linear *l, const float *row, uint32_t k)
{
    return l->smooth == NULL ? row[k] : row[k] / l->smooth[k];
}

/* NaN becomes 0, what is too large the largest. */
static int16_t to_s8(float w)
{
    if (!(w > -S8_MAX)) {
        return isnan(w) ? 0 : -(int16_t)S8_MAX;
    }
    return (int16_t)lrintf(w < S8_MAX ? w : S8_MAX);
}

static void pack_int8_column(struct mf_linear *l, const float *row, uint32_t n)
{
    unsigned char *column = column_of(l, n);
    float max = 0;
    float scale;

    for (uint32_t k = 0; k < l->k; k++) {
        float w = fabsf(smoothed(l, row, k));

        max = w > max ? w : max;
    }
    scale = mf_max(max / S8_MAX, MIN_SCALE);
    l->scale[n] = scale;
    for (uint32_t k = 0; k < l->k; k++) {
        int16_t q16 = to_s8(smoothed(l, row, k) / scale);
        int8_t q8 = (int8_t)q16;
        bool is_byte = l->kernel->bytes == sizeof(q8);

        l->sum[n] += q16;
        put(l, column, k, is_byte ? (const void *)&q8 : &q16);
    }
}

static void pack_float_column(struct mf_linear *l, const float *row, uint32_t n)
{
    unsigned char *column = column_of(l, n);

    for (uint32_t k = 0; k < l->k; k++) {
        uint16_t half = mf_linear_bf16(row[k]);
        bool is_half = l->kernel->precision == MF_PREC_BF16;

        put(l, column, k, is_half ? (const void *)&half : &row[k]);
    }
}

int mf_linear_pack(struct mf_linear **out, const struct mf_linear_source *src,
                   const struct mf_linear_kernel *kernel)
{
    struct mf_linear *l;

    MF_ASSERT(src->k > 0 && src->k % 4 == 0 && src->k <= MF_LINEAR_MAX);
    MF_ASSERT(src->n > 0 && src->n % 4 == 0 && src->n <= MF_LINEAR_MAX);
    l = layer_new(src, kernel);
    if (l == NULL) {
        return MF_ENOMEM;
    }
    if (src->bias != NULL) {
        memcpy(l->bias, src->bias, src->n * sizeof(*src->bias));
    }
    if (l->smooth != NULL) {
        smooth(l, src);
    }
    for (uint32_t n = 0; n < src->n; n++) {
        const float *row = src->w + (size_t)n * src->k;

        if (kernel->precision == MF_PREC_INT8) {
            pack_int8_column(l, row, n);
        } else {
            pack_float_column(l, row, n);
        }
    }
    *out = l;
    return 0;
}

void mf_linear_free(struct mf_linear *l)
{
    mf_aligned_free(l);
}

uint16_t mf_linear_bf16(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    if (isnan(f)) {
        return (uint16_t)(bits >> 16 | 0x40); /* stays one though bits are lost */
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
