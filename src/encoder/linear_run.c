/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear_in.h"

#include <string.h>

#define ALIGN 64

/* The prepared rows of a block stay near, beside one panel and what is written. */
#define BLOCK_BYTES ((size_t)64 << 10)

struct call {
    const struct mf_linear *l;
    const struct mf_linear_call *args;
    struct mf_linear_rows work;
};

static size_t bytes_of(bool is_bf16)
{
    return is_bf16 ? sizeof(uint16_t) : sizeof(float);
}

static const void *row_of_x(const struct mf_linear_call *a, size_t i)
{
    return (const char *)a->x + i * a->ldx * bytes_of(a->x_is_bf16);
}

/* The tile reads x itself. */
static bool is_ready(const struct mf_linear_kernel *kernel,
                     const struct mf_linear_call *a)
{
    return a->x_is_bf16 ? kernel->prepare_bf16 == NULL : kernel->prepare == NULL;
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Blocks of one size, or nearly: a last one of a single row would read all weights. */
static size_t block_rows(const struct mf_linear_kernel *kernel, size_t rows, uint32_t k)
{
    size_t most = BLOCK_BYTES / ((size_t)k * kernel->bytes);
    size_t n_blocks;

    most = mf_max(most / kernel->height, 1U) * kernel->height;
    n_blocks = mf_max((rows + most - 1) / most, 1U);
    return round_up((rows + n_blocks - 1) / n_blocks, kernel->height);
}

/* A line more than needed: rows that are 4096 bytes apart get in each other's way. */
static size_t row_stride(const struct mf_linear_kernel *kernel, uint32_t k)
{
    return round_up((size_t)k * kernel->bytes, ALIGN) + ALIGN;
}

size_t mf_linear_work_bytes(const struct mf_linear_kernel *kernel, size_t rows,
                            uint32_t k)
{
    size_t block = block_rows(kernel, rows, k);

    if (kernel->prepare == NULL) {
        return 0;
    }
    return block * row_stride(kernel, k) + 3 * round_up(block * sizeof(float), ALIGN);
}

static struct mf_linear_rows work_rows(const struct mf_linear *l, size_t block,
                                       void *work)
{
    size_t column = round_up(block * sizeof(float), ALIGN);
    unsigned char *at = work;

    return (struct mf_linear_rows){
        .scale = work,
        .zero = (int32_t *)(void *)(at + column),
        .shift = (float *)(void *)(at + 2 * column),
        .x = at + 3 * column,
        .stride = row_stride(l->kernel, l->k),
    };
}

static void prepare_block(const struct call *c, size_t first, size_t rows)
{
    const struct mf_linear_kernel *kernel = c->l->kernel;
    struct mf_linear_rows row = c->work;

    for (size_t i = 0; i < rows; i++) {
        const void *x = row_of_x(c->args, first + i);

        if (c->args->x_is_bf16) {
            kernel->prepare_bf16(c->l, x, &row);
        } else {
            kernel->prepare(c->l, x, &row);
        }
        row.x += row.stride;
        row.scale++;
        row.zero++;
        row.shift++;
    }
}

/* One panel for all rows of the block, in tiles of nearly the same height: 17 rows are
 * 6 + 6 + 5, since a tile of one row would wait for its own sums. */
static void run_panel(const struct call *c, uint32_t panel, size_t first, size_t rows)
{
    const struct mf_linear *l = c->l;
    const struct mf_linear_kernel *kernel = l->kernel;
    _Alignas(ALIGN) float acc[MF_TILE_MAX_ROWS * MF_TILE_MAX_WIDTH];
    uint32_t column = panel * kernel->width;
    struct mf_linear_tile t = {
        .w = l->w + panel * l->panel_bytes,
        .n_groups = (size_t)l->k * kernel->bytes / MF_GROUP_BYTES,
        .stride = c->work.stride,
        .acc = acc,
    };
    struct mf_linear_finish f = {
        .l = l,
        .acc = acc,
        .first = column,
        .cols = mf_min(kernel->width, l->n - column),
        .ldy = c->args->ldy,
        .ep = c->args->ep,
        .y_is_bf16 = c->args->y_is_bf16,
    };
    size_t y_bytes = bytes_of(f.y_is_bf16);

    for (size_t i = 0; i < rows; i += t.rows) {
        size_t n_tiles = (rows - i + kernel->height - 1) / kernel->height;

        t.rows = (unsigned)((rows - i + n_tiles - 1) / n_tiles);
        t.x = c->work.x + i * c->work.stride;
        f.rows = t.rows;
        if (kernel->precision == MF_PREC_INT8) {
            f.scale = c->work.scale + i;
            f.zero = c->work.zero + i;
            f.shift = c->work.shift + i;
        }
        f.y = (char *)c->args->y + ((first + i) * f.ldy + column) * y_bytes;
        kernel->run_tile(&t, &f);
    }
}

static void run_block(struct call *c, size_t first, size_t rows)
{
    const struct mf_linear_kernel *kernel = c->l->kernel;
    uint32_t n_panels = (c->l->n + kernel->width - 1) / kernel->width;

    if (!is_ready(kernel, c->args)) {
        prepare_block(c, first, rows);
    } else {
        /* Through an integer: a tile only reads, but its work rows are written. */
        c->work.x = (unsigned char *)(uintptr_t)row_of_x(c->args, first);
        c->work.stride = c->args->ldx * bytes_of(c->args->x_is_bf16);
    }
    for (uint32_t p = 0; p < n_panels; p++) {
        run_panel(c, p, first, rows);
    }
}

void mf_linear_run(const struct mf_linear *l, const struct mf_linear_call *args)
{
    size_t block = block_rows(l->kernel, args->rows, l->k);
    struct call c = {.l = l, .args = args};

    if (!is_ready(l->kernel, args)) {
        c.work = work_rows(l, block, args->work);
    }
    for (size_t i = 0; i < args->rows; i += block) {
        run_block(&c, i, mf_min(block, args->rows - i));
    }
}

bool mf_linear_never(void)
{
    return false;
}
