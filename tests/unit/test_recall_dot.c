/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "base/mem.h"
#include "recall/dot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIM 4096
#define N_ROWS  5

static const size_t dims[] = {1, 16, 63, 64, 65, 384, 1024, MAX_DIM};

struct rows {
    struct mf_dot_query q;
    int8_t *i8;
    float *f32;
};

/* Extremes: all bytes at the ends of their range, and the question too. */
static void draw(struct rows *r, size_t dim, bool extreme)
{
    static float q[MAX_DIM];
    size_t row_i8 = mf_dot_row_bytes(dim, false);
    size_t row_f32 = mf_dot_row_bytes(dim, true);

    r->i8 = mf_aligned(MF_DOT_ALIGN, N_ROWS * row_i8);
    r->f32 = mf_aligned(MF_DOT_ALIGN, N_ROWS * row_f32);
    memset(r->i8, 0, N_ROWS * row_i8);
    memset(r->f32, 0, N_ROWS * row_f32);
    for (size_t i = 0; i < dim; i++) {
        q[i] = (float)(rand() % 2001 - 1000) / 1000;
        q[i] = extreme ? (float)(rand() % 16 == 0 ? -1 : 1) : q[i];
    }
    for (size_t k = 0; k < N_ROWS; k++) {
        for (size_t i = 0; i < dim; i++) {
            r->i8[k * row_i8 + i] =
                (int8_t)(extreme ? (k % 2 == 0 ? -128 : 127) : rand() % 256 - 128);
            r->f32[k * row_f32 / sizeof(float) + i] =
                (float)(rand() % 2001 - 1000) / 1000;
        }
    }
    MF_CHECK_OK(mf_dot_query_init(&r->q, q, dim));
}

static void drop(struct rows *r)
{
    mf_dot_query_fini(&r->q);
    mf_aligned_free(r->i8);
    mf_aligned_free(r->f32);
}

static void check_equal(const struct mf_dot_ops *ops, const struct rows *r)
{
    int64_t want[N_ROWS];
    int64_t got[N_ROWS];
    float want_f[N_ROWS];
    float got_f[N_ROWS];
    const struct mf_dot_ops *plain = &mf_dot_plain;
    size_t n = r->q.n_i8;

    plain->rows_i8(r->i8, N_ROWS, &r->q, want);
    ops->rows_i8(r->i8, N_ROWS, &r->q, got);
    MF_CHECK_MEM(want, got, sizeof(want));
    plain->rows_f32(r->f32, N_ROWS, &r->q, want_f);
    ops->rows_f32(r->f32, N_ROWS, &r->q, got_f);
    for (size_t k = 0; k < N_ROWS; k++) {
        double length = sqrt((double)r->q.n_f32);

        MF_CHECK(fabs((double)want_f[k] - (double)got_f[k]) < 1e-5 * length);
        MF_CHECK_INT(plain->pair_i8(r->i8, r->i8 + k * n, n),
                     ops->pair_i8(r->i8, r->i8 + k * n, n));
    }
    MF_CHECK(fabs((double)plain->pair_f32(r->f32, r->q.f, r->q.n_f32) -
                  (double)ops->pair_f32(r->f32, r->q.f, r->q.n_f32)) < 1e-2);
}

static void check_path(const struct mf_dot_ops *ops)
{
    for (size_t i = 0; i < 2 * mf_countof(dims); i++) {
        struct rows r;

        draw(&r, dims[i / 2], i % 2 == 1);
        check_equal(ops, &r);
        drop(&r);
    }
}

MF_TEST(dot, gives_the_same_on_every_path)
{
    size_t n_paths = 0;

    (void)state;
    srand(3);
    for (const struct mf_dot_ops *const *ops = mf_dot_all(); *ops != NULL; ops++) {
        if ((*ops)->works()) {
            check_path(*ops);
            n_paths++;
        }
    }
    MF_CHECK(n_paths >= 1);
}

MF_TEST(dot, keeps_the_question_nearly_exact)
{
    struct rows r;
    int64_t sums[N_ROWS];
    double most = 0;

    (void)state;
    srand(4);
    draw(&r, 384, false);
    mf_dot()->rows_i8(r.i8, N_ROWS, &r.q, sums);
    for (size_t k = 0; k < N_ROWS; k++) {
        double exact = 0;
        double square = 0;

        for (size_t i = 0; i < 384; i++) {
            exact += (double)r.i8[k * r.q.n_i8 + i] * (double)r.q.f[i];
            square += pow((double)r.i8[k * r.q.n_i8 + i], 2);
        }
        most = fmax(most, fabs((double)mf_dot_value(&r.q, sums[k], 1) - exact) /
                              sqrt(square));
    }
    MF_CHECK(most < 1e-4); /* of a vector of length 1; the question's is 11 */
    drop(&r);
}

MF_TEST(dot, takes_the_best_path_unless_told)
{
    const struct mf_dot_ops *best = mf_dot();

    (void)state;
    MF_CHECK(best->works());
    mf_dot_use(&mf_dot_plain);
    MF_CHECK_PTR(mf_dot(), &mf_dot_plain);
    mf_dot_use(NULL);
    MF_CHECK_PTR(mf_dot(), best);
}

MF_TEST(dot, of_a_question_of_zeros_is_zero)
{
    static const float zeros[64];
    static const int8_t row[64] = {1, 2, 3};
    struct mf_dot_query q;
    int64_t sum;

    (void)state;
    MF_CHECK_OK(mf_dot_query_init(&q, zeros, 64));
    mf_dot()->rows_i8(row, 1, &q, &sum);
    MF_CHECK_INT(sum, 0);
    mf_dot_query_fini(&q);
    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_dot_query_init(&q, zeros, 64), MF_ENOMEM);
}
