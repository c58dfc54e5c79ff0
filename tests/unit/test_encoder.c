/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/mf_test.h"
#include "unit/encoder_kit.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define WIDTH 128 /* the widest model here */

static double distance(const float *a, const double *b, size_t n)
{
    double most = 0;

    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i] - b[i]));
    }
    return most;
}

/* The model's f32 vectors against the slow encoder, text by text. */
static void check_equals_reference(const struct kit_shape *shape)
{
    struct mf_weights *w = kit_model(shape);
    struct mf_encoder *e = kit_open(w, MF_WISH_F32);
    static float out[12 * WIDTH];
    struct kit_texts t;

    kit_texts(&t, 12, shape->window, 1);
    kit_run(e, &t.ids, 0, out);
    for (size_t i = 0; i < t.ids.n; i++) {
        double vector[WIDTH];

        kit_reference_vector(w, t.id + t.at[i], t.at[i + 1] - t.at[i], vector);
        MF_CHECK(distance(out + i * shape->hidden, vector, shape->hidden) < 1e-5);
    }
    mf_encoder_close(e);
    kit_model_free(w);
}

MF_TEST(encoder, f32_equals_slow_reference)
{
    check_equals_reference(&kit_small);
}

MF_TEST(encoder, f32_equals_slow_reference_for_every_architecture)
{
    static const enum mf_arch archs[] = {MF_ARCH_DISTILBERT, MF_ARCH_ROBERTA,
                                         MF_ARCH_MPNET};

    for (size_t i = 0; i < mf_countof(archs); i++) {
        struct kit_shape s = kit_small;

        s.arch = archs[i];
        check_equals_reference(&s);
    }
}

MF_TEST(encoder, f32_equals_slow_reference_for_every_pooling)
{
    static const enum mf_pooling poolings[] = {MF_POOL_CLS, MF_POOL_MAX, MF_POOL_LAST};

    for (size_t i = 0; i < mf_countof(poolings); i++) {
        struct kit_shape s = kit_small;

        s.pooling = poolings[i];
        check_equals_reference(&s);
    }
}

MF_TEST(encoder, f32_equals_slow_reference_for_other_widths_and_activations)
{
    struct kit_shape s = kit_small;

    s.hidden = 36; /* 12 dimensions a head, nothing a multiple of a register */
    s.n_heads = 3;
    s.ffn = 52;
    s.activation = MF_ACT_RELU;
    check_equals_reference(&s);
    s.hidden = 128;
    s.n_heads = 2;
    s.ffn = 200;
    s.activation = MF_ACT_GELU_TANH;
    check_equals_reference(&s);
}

MF_TEST(encoder, short_precisions_point_where_f32_points)
{
    static const enum mf_precision_wish wishes[] = {MF_WISH_BF16, MF_WISH_INT8};

    static const double bounds[] = {0.999, 0.99};
    struct mf_weights *w = kit_model(&kit_small);
    struct mf_encoder *f32 = kit_open(w, MF_WISH_F32);
    static float exact[20 * 32];
    static float out[20 * 32];
    struct kit_texts t;

    kit_texts(&t, 20, 40, 2);
    kit_run(f32, &t.ids, 0, exact);
    for (size_t k = 0; k < mf_countof(wishes); k++) {
        struct mf_encoder *e = kit_open(w, wishes[k]);

        kit_run(e, &t.ids, 0, out);
        for (size_t i = 0; i < t.ids.n; i++) {
            MF_CHECK(kit_cosine(out + i * 32, exact + i * 32, 32) > bounds[k]);
        }
        mf_encoder_close(e);
    }
    mf_encoder_close(f32);
    kit_model_free(w);
}

/* Bit by bit: a text's vector does not depend on its neighbours. */
static void check_ragged(enum mf_precision_wish wish)
{
    struct mf_weights *w = kit_model(&kit_small);
    struct mf_encoder *e = kit_open(w, wish);
    static float together[60 * 32];
    float alone[32];
    struct kit_texts t;

    kit_texts(&t, 60, 40, 3); /* more than one chunk, and more than the scratch's */
    MF_CHECK(t.at[60] > 1000);
    kit_run(e, &t.ids, 0, together);
    for (size_t i = 0; i < t.ids.n; i++) {
        uint32_t at[2];
        struct mf_ids one = kit_one(&t.ids, i, at);

        kit_run(e, &one, 0, alone);
        MF_CHECK_MEM(alone, together + i * 32, sizeof(alone));
    }
    mf_encoder_close(e);
    kit_model_free(w);
}

MF_TEST(encoder, ragged_batch_equals_texts_alone_in_f32)
{
    check_ragged(MF_WISH_F32);
}

MF_TEST(encoder, ragged_batch_equals_texts_alone_in_bf16)
{
    check_ragged(MF_WISH_BF16);
}

MF_TEST(encoder, ragged_batch_equals_texts_alone_in_int8)
{
    check_ragged(MF_WISH_INT8);
}

MF_TEST(encoder, per_token_gives_the_rows_before_pooling)
{
    struct mf_weights *w = kit_model(&kit_small);
    struct mf_encoder *e = kit_open(w, MF_WISH_F32);
    static float rows[5 * 40 * 32];
    double exact[40 * 32];
    struct kit_texts t;

    kit_texts(&t, 5, 40, 4);
    kit_run(e, &t.ids, MF_RUN_PER_TOKEN, rows);
    for (size_t i = 0; i < 5; i++) {
        uint32_t n = t.at[i + 1] - t.at[i];

        kit_reference(w, t.id + t.at[i], n, exact);
        MF_CHECK(distance(rows + (size_t)t.at[i] * 32, exact, (size_t)n * 32) < 2e-5);
    }
    mf_encoder_close(e);
    kit_model_free(w);
}

MF_TEST(encoder, raw_is_the_mean_and_otherwise_of_unit_length)
{
    struct mf_weights *w = kit_model(&kit_small);
    struct mf_encoder *e = kit_open(w, MF_WISH_F32);
    float raw[32];
    float unit[32];
    static float rows[40 * 32];
    double sum = 0;
    struct kit_texts t;

    kit_texts(&t, 1, 40, 5);
    kit_run(e, &t.ids, MF_RUN_RAW, raw);
    kit_run(e, &t.ids, 0, unit);
    kit_run(e, &t.ids, MF_RUN_PER_TOKEN, rows);
    for (size_t d = 0; d < 32; d++) {
        double mean = 0;

        for (size_t i = 0; i < t.at[1]; i++) {
            mean += (double)rows[i * 32 + d] / t.at[1];
        }
        MF_CHECK(fabs(mean - (double)raw[d]) < 1e-5);
        sum += (double)unit[d] * (double)unit[d];
    }
    MF_CHECK(fabs(sum - 1) < 1e-6);
    MF_CHECK(kit_cosine(raw, unit, 32) > 0.9999999);
    mf_encoder_close(e);
    kit_model_free(w);
}

/* Word 7 is NaN: of three texts the one that has it fails, the others are as ever. */
static void check_nan_fails_alone(enum mf_precision_wish wish, enum mf_pooling pooling)
{
    struct kit_shape shape = kit_small;
    static const uint32_t id[] = {1, 2, 3, 4, 7, 5, 6, 8};
    static const uint32_t at[] = {0, 3, 6, 8};
    const struct mf_ids ids = {.id = id, .at = at, .n = 3};
    struct mf_weights *w;
    struct mf_encoder *e;
    struct mf_scratch *s;
    float out[3 * 32];
    float zero[32] = {0};
    int rc[3];

    shape.pooling = pooling;
    w = kit_model(&shape);
    kit_of_model(w, MF_W_WORDS)[7 * 32 + 5] = NAN;
    e = kit_open(w, wish);
    MF_CHECK_OK(mf_scratch_new(&s, e, 64));
    mf_encoder_run(e, s, &ids, 0, out, rc);
    MF_CHECK_OK(rc[0]);
    MF_CHECK_INT(rc[1], MF_EBACKEND);
    MF_CHECK_OK(rc[2]);
    MF_CHECK_MEM(out + 32, zero, sizeof(zero));
    MF_CHECK(isfinite(out[0]) && isfinite(out[64]));
    mf_scratch_free(s);
    mf_encoder_close(e);
    kit_model_free(w);
}

MF_TEST(encoder, text_with_a_result_that_is_not_finite_fails_alone)
{
    static const enum mf_precision_wish wishes[] = {MF_WISH_F32, MF_WISH_BF16,
                                                    MF_WISH_INT8};

    for (size_t i = 0; i < mf_countof(wishes); i++) {
        check_nan_fails_alone(wishes[i], MF_POOL_MEAN);
        check_nan_fails_alone(wishes[i], MF_POOL_CLS);
        check_nan_fails_alone(wishes[i], MF_POOL_MAX);
    }
}

MF_TEST(encoder, text_that_does_not_fit_the_model_fails_alone)
{
    static uint32_t id[4 + 41 + 2] = {1, 2, KIT_VOCAB, 3};
    static const uint32_t at[] = {0, 2, 4, 4, 45, 47};
    const struct mf_ids ids = {.id = id, .at = at, .n = 5};
    struct mf_weights *w = kit_model(&kit_small);
    struct mf_encoder *e = kit_open(w, MF_WISH_F32);
    struct mf_scratch *s;
    float out[5 * 32];
    int rc[5];

    MF_CHECK_OK(mf_scratch_new(&s, e, 1)); /* as large as the window all the same */
    MF_CHECK_INT(mf_scratch_max_tokens(s), 40);
    mf_encoder_run(e, s, &ids, 0, out, rc);
    MF_CHECK_OK(rc[0]);
    MF_CHECK_INT(rc[1], MF_EBACKEND); /* an id out of the vocabulary */
    MF_CHECK_INT(rc[2], MF_EBACKEND); /* no piece at all */
    MF_CHECK_INT(rc[3], MF_EBACKEND); /* one piece more than the window */
    MF_CHECK_OK(rc[4]);
    mf_scratch_free(s);
    mf_encoder_close(e);
    kit_model_free(w);
}

static void check_refused(const struct kit_shape *shape, const char *word)
{
    struct mf_weights *w = kit_model(shape);
    struct mf_encoder_options opt = {.wish = MF_WISH_F32};
    struct mf_encoder *e;
    struct mf_err err = {0};

    MF_CHECK_INT(mf_encoder_open(&e, w, &opt, &err), MF_EINVAL);
    MF_CHECK_PTR(e, NULL);
    assert_non_null(strstr(err.msg, word));
    kit_model_free(w);
}

MF_TEST(encoder, open_refuses_shapes_it_cannot_compute)
{
    struct kit_shape s = kit_small;

    s.n_heads = 5;
    check_refused(&s, "heads");
    s.n_heads = 16; /* 2 dimensions a head */
    check_refused(&s, "dimensions a head");
    s = kit_small;
    s.ffn = 30;
    check_refused(&s, "intermediate_size");
}

struct runner {
    const struct mf_encoder *e;
    const struct mf_ids *ids;
    float out[20 * 32];
    bool is_equal;
    const double *expected;
};

static void *run_many(void *arg)
{
    struct runner *r = arg;
    struct mf_scratch *s;
    int rc[20];

    r->is_equal = mf_scratch_new(&s, r->e, 128) == 0;
    for (int i = 0; r->is_equal && i < 10; i++) {
        mf_encoder_run(r->e, s, r->ids, 0, r->out, rc);
        r->is_equal = distance(r->out, r->expected, mf_countof(r->out)) == 0;
    }
    mf_scratch_free(s);
    return NULL;
}

MF_TEST(encoder, several_threads_get_the_same_vectors)
{
    static struct runner runner[4];
    static double expected[20 * 32];
    static float out[20 * 32];
    struct mf_weights *w = kit_model(&kit_small);
    struct mf_encoder *e = kit_open(w, MF_WISH_INT8);
    pthread_t thread[4];
    struct kit_texts t;

    kit_texts(&t, 20, 40, 6);
    kit_run(e, &t.ids, 0, out);
    for (size_t i = 0; i < mf_countof(out); i++) {
        expected[i] = (double)out[i];
    }
    for (size_t i = 0; i < 4; i++) {
        runner[i] = (struct runner){.e = e, .ids = &t.ids, .expected = expected};
        MF_CHECK_OK(pthread_create(&thread[i], NULL, run_many, &runner[i]));
    }
    for (size_t i = 0; i < 4; i++) {
        MF_CHECK_OK(pthread_join(thread[i], NULL));
        MF_CHECK(runner[i].is_equal);
    }
    mf_encoder_close(e);
    kit_model_free(w);
}
