/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "encoder/rowops.h"
#include "lib/mf_test.h"

#include <math.h>
#include <string.h>

#define GUARD_BYTES 64
#define GUARD_BYTE  0x5a

static uint32_t seed = 3;

static float uniform(void)
{
    seed = seed * 1664525U + 1013904223U;
    return (float)((double)(seed >> 8) / (1 << 23) - 1);
}

static float *random_floats(size_t n, float spread)
{
    float *v = mf_array(n, sizeof(*v));

    assert_non_null(v);
    for (size_t i = 0; i < n; i++) {
        v[i] = spread * uniform();
    }
    return v;
}

static const struct mf_rowops *plain(void)
{
    const struct mf_rowops *const *all = mf_rowops_all();

    while (all[1] != NULL) {
        all++;
    }
    return all[0];
}

static float farthest(const float *a, const float *b, size_t n)
{
    float most = 0;

    for (size_t i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(a[i] - b[i]));
    }
    return most;
}

/* Calls fn for each table that this CPU can run. */
static void each_table(void (*fn)(const struct mf_rowops *ops))
{
    const struct mf_rowops *const *all = mf_rowops_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        if (all[i]->is_supported()) {
            fn(all[i]);
        }
    }
}

static void norm_equals_plain(const struct mf_rowops *ops)
{
    static const uint32_t widths[] = {4, 8, 12, 20, 32, 36, 100, 384, 1024};

    for (size_t k = 0; k < mf_countof(widths); k++) {
        uint32_t n = widths[k];
        float *x = random_floats(3 * (size_t)n, 5);
        float *y = mf_array(3 * (size_t)n, sizeof(*y));
        float *g = random_floats(n, 1);
        float *b = random_floats(n, 1);

        memcpy(y, x, (size_t)3 * n * sizeof(*x));
        ops->layer_norm(x, 3, n, g, b, 1e-5F);
        plain()->layer_norm(y, 3, n, g, b, 1e-5F);
        MF_CHECK(farthest(x, y, 3 * (size_t)n) < 2e-6F);
        mf_free(x);
        mf_free(y);
        mf_free(g);
        mf_free(b);
    }
}

MF_TEST(rowops, layer_norm_of_every_table_equals_plain)
{
    each_table(norm_equals_plain);
}

static uint16_t bf16_of(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float float_of(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static void bf16_norm_is_norm(const struct mf_rowops *ops, uint32_t n)
{
    float *x = random_floats(3 * (size_t)n, 5);
    float *y = mf_array(3 * (size_t)n, sizeof(*y));
    float *g = random_floats(n, 1);
    float *b = random_floats(n, 1);
    uint16_t *half = mf_array(3 * (size_t)n + 1, sizeof(*half));
    struct mf_norm_rows rows = {
        .x = x, .rows = 3, .width = n, .g = g, .b = b, .eps = 1e-5F};

    memcpy(y, x, (size_t)3 * n * sizeof(*x));
    half[3 * (size_t)n] = GUARD_BYTE;
    ops->layer_norm(y, 3, n, g, b, 1e-5F);
    ops->layer_norm_bf16(&rows, half);
    for (size_t i = 0; i < 3 * (size_t)n; i++) {
        MF_CHECK(x[i] == y[i]);
        MF_CHECK_INT(half[i], bf16_of(x[i]));
    }
    MF_CHECK_INT(half[3 * (size_t)n], GUARD_BYTE);
    mf_free(x);
    mf_free(y);
    mf_free(g);
    mf_free(b);
    mf_free(half);
}

static void all_bf16_norm_is_norm(const struct mf_rowops *ops)
{
    static const uint32_t widths[] = {4, 12, 16, 36, 100, 384, 1024};

    for (size_t i = 0; ops->layer_norm_bf16 != NULL && i < mf_countof(widths); i++) {
        bf16_norm_is_norm(ops, widths[i]);
    }
}

MF_TEST(rowops, layer_norm_leaves_the_same_numbers_as_bf16)
{
    each_table(all_bf16_norm_is_norm);
}

MF_TEST(rowops, plain_layer_norm_gives_mean_zero_and_variance_one)
{
    float x[4] = {1, 2, 3, 6};
    const float g[4] = {1, 1, 1, 2};
    const float b[4] = {0, 0, 0, 1};

    plain()->layer_norm(x, 1, 4, g, b, 0);
    MF_CHECK(fabsf(x[0] + 2 / sqrtf(3.5F)) < 1e-6F);
    MF_CHECK(fabsf(x[2]) < 1e-6F);
    MF_CHECK(fabsf(x[3] - (6 / sqrtf(3.5F) + 1)) < 1e-6F);
}

struct attention_case {
    uint32_t n, width, n_heads;
    bool has_bias;
};

/* A block of exactly the bytes that were asked for. */
static unsigned char *guarded(size_t n)
{
    unsigned char *work = mf_aligned(64, n + GUARD_BYTES);

    assert_non_null(work);
    memset(work, 0xff, n); /* NaN, should somebody read what was not written */
    memset(work + n, GUARD_BYTE, GUARD_BYTES);
    return work;
}

static void guarded_free(unsigned char *work, size_t n)
{
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        MF_CHECK_INT(work[n + i], GUARD_BYTE);
    }
    mf_aligned_free(work);
}

static void attend(const struct mf_rowops *ops, const struct mf_attention *a, bool fast)
{
    size_t n = ops->attention_bytes(a->n, a->width, a->n_heads);
    unsigned char *work = guarded(n);

    (fast ? ops->attention_fast : ops->attention)(a, work);
    guarded_free(work, n);
}

/* As attend, through bf16 and back. */
static void attend_bf16(const struct mf_rowops *ops, const struct mf_attention *a)
{
    size_t n_out = (size_t)a->n * a->width;
    size_t n = ops->attention_bytes(a->n, a->width, a->n_heads);
    unsigned char *work = guarded(n);
    unsigned char *out = guarded(n_out * sizeof(uint16_t));
    uint16_t *qkv = mf_array(3 * n_out, sizeof(*qkv));
    struct mf_attention_bf16 b = {.qkv = qkv,
                                  .out = (uint16_t *)(void *)out,
                                  .n = a->n,
                                  .width = a->width,
                                  .n_heads = a->n_heads,
                                  .bias = a->bias,
                                  .bias_ld = a->bias_ld};

    assert_non_null(qkv);
    for (size_t i = 0; i < 3 * n_out; i++) {
        qkv[i] = bf16_of(a->qkv[i]);
    }
    ops->attention_bf16(&b, work);
    for (size_t i = 0; i < n_out; i++) {
        a->out[i] = float_of(b.out[i]);
    }
    mf_free(qkv);
    guarded_free(work, n);
    guarded_free(out, n_out * sizeof(uint16_t));
}

static void attention_equals_plain(const struct mf_rowops *ops,
                                   const struct attention_case *c)
{
    size_t n_out = (size_t)c->n * c->width;
    float *qkv = random_floats(3 * n_out, 1);
    float *bias = random_floats((size_t)c->n_heads * (2 * (size_t)c->n - 1), 2);
    float *out = mf_calloc(3 * n_out, sizeof(*out));
    struct mf_attention a = {.qkv = qkv,
                             .out = out,
                             .n = c->n,
                             .width = c->width,
                             .n_heads = c->n_heads,
                             .bias = c->has_bias ? bias + c->n - 1 : NULL,
                             .bias_ld = 2 * (size_t)c->n - 1};

    attend(plain(), &a, false);
    a.out = out + n_out;
    attend(ops, &a, false);
    a.out = out + 2 * n_out;
    attend(ops, &a, true);
    MF_CHECK(farthest(out, out + n_out, n_out) < 1e-5F);
    MF_CHECK(farthest(out, out + 2 * n_out, n_out) < 0.03F);
    if (ops->attention_bf16 != NULL) {
        attend_bf16(ops, &a);
        MF_CHECK(farthest(out, out + 2 * n_out, n_out) < 0.03F);
    }
    mf_free(qkv);
    mf_free(bias);
    mf_free(out);
}

static void all_attention_equals_plain(const struct mf_rowops *ops)
{
    static const uint32_t lengths[] = {1,  2,  3,  4,  5,  7,  8,  9,  15, 16,
                                       17, 23, 24, 25, 31, 47, 48, 49, 97, 200};
    static const uint32_t shapes[][2] = {{4, 1},  {24, 2},  {64, 2},  {48, 1},
                                         {80, 1}, {128, 2}, {128, 1}, {104, 2}};

    for (size_t i = 0; i < mf_countof(lengths); i++) {
        for (size_t k = 0; k < mf_countof(shapes); k++) {
            struct attention_case c = {
                .n = lengths[i], .width = shapes[k][0], .n_heads = shapes[k][1]};

            attention_equals_plain(ops, &c);
            c.has_bias = true;
            attention_equals_plain(ops, &c);
        }
    }
}

MF_TEST(rowops, attention_of_every_table_equals_plain_at_any_length_and_width)
{
    each_table(all_attention_equals_plain);
}

MF_TEST(rowops, plain_attention_of_equal_scores_is_the_mean_of_the_values)
{
    /* Queries are zero, so every key weighs the same. */
    float qkv[3][12] = {{0, 0, 0, 0, 1, 2, 3, 4, 3, 0, 0, 1},
                        {0, 0, 0, 0, 9, 8, 7, 6, 0, 3, 0, 1},
                        {0, 0, 0, 0, 5, 5, 5, 5, 0, 0, 6, 1}};
    float out[3][4];
    struct mf_attention a = {
        .qkv = qkv[0], .out = out[0], .n = 3, .width = 4, .n_heads = 1};

    attend(plain(), &a, false);
    for (int i = 0; i < 3; i++) {
        MF_CHECK(fabsf(out[i][0] - 1) < 1e-6F && fabsf(out[i][1] - 1) < 1e-6F);
        MF_CHECK(fabsf(out[i][2] - 2) < 1e-6F && fabsf(out[i][3] - 1) < 1e-6F);
    }
}

/* By each of the table's ways. */
#define N_WAYS 3

static bool attend_by(const struct mf_rowops *ops, const struct mf_attention *a,
                      int way)
{
    if (way == N_WAYS - 1 && ops->attention_bf16 == NULL) {
        return false;
    }
    if (way == N_WAYS - 1) {
        attend_bf16(ops, a);
    } else {
        attend(ops, a, way == 1);
    }
    return true;
}

static void large_scores_stay_finite(const struct mf_rowops *ops)
{
    float *qkv = random_floats((size_t)20 * 96, 300);
    float out[20 * 32];
    struct mf_attention a = {
        .qkv = qkv, .out = out, .n = 20, .width = 32, .n_heads = 1};

    for (int way = 0; way < N_WAYS && attend_by(ops, &a, way); way++) {
        for (size_t i = 0; i < mf_countof(out); i++) {
            MF_CHECK(isfinite(out[i]) && fabsf(out[i]) < 302);
        }
    }
    mf_free(qkv);
}

MF_TEST(rowops, attention_of_large_scores_stays_finite)
{
    each_table(large_scores_stay_finite);
}

static void nan_goes_through(const struct mf_rowops *ops)
{
    float *qkv = random_floats((size_t)20 * 96, 1);
    float out[20 * 32];
    struct mf_attention a = {
        .qkv = qkv, .out = out, .n = 20, .width = 32, .n_heads = 1};

    size_t row = 32;

    qkv[7 * 96 + 3] = NAN; /* of query 7 */
    for (int way = 0; way < N_WAYS && attend_by(ops, &a, way); way++) {
        MF_CHECK(isnan(out[7 * row]) && isnan(out[7 * row + 31]));
        MF_CHECK(isfinite(out[6 * row]) && isfinite(out[8 * row]));
    }
    mf_free(qkv);
}

MF_TEST(rowops, nan_in_a_query_is_seen_in_its_row)
{
    each_table(nan_goes_through);
}

static void sums_equal_plain(const struct mf_rowops *ops)
{
    for (size_t n = 1; n < 70; n++) {
        float *a = random_floats(n + 1, 3);
        float *b = random_floats(n, 3);
        float *c = mf_array(n + 1, sizeof(*c));

        memcpy(c, a, (n + 1) * sizeof(*a));
        ops->add(a, b, n);
        plain()->add(c, b, n);
        MF_CHECK_MEM(a, c, (n + 1) * sizeof(*a));
        ops->max(a, b, n);
        plain()->max(c, b, n);
        MF_CHECK_MEM(a, c, (n + 1) * sizeof(*a));
        mf_free(a);
        mf_free(b);
        mf_free(c);
    }
}

MF_TEST(rowops, add_and_max_of_every_table_equal_plain_and_stop_at_the_end)
{
    each_table(sums_equal_plain);
}

static void bytes_grow(const struct mf_rowops *ops)
{
    for (uint32_t n = 2; n < 600; n++) {
        MF_CHECK(ops->attention_bytes(n, 384, 12) >=
                 ops->attention_bytes(n - 1, 384, 12));
        MF_CHECK_INT(ops->attention_bytes(n, 384, 12) % 64, 0);
    }
}

MF_TEST(rowops, room_for_a_long_sequence_is_enough_for_a_short_one)
{
    each_table(bytes_grow);
}

MF_TEST(rowops, best_table_is_one_that_the_cpu_can_run)
{
    MF_CHECK(mf_rowops_best()->is_supported());
}
