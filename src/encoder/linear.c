/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/linear.h"

#include "base/mem.h"
#include "encoder/linear_in.h"

#include <string.h>
#include <time.h>

#define MEASURE_S 3e-3

static const struct mf_linear_ops *const all[] = {
#if defined(__x86_64__)
    &mf_linear_int8_avx512, &mf_linear_int8_avxvnni,
    &mf_linear_int8_avx2,
#endif
    &mf_linear_int8_plain,
#if defined(__x86_64__)
    &mf_linear_bf16_avx512,
#endif
    &mf_linear_bf16_plain,
#if defined(__x86_64__)
    &mf_linear_f32_avx512,  &mf_linear_f32_avx2,
#endif
    &mf_linear_f32_plain,   NULL,
};

const struct mf_linear_ops *const *mf_linear_all(void)
{
    return all;
}

const struct mf_linear_ops *mf_linear_best(enum mf_precision p)
{
    for (size_t i = 0; all[i] != NULL; i++) {
        if (all[i]->precision == p && all[i]->is_supported()) {
            return all[i];
        }
    }
    return NULL;
}

const char *mf_precision_name(enum mf_precision p)
{
    static const char *const names[] = {
        [MF_PREC_F32] = "f32",
        [MF_PREC_BF16] = "bf16",
        [MF_PREC_FP16] = "fp16",
        [MF_PREC_INT8] = "int8",
    };

    return names[p];
}

/* What one measurement works on; x, y and the work block stand in `block`. */
struct trial {
    const struct mf_linear_ops *ops;
    struct mf_linear *l;
    float *block, *x, *y;
    void *work;
    size_t rows;
    uint32_t k, n;
};

/* Small even numbers, no two neighbours alike: nothing here is slow or rounds away. */
static void fill(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (float)((int)(i * 37 % 101) - 50) / 64;
    }
}

static size_t padded(size_t n_floats)
{
    return (n_floats + 15) / 16 * 16;
}

static bool trial_init(struct trial *t)
{
    size_t n_x = padded(t->rows * t->k);
    size_t n_y = padded(t->rows * t->n);
    size_t n_w = (size_t)t->n * t->k;
    float *w = mf_array(n_w, sizeof(*w));
    int rc = -1;

    t->block =
        mf_aligned(64, (n_x + n_y) * sizeof(float) + t->ops->work_bytes(t->rows, t->k));
    if (w != NULL && t->block != NULL) {
        struct mf_linear_source src = {.w = w, .k = t->k, .n = t->n};

        fill(w, n_w);
        fill(t->block, n_x + n_y);
        t->x = t->block;
        t->y = t->x + n_x;
        t->work = t->y + n_y;
        rc = t->ops->pack(&t->l, &src);
    }
    mf_free(w);
    if (rc < 0) {
        mf_aligned_free(t->block);
    }
    return rc == 0;
}

static double cpu_s(void)
{
    struct timespec t = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void trial_run(const struct trial *t)
{
    struct mf_linear_call c = {
        .x = t->x,
        .y = t->y,
        .ldx = t->k,
        .ldy = t->n,
        .rows = t->rows,
        .ep = MF_EP_BIAS,
        .work = t->work,
    };

    t->ops->run(t->l, &c);
}

double mf_linear_measure(const struct mf_linear_ops *ops, size_t rows, uint32_t k,
                         uint32_t n)
{
    struct trial t = {.ops = ops, .rows = rows, .k = k, .n = n};
    double begin;
    double best = 1;

    if (!trial_init(&t)) {
        return 0;
    }
    trial_run(&t); /* caches and clock warm up */
    begin = cpu_s();
    do { /* the quickest run: the one that nobody disturbed */
        double from = cpu_s();

        trial_run(&t);
        best = mf_min(best, mf_max(cpu_s() - from, 1e-9));
    } while (cpu_s() - begin < MEASURE_S);
    ops->free(t.l);
    mf_aligned_free(t.block);
    return 2e-9 * (double)rows * k * n / best;
}
