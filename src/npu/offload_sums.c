/* SPDX-License-Identifier: Apache-2.0 */
/* Is a product right, in all its rows, without computing it again? (Freivalds, 1979;
 * Huang and Abraham, 1984.) The sum of a row of C, each element times a random r[j], is
 * the same row of A times W r; and W r is known since the weights were loaded. That
 * costs a row k + n multiplications, not k n.
 *
 * How far the two may differ: elements err independently of the signs of r, so the sum
 * errs as the root of their squares does. Each of those grows with the root of
 * (a[k] w[k][j])^2 over k; over all j that is (a[k] u[k])^2, u[k] the length of row k
 * of W. Both sums are divided by that. What a device that is right makes of it was seen
 * while it was measured (bound); the canary could not say, its numbers are exact on
 * every device.
 *
 * Sums are in floats, for speed: they err a hundred times less than what is let pass. A
 * row that seems wrong, or is too large or too small for the squares, is summed in
 * doubles before it is called wrong.
 *
 * GELU is not linear. Where the device computes it, a few columns of all rows are
 * computed here instead, and compared as the canary's elements are.
 *
 * Everything is taken from x, not from its copy in A: that one is the device's to
 * spoil. */
#include "base/mem.h"
#include "npu/canary.h"
#include "npu/offload_in.h"
#include "npu/pack.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define LANES 16
#define TINY  1e-30 /* below it devices may say zero */

/* Of the length: a row of other numbers is off by about 1. */
#define MOST        (1.0 / 4)
/* So many times the worst that was measured, whatever the texts are. */
#define MARGIN      8
/* Sums of k floats err by less than this k, six times over: random signs go beyond six
 * with a chance of 2 exp(-18). */
#define FLOAT_ERROR (6.0 * (double)FLT_EPSILON)

/* ---- what is known of the weights ---- */

static const struct rig_role *role_of(const struct product *p)
{
    return &p->rig->role[p->call->role];
}

static const struct rig_sums *sums_of(const struct product *p)
{
    return &mf_rig_dense(p->rig, p->call->layer, p->call->role)->sums;
}

/* Either sign, 0.5 to 1: no element counts for little, few count alike. */
static float weight_of(uint32_t column)
{
    uint32_t h = (column + 1) * 0x9e3779b9U;
    float size;

    h = (h ^ h >> 15) * 0x85ebca6bU;
    h ^= h >> 13;
    size = 0.5F + (float)(h & 0xffffU) / 131072.0F;
    return h >> 31 == 0 ? size : -size;
}

static uint32_t column_of(uint32_t n, uint32_t i)
{
    return (uint32_t)((uint64_t)n * (2 * i + 1) / 2 / MF_NPU_SUM_COLUMNS);
}

static float rounded(float v)
{
    return mf_npu_float(mf_npu_bf16(v));
}

/* Row `k` of the weights, the bias for one below them. */
static void sum_weights(const struct rig *r, struct rig_sums *s, uint32_t k,
                        const float *w, uint32_t n)
{
    double sum = 0, square = 0;

    for (uint32_t i = 0; i < n; i++) {
        double v = (double)rounded(w[i]);

        sum += v * (double)r->sign[i];
        square += v * v;
    }
    s->sum[k] = (float)sum;
    s->length[k] = (float)sqrt(square);
    for (uint32_t i = 0; i < MF_NPU_SUM_COLUMNS && s->column[i] != NULL; i++) {
        s->column[i][k] = rounded(w[column_of(n, i)]);
    }
}

static double length_of(const float *v, uint32_t n)
{
    double square = 0;

    for (uint32_t i = 0; i < n; i++) {
        square += (double)v[i] * (double)v[i];
    }
    return sqrt(square);
}

int mf_sums_open(struct rig *r)
{
    uint32_t n = 0;

    for (int i = 0; i < MF_DENSE_ROLES; i++) {
        n = mf_max(n, r->role[i].n);
    }
    r->sign = mf_array(n, sizeof(*r->sign));
    if (r->sign == NULL) {
        return MF_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        r->sign[i] = weight_of(i);
    }
    return 0;
}

static bool has_gelu_somewhere(const struct rig *r, const struct rig_role *role)
{
    bool has = false;

    for (int i = 0; i < r->n_buckets; i++) {
        has = has || role->plan[i].has_gelu;
    }
    return has;
}

int mf_sums_make(const struct rig *r, const struct rig_role *role,
                 const struct mf_dense_weights *d, struct rig_sums *s)
{
    uint32_t n_columns = has_gelu_somewhere(r, role) ? MF_NPU_SUM_COLUMNS : 0;
    size_t ld = (size_t)d->k + 1;
    float *room = mf_calloc((2 + n_columns) * ld, sizeof(*room));

    if (room == NULL) {
        return MF_ENOMEM;
    }
    s->sum = room;
    s->length = room + ld;
    for (uint32_t i = 0; i < n_columns; i++) {
        s->column[i] = room + (2 + i) * ld;
    }
    for (uint32_t k = 0; k < d->k; k++) {
        sum_weights(r, s, k, d->w + (size_t)k * d->n, d->n);
    }
    if (role->has_bias_row) {
        sum_weights(r, s, d->k, d->bias, d->n);
    }
    for (uint32_t i = 0; i < n_columns; i++) {
        s->column_length[i] = length_of(s->column[i], d->k + 1);
    }
    return 0;
}

void mf_sums_free(struct rig_sums *s)
{
    mf_free(s->sum); /* the others are in its room */
}

double mf_sums_bound(double worst, uint32_t k)
{
    if (worst < 0) {
        return MOST;
    }
    return fmin(MOST, fmax(MARGIN * worst, FLOAT_ERROR * (k + 1)));
}

/* ---- what is expected ---- */

/* Vectors that every CPU has; four sums, which do not wait for each other. */
typedef float quad __attribute__((vector_size(LANES / 4 * sizeof(float))));

struct lanes {
    quad a, b, c, d;
};

static inline struct lanes load(const float *v)
{
    struct lanes l;

    memcpy(&l, v, sizeof(l));
    return l;
}

/* What is left of `n` after whole lanes, and zeros. */
static inline struct lanes load_rest(const float *v, size_t n)
{
    float rest[LANES] = {0};

    memcpy(rest, v + n - n % LANES, n % LANES * sizeof(*v));
    return load(rest);
}

static inline struct lanes times(struct lanes x, struct lanes y)
{
    return (struct lanes){x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d};
}

static inline struct lanes plus(struct lanes x, struct lanes y)
{
    return (struct lanes){x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d};
}

static inline float add_up(struct lanes l)
{
    quad sum = l.a + l.b + l.c + l.d;

    return sum[0] + sum[1] + sum[2] + sum[3];
}

static float dot(const float *a, const float *b, uint32_t n)
{
    struct lanes sum = times(load_rest(a, n), load_rest(b, n));

    for (uint32_t i = 0; i + LANES <= n; i += LANES) {
        sum = plus(sum, times(load(a + i), load(b + i)));
    }
    return add_up(sum);
}

static float dot_of_squares(const float *a, const float *b, uint32_t n)
{
    struct lanes v = times(load_rest(a, n), load_rest(b, n)), sum = times(v, v);

    for (uint32_t i = 0; i + LANES <= n; i += LANES) {
        v = times(load(a + i), load(b + i));
        sum = plus(sum, times(v, v));
    }
    return add_up(sum);
}

/* `a`: the row, rounded, and a 1 behind it for the bias. */
static void expect_row(const struct rig_sums *s, const float *a, uint32_t n,
                       bool has_gelu, struct sum_row *to)
{
    if (!has_gelu) {
        to->want[0] = dot(a, s->sum, n);
        to->length = sqrtf(dot_of_squares(a, s->length, n));
        return;
    }
    for (uint32_t i = 0; i < MF_NPU_SUM_COLUMNS; i++) {
        to->want[i] = (float)mf_npu_gelu((double)dot(a, s->column[i], n));
    }
    to->length = sqrtf(dot(a, a, n));
}

void mf_sums_expect(const struct product *p)
{
    uint32_t k = role_of(p)->k;
    float *a = p->slot->row;

    a[k] = 1; /* what it is multiplied with is zero where there is no bias */
    for (size_t row = 0; row < p->call->rows; row++) {
        const float *x = p->call->x + row * k;
        bool has_gelu;

        (void)mf_product_row(p, row, &has_gelu);
        for (uint32_t i = 0; i < k; i++) {
            a[i] = rounded(x[i]);
        }
        expect_row(sums_of(p), a, k + 1, has_gelu, &p->slot->sum[row]);
    }
}

/* ---- what came ---- */

static bool is_finite(const float *v, size_t n)
{
    const struct lanes zero = {.a = {0}};
    struct lanes sum = times(load_rest(v, n), zero);

    for (size_t i = 0; i + LANES <= n; i += LANES) {
        sum = plus(sum, times(load(v + i), zero));
    }
    return add_up(sum) == 0;
}

struct exact {
    double off, length;
};

static bool is_right(const struct exact *e, double bound)
{
    return e->off <= bound * e->length + TINY && isfinite(e->length);
}

static struct exact sum_exactly(const struct product *p, size_t row, const float *c)
{
    const struct rig_role *role = role_of(p);
    const struct rig_sums *s = sums_of(p);
    const float *x = p->call->x + row * role->k;
    double got = 0, want = (double)s->sum[role->k], length = (double)s->length[role->k];
    double square = length * length;

    for (uint32_t i = 0; i < role->k; i++) {
        double a = (double)rounded(x[i]), v = a * (double)s->length[i];

        want += a * (double)s->sum[i];
        square += v * v;
    }
    for (uint32_t i = 0; i < role->n; i++) {
        got += (double)c[i] * (double)p->rig->sign[i];
    }
    return (struct exact){fabs(got - want), sqrt(square)};
}

static int check_sum(const struct product *p, size_t row, const float *c, double *worst,
                     struct mf_npu_err *err)
{
    const struct sum_row *s = &p->slot->sum[row];
    float got = dot(c, p->rig->sign, role_of(p)->n);
    struct exact e = {(double)fabsf(got - s->want[0]), (double)s->length};

    if (!is_right(&e, p->bound)) {
        e = sum_exactly(p, row, c);
    }
    if (!is_right(&e, p->bound)) {
        return mf_npu_err_set(err, MF_ECORRUPT,
                              "wrong numbers in layer %u: the sum of row %zu is off by "
                              "%g of its length, more than %g",
                              p->call->layer, row, e.off / e.length, p->bound);
    }
    *worst = fmax(*worst, e.off > TINY ? e.off / e.length : 0);
    return 0;
}

static int check_columns(const struct product *p, size_t row, const float *c,
                         struct mf_npu_err *err)
{
    const struct rig_sums *s = sums_of(p);
    const struct sum_row *want = &p->slot->sum[row];
    uint32_t n = role_of(p)->n;
    struct mf_npu_gauge gauge = {0};

    if (!is_finite(c, n)) {
        return mf_npu_err_set(err, MF_ECORRUPT, "what is no number in layer %u",
                              p->call->layer);
    }
    for (uint32_t i = 0; i < MF_NPU_SUM_COLUMNS; i++) {
        mf_npu_gauge_add(&gauge, (double)c[column_of(n, i)], (double)want->want[i],
                         (double)want->length * s->column_length[i], MF_NPU_EPI_GELU);
    }
    return gauge.n_wrong == 0
               ? 0
               : mf_npu_err_set(err, MF_ECORRUPT,
                                "wrong numbers in layer %u: %zu of %d columns of row "
                                "%zu, error %g",
                                p->call->layer, gauge.n_wrong, MF_NPU_SUM_COLUMNS, row,
                                gauge.max_abs_err);
}

int mf_sums_check(const struct product *p, double *worst, struct mf_npu_err *err)
{
    int rc = 0;

    *worst = -1;
    for (size_t row = 0; rc == 0 && row < p->call->rows; row++) {
        bool has_gelu;
        const float *c = mf_product_row(p, row, &has_gelu);

        rc =
            has_gelu ? check_columns(p, row, c, err) : check_sum(p, row, c, worst, err);
    }
    if (rc < 0 && !is_finite(p->call->x, p->call->rows * role_of(p)->k)) {
        rc = mf_npu_err_set(err, MF_EINVAL, "it was given what is no number");
    }
    return rc;
}
