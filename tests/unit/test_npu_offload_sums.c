/* SPDX-License-Identifier: Apache-2.0 */
/* A product is checked whole, before it is used and without a look. */
#include "base/mem.h"
#include "encoder/encoder_in.h"
#include "lib/mf_test.h"
#include "npu/clock.h"
#include "npu/offload_in.h"
#include "npu/twin.h"
#include "unit/offload_kit.h"

#include <math.h>
#include <string.h>

#define ROWS_MAX    600
#define WIDE_MAX    1536
#define PATIENCE_NS 60000000000 /* a thread sanitizer may watch */

/* ---- one product ---- */

struct desk {
    struct bench b;
    struct rig *rig;
    struct mf_device_call call;
    struct product p;
    float x[ROWS_MAX * WIDE_MAX], before[ROWS_MAX * WIDE_MAX];
    uint32_t seed;
};

static struct desk desk;
static struct mf_npu_backend altered; /* the twin with functions of its own */

static float draw(void) /* -1..1 */
{
    desk.seed = desk.seed * 1664525U + 1013904223U;
    return (float)((double)(desk.seed >> 8) / (1 << 23) - 1);
}

static void desk_open(const struct kit_shape *shape,
                      const struct mf_npu_backend *backend)
{
    struct mf_npu_err err;

    desk.seed = 5;
    bench_prepare(&desk.b, shape);
    desk.b.conf.backend = backend;
    MF_CHECK_OK(mf_rig_open(&desk.rig, desk.b.e, &desk.b.conf, &err));
}

static void desk_close(void)
{
    mf_rig_close(desk.rig);
    bench_close(&desk.b);
}

static const struct rig_role *role_at(void)
{
    return &desk.rig->role[desk.call.role];
}

static float *number_at(size_t row, size_t column)
{
    float *c = desk.rig->backend->mem_map(desk.p.slot->c);

    return c + row * role_at()->padded_n + column;
}

/* As of a device that was measured and is exact. */
static void multiply(enum mf_dense_role role, size_t rows, float scale)
{
    struct mf_npu_err err;

    desk.call = (struct mf_device_call){
        .layer = 1, .role = role, .x = desk.x, .rows = rows, .ep = MF_EP_BIAS};
    for (size_t i = 0; i < rows * role_at()->k; i++) {
        desk.x[i] = scale * draw();
    }
    desk.p = (struct product){.rig = desk.rig,
                              .slot = &desk.rig->slot[0],
                              .call = &desk.call,
                              .bound = mf_sums_bound(0, role_at()->k)};
    MF_CHECK_OK(mf_product_plan(&desk.p));
    MF_CHECK_OK(mf_product_run(&desk.p, mf_npu_now_ns() + PATIENCE_NS, &err));
}

static int judge(void)
{
    struct mf_npu_err err;
    double worst;

    return mf_sums_check(&desk.p, &worst, &err);
}

static double typical(void)
{
    double square = 0;

    for (size_t row = 0; row < desk.call.rows; row++) {
        for (uint32_t i = 0; i < role_at()->n; i++) {
            square += pow((double)*number_at(row, i), 2);
        }
    }
    return sqrt(square / (double)(desk.call.rows * role_at()->n));
}

/* The code with another number there; it is put back. */
static int judge_with(size_t row, size_t column, float v)
{
    float *at = number_at(row, column), was = *at;
    int rc;

    *at = v;
    rc = judge();
    *at = was;
    return rc;
}

static void check_each_number(enum mf_dense_role role)
{
    float quarter;

    multiply(role, 21, 1);
    quarter = (float)typical() / 4;
    for (size_t row = 0; row < 21; row++) {
        for (uint32_t i = 0; i < role_at()->n; i++) {
            float v = *number_at(row, i);

            MF_CHECK_INT(judge_with(row, i, v + quarter), MF_ECORRUPT);
            MF_CHECK_INT(judge_with(row, i, v - quarter), MF_ECORRUPT);
        }
    }
    MF_CHECK_OK(judge());
}

MF_TEST(npu_offload_sums, one_wrong_number_is_found_in_any_row_and_column)
{
    desk_open(&kit_small, mf_npu_twin());
    check_each_number(MF_DENSE_QKV);
    check_each_number(MF_DENSE_OUT);
    check_each_number(MF_DENSE_DOWN);
    desk_close();
}

MF_TEST(npu_offload_sums, one_wrong_number_is_found_where_the_bias_is_added_here)
{
    struct kit_shape wide = kit_small;

    wide.hidden = wide.ffn = 512;
    desk_open(&wide, mf_npu_twin());
    for (int role = 0; role < MF_DENSE_ROLES; role++) {
        multiply((enum mf_dense_role)role, 9, 1);
        MF_CHECK(!role_at()->has_bias_row && role_at()->n % 512 == 0);
        MF_CHECK_OK(judge());
        for (uint32_t i = 0; i < role_at()->n; i += 11) {
            float v = *number_at(i % 9, i);

            MF_CHECK_INT(judge_with(i % 9, i, v + (float)typical() / 4), MF_ECORRUPT);
        }
    }
    desk_close();
}

/* Of two different numbers in a row: is it seen that they changed places? */
static bool is_swap_found(uint32_t i, uint32_t j)
{
    float first = *number_at(0, i);
    bool is_found;

    *number_at(0, i) = *number_at(0, j);
    is_found = judge_with(0, j, first) == MF_ECORRUPT;
    *number_at(0, i) = first;
    return is_found;
}

MF_TEST(npu_offload_sums, numbers_that_changed_places_in_a_row_are_found)
{
    unsigned n = 0, n_found = 0;

    desk_open(&kit_small, mf_npu_twin());
    multiply(MF_DENSE_QKV, 2, 1);
    for (uint32_t pair = 0; pair < 96 * 96; pair++) {
        uint32_t i = pair / 96, j = pair % 96;

        if (i < j && fabsf(*number_at(0, i) - *number_at(0, j)) > 0.1F) {
            n++;
            n_found += is_swap_found(i, j) ? 1 : 0;
        }
    }
    MF_CHECK(n > 3000 && n_found > n - n / 50); /* but of columns that count alike */
    MF_CHECK_OK(judge());
    desk_close();
}

MF_TEST(npu_offload_sums, the_sentence_names_layer_and_row)
{
    struct mf_npu_err err;
    double worst;

    desk_open(&kit_small, mf_npu_twin());
    multiply(MF_DENSE_OUT, 21, 1);
    *number_at(17, 3) += 1;
    MF_CHECK_INT(mf_sums_check(&desk.p, &worst, &err), MF_ECORRUPT);
    assert_non_null(strstr(err.text, "wrong numbers in layer 1: the sum of row 17 "));
    desk_close();
}

MF_TEST(npu_offload_sums, what_is_behind_the_columns_is_nobodys)
{
    desk_open(&kit_small, mf_npu_twin());
    multiply(MF_DENSE_QKV, 21, 1);
    MF_CHECK(role_at()->padded_n > role_at()->n);
    MF_CHECK_OK(judge_with(4, role_at()->n, 1e9F));
    MF_CHECK_OK(judge_with(21, 0, 1e9F)); /* no row of it */
    desk_close();
}

/* ---- rows ---- */

static void copy_row(float *to, size_t row)
{
    memcpy(to, number_at(row, 0), role_at()->n * sizeof(*to));
}

static void check_rows(enum mf_dense_role role)
{
    float *first = desk.before, *last = desk.before + WIDE_MAX;
    size_t bytes;

    multiply(role, 40, 1);
    bytes = role_at()->n * sizeof(float);
    copy_row(first, 7);
    copy_row(last, 39);
    memcpy(number_at(7, 0), last, bytes);
    MF_CHECK_INT(judge(), MF_ECORRUPT); /* one of them twice */
    memcpy(number_at(39, 0), first, bytes);
    MF_CHECK_INT(judge(), MF_ECORRUPT); /* they changed places */
    copy_row(number_at(7, 0), 39);
    memcpy(number_at(7, 0), first, bytes);
    memcpy(number_at(39, 0), last, bytes);
    MF_CHECK_OK(judge());
    memset(number_at(0, 0), 0, bytes);
    MF_CHECK_INT(judge(), MF_ECORRUPT);
}

static void check_stale(enum mf_dense_role role)
{
    size_t n;

    multiply(role, 40, 1);
    n = 40 * (size_t)role_at()->padded_n;
    memcpy(desk.before, number_at(0, 0), n * sizeof(float));
    multiply(role, 40, 1);
    MF_CHECK_OK(judge());
    memcpy(number_at(0, 0), desk.before, n * sizeof(float));
    MF_CHECK_INT(judge(), MF_ECORRUPT);
}

MF_TEST(npu_offload_sums, rows_of_zeros_in_a_wrong_place_or_of_another_job_are_found)
{
    desk_open(&kit_small, mf_npu_twin());
    for (int role = 0; role < MF_DENSE_ROLES; role++) {
        check_rows((enum mf_dense_role)role);
        check_stale((enum mf_dense_role)role);
    }
    desk_close();
}

MF_TEST(npu_offload_sums, what_is_no_number_is_found_anywhere)
{
    desk_open(&kit_small, mf_npu_twin());
    for (int role = 0; role < MF_DENSE_ROLES; role++) {
        multiply((enum mf_dense_role)role, 21, 1);
        for (uint32_t i = 0; i < role_at()->n; i++) {
            MF_CHECK_INT(judge_with(i % 21, i, NAN), MF_ECORRUPT);
            MF_CHECK_INT(judge_with(i % 21, i, INFINITY), MF_ECORRUPT);
            MF_CHECK_INT(judge_with(i % 21, i, -INFINITY), MF_ECORRUPT);
        }
    }
    desk_close();
}

MF_TEST(npu_offload_sums, what_was_given_no_number_is_no_fault_of_the_device)
{
    desk_open(&kit_small, mf_npu_twin());
    for (int role = 0; role < MF_DENSE_ROLES; role++) {
        struct mf_npu_err err;

        multiply((enum mf_dense_role)role, 21, 1);
        desk.x[5] = role % 2 == 0 ? NAN : INFINITY;
        MF_CHECK_OK(mf_product_run(&desk.p, mf_npu_now_ns() + PATIENCE_NS, &err));
        MF_CHECK_INT(judge(), MF_EINVAL);
    }
    desk_close();
}

/* ---- right numbers ---- */

/* A row of zeros, one of a single large number, one a thousand times the others. */
static void check_odd_rows(enum mf_dense_role role, float scale)
{
    struct mf_npu_err err;
    uint32_t k;

    multiply(role, 33, scale);
    k = role_at()->k;
    MF_CHECK_OK(judge());
    memset(desk.x, 0, k * sizeof(float));
    desk.x[k + 3] = 50 * scale;
    for (uint32_t i = 0; i < k; i++) {
        desk.x[2 * k + i] *= 1000;
        desk.x[3 * k + i] *= 0.001F;
        desk.x[4 * k + i] = fabsf(desk.x[4 * k + i]);
    }
    MF_CHECK_OK(mf_product_run(&desk.p, mf_npu_now_ns() + PATIENCE_NS, &err));
    MF_CHECK_OK(judge());
}

static void check_right(const struct kit_shape *shape, size_t n_batches)
{
    static const float scales[] = {1, 1e-3F, 1e4F, 1e-12F, 1e-25F, 1e22F, 1e30F};

    desk_open(shape, mf_npu_twin());
    for (int i = 0; i < MF_DENSE_ROLES; i++) {
        enum mf_dense_role role = (enum mf_dense_role)i;

        for (size_t s = 0; s < mf_countof(scales); s++) {
            check_odd_rows(role, scales[s]);
        }
        for (size_t n = 1; n <= n_batches; n++) {
            multiply(role, n * 37 % 300 + 1, 2);
            MF_CHECK_OK(judge());
        }
    }
    desk_close();
}

MF_TEST(npu_offload_sums, right_numbers_are_right_whatever_their_size)
{
    struct kit_shape odd = kit_small, wide = kit_small;

    odd.hidden = 36; /* no whole vector */
    odd.n_heads = 3;
    odd.ffn = 20;
    wide.hidden = wide.ffn = 512;
    check_right(&kit_small, 60);
    check_right(&odd, 20);
    check_right(&wide, 2);
}

/* ---- GELU on the device ---- */

MF_TEST(npu_offload_sums, of_gelu_some_columns_are_seen_and_looks_see_the_others)
{
    double cosine, most;

    desk_open(&kit_small, mf_npu_twin());
    multiply(MF_DENSE_UP, 21, 1);
    MF_CHECK(desk.p.has_gelu[0]);
    MF_CHECK_OK(judge());
    for (size_t row = 0; row < 21; row++) {
        for (uint32_t i = 0; i < 64; i++) { /* the 5th of each 8 */
            float v = *number_at(row, i) + 0.2F;

            MF_CHECK_INT(judge_with(row, i, v), i % 8 == 4 ? MF_ECORRUPT : 0);
        }
    }
    for (uint32_t i = 5; i < 12; i++) { /* a tile of all rows */
        for (size_t row = 0; row < 21; row++) {
            *number_at(row, i) += 0.2F;
        }
    }
    MF_CHECK_OK(judge());
    MF_CHECK_INT(mf_product_check(&desk.p, desk.b.e, 11, &cosine, &most), MF_ECORRUPT);
    desk_close();
}

/* ---- several runs ---- */

static int plan_small_linear(struct mf_npu_dev *dev, const struct mf_npu_gemm *g,
                             struct mf_npu_plan **out, struct mf_npu_err *err)
{
    *out = NULL;
    return g->m == 256 && g->epi == MF_NPU_EPI_GELU
               ? MF_EUNPROCESSABLE
               : mf_npu_twin()->plan(dev, g, out, err);
}

MF_TEST(npu_offload_sums, each_run_of_a_product_is_checked_as_it_was_computed)
{
    altered = *mf_npu_twin();
    altered.plan = plan_small_linear;
    desk_open(&kit_small, &altered);
    multiply(MF_DENSE_UP, 560, 1);
    MF_CHECK_INT(desk.p.n_ops, 2);
    MF_CHECK(desk.p.has_gelu[0] && !desk.p.has_gelu[1]);
    MF_CHECK_OK(judge());
    MF_CHECK_OK(judge_with(511, 7, *number_at(511, 7) + 0.2F));
    MF_CHECK_INT(judge_with(511, 4, *number_at(511, 4) + 0.2F), MF_ECORRUPT);
    MF_CHECK_INT(judge_with(512, 7, *number_at(512, 7) + 0.2F), MF_ECORRUPT);
    MF_CHECK_INT(judge_with(559, 63, *number_at(559, 63) + 0.2F), MF_ECORRUPT);
    multiply(MF_DENSE_OUT, 560, 1);
    MF_CHECK_INT(desk.p.n_ops, 2);
    MF_CHECK_OK(judge());
    for (size_t row = 0; row < 560; row++) {
        MF_CHECK_INT(judge_with(row, row % 32, *number_at(row, row % 32) + 0.2F),
                     MF_ECORRUPT);
    }
    desk_close();
}

/* ---- how near is right ---- */

MF_TEST(npu_offload_sums, the_bound_follows_what_was_measured_up_to_an_end)
{
    MF_CHECK(mf_sums_bound(-1, 384) == 0.25); /* nothing was */
    MF_CHECK(mf_sums_bound(0, 384) > 1e-4 && mf_sums_bound(0, 384) < 1e-3);
    MF_CHECK(mf_sums_bound(0, 1536) > mf_sums_bound(0, 384));
    MF_CHECK(mf_sums_bound(0.01, 384) > 0.05 && mf_sums_bound(0.01, 384) < 0.1);
    MF_CHECK(mf_sums_bound(1, 384) == 0.25);
}
