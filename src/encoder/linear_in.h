/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear_in: what the files of `linear` share: the packed layer, and the frame that
 * walks rows and panels around the three steps a kernel brings.
 *
 * Weights stand in panels of `width` columns; within a panel the inputs come in groups
 * of 4 bytes (1 float, 2 bf16 or int16, 4 int8), so that for every precision one
 * step of the inner loop is: a panel's row, times 4 bytes of x spread to all lanes.
 *
 * Owns:    a packed layer is one block
 * Thread:  any; a packed layer is only read
 * Limits:  see linear.h
 * Fails:   mf_linear_pack: MF_ENOMEM
 */
#ifndef MF_ENCODER_LINEAR_IN_H
#define MF_ENCODER_LINEAR_IN_H

#include "encoder/linear.h"

#define MF_TILE_MAX_ROWS  8
#define MF_TILE_MAX_WIDTH 48
#define MF_GROUP_BYTES    4

/* The largest u8: x becomes round(x / scale) + zero in 0..MF_U8_MAX. */
#define MF_U8_MAX 255

struct mf_linear {
    const struct mf_linear_kernel *kernel;
    uint32_t k, n;
    size_t panel_bytes;
    unsigned char *w; /* panels; the last one filled up with zeros */
    float *bias;      /* of a column, filled up to whole panels; zeros where none */
    float *scale;     /* int8: of a column */
    int32_t *sum;     /* int8: of a column's packed weights */
    float *smooth;    /* int8: x is multiplied by it, k; or NULL */
};

/* Rows as the tiles read them. `stride` is in bytes. */
struct mf_linear_rows {
    unsigned char *x;
    size_t stride;
    float *scale;  /* int8: of a row */
    int32_t *zero; /* int8: of a row */
    float *shift;  /* int8: of a row, scale times zero */
};

/* acc[r][c] (`width` of the kernel apart): room for the sums over all groups. */
struct mf_linear_tile {
    const unsigned char *x;
    size_t stride;
    const unsigned char *w;
    size_t n_groups;
    unsigned rows;
    void *acc; /* float or int32_t */
};

struct mf_linear_finish {
    const struct mf_linear *l;
    const void *acc;
    uint32_t first, cols; /* columns of the layer */
    unsigned rows;
    const float *scale; /* int8: of the first row */
    const int32_t *zero;
    const float *shift;
    void *y; /* float, or bf16 */
    size_t ldy;
    enum mf_epilogue ep;
    bool y_is_bf16;
};

struct mf_linear_kernel {
    enum mf_precision precision;
    uint32_t width;  /* columns of a panel */
    uint32_t height; /* most rows of a tile */
    uint32_t bytes;  /* of one number of x and w as the tile reads them */
    /* One row of x to 64-aligned `q`, which has room up to the next multiple of 64
     * bytes; fills in `row`'s scale and zero. NULL: the tile reads x itself. */
    void (*prepare)(const struct mf_linear *l, const float *x,
                    const struct mf_linear_rows *row);
    /* The same of a row in bf16. NULL: the tile reads it, too, if x may be that. */
    void (*prepare_bf16)(const struct mf_linear *l, const uint16_t *x,
                         const struct mf_linear_rows *row);
    /* The sums and the last step of a tile. */
    void (*run_tile)(const struct mf_linear_tile *t, const struct mf_linear_finish *f);
};

MF_MUST MF_ANY int mf_linear_pack(struct mf_linear **out,
                                  const struct mf_linear_source *src,
                                  const struct mf_linear_kernel *kernel);
MF_ANY void mf_linear_free(struct mf_linear *l);
MF_ANY size_t mf_linear_work_bytes(const struct mf_linear_kernel *kernel, size_t rows,
                                   uint32_t k);
MF_ANY void mf_linear_run(const struct mf_linear *l, const struct mf_linear_call *args);
MF_ANY bool mf_linear_never(void);

/* What the smallest and the largest number of a row (both with 0 among them) make of
 * it; `poison` is NaN when the row has a number that is not finite, else 0: it goes on
 * into the scale, so that the result is not finite either. Returns 1 / scale. */
MF_ANY float mf_linear_range(float min, float max, float poison,
                             const struct mf_linear_rows *row);

/* The table of a kernel: `pack` and `work_bytes` bind it, the rest is shared. */
#define MF_LINEAR_OPS(ops, title, what, kernel, supported, bf16)                       \
    static int pack_##kernel(struct mf_linear **out,                                   \
                             const struct mf_linear_source *src)                       \
    {                                                                                  \
        return mf_linear_pack(out, src, &(kernel));                                    \
    }                                                                                  \
    static size_t work_bytes_##kernel(size_t rows, uint32_t k)                         \
    {                                                                                  \
        return mf_linear_work_bytes(&(kernel), rows, k);                               \
    }                                                                                  \
    const struct mf_linear_ops(ops) = {                                                \
        .name = (title),                                                               \
        .precision = (what),                                                           \
        .is_supported = (supported),                                                   \
        .pack = pack_##kernel,                                                         \
        .free = mf_linear_free,                                                        \
        .work_bytes = work_bytes_##kernel,                                             \
        .has_bf16 = (bf16),                                                            \
        .run = mf_linear_run,                                                          \
    }

/* Nearest bf16, ties to even. */
MF_ANY uint16_t mf_linear_bf16(float f);

extern const struct mf_linear_ops mf_linear_f32_plain;
extern const struct mf_linear_ops mf_linear_bf16_plain;
extern const struct mf_linear_ops mf_linear_int8_plain;
#if defined(__x86_64__)
extern const struct mf_linear_ops mf_linear_f32_avx512;
extern const struct mf_linear_ops mf_linear_f32_avx2;
extern const struct mf_linear_ops mf_linear_bf16_avx512;
extern const struct mf_linear_ops mf_linear_int8_avx512;
extern const struct mf_linear_ops mf_linear_int8_avxvnni;
extern const struct mf_linear_ops mf_linear_int8_avx2;
#endif

#endif
