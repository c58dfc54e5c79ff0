/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "recall/searchrec.h"

#include <math.h>
#include <string.h>

#define DIM 48

static float vector[DIM];
static float other[DIM];

static void fill(float *v, int step)
{
    double sum = 0;

    for (int i = 0; i < DIM; i++) {
        v[i] = (float)((i * step) % 17 - 8);
        sum += (double)v[i] * (double)v[i];
    }
    for (int i = 0; i < DIM; i++) {
        v[i] /= (float)sqrt(sum);
    }
}

static struct mf_search_input input(void)
{
    fill(vector, 5);
    fill(other, 3);
    return (struct mf_search_input){.text = MF_SLICE("When did my dog meet the dogs?"),
                                    .role = MF_MSG_ASSISTANT,
                                    .created_us = 1684108800000000, /* 2023-05-15 */
                                    .vector = vector,
                                    .dim = DIM,
                                    .space = 0xCAFE};
}

static int build(struct mf_buf *out, const struct mf_search_input *in)
{
    struct mf_terms *t = mf_terms_new();
    int rc = mf_search_build(out, t, in);

    mf_terms_free(t);
    return rc;
}

static struct mf_slice bytes(const struct mf_buf *b)
{
    return mf_slice_of(b->p, b->n);
}

MF_TEST(searchrec, holds_what_it_was_built_from)
{
    struct mf_search_input in = input();
    struct mf_search_view v;
    struct mf_buf rec;

    (void)state;
    mf_buf_init(&rec);
    mf_buf_add_str(&rec, "xyz"); /* it appends */
    MF_CHECK_OK(build(&rec, &in));
    MF_CHECK_INT(rec.n, 3 + 24 + DIM + 2 * 5);
    MF_CHECK_OK(mf_search_view(mf_slice_of(rec.p + 3, rec.n - 3), &v));
    MF_CHECK_INT(v.flags, MF_SEARCH_SHORT_QUESTION);
    MF_CHECK_INT(v.role, MF_MSG_ASSISTANT);
    MF_CHECK(v.month == 5 && v.year == 2023);
    MF_CHECK(v.dim == DIM && v.space == 0xCAFE);
    MF_CHECK(v.n_terms == 3 && v.n_distinct == 2); /* dog, meet, dog */
    for (size_t i = 0; i < 2; i++) {
        bool is_dog = mf_get_u32(v.hashes + 4 * i) == mf_term_hash("dog", 3);

        MF_CHECK(is_dog || mf_get_u32(v.hashes + 4 * i) == mf_term_hash("meet", 4));
        MF_CHECK_INT(v.counts[i], is_dog ? 2 : 1);
    }
    for (size_t i = 0; i < DIM; i++) {
        float x = (float)((const int8_t *)v.vector)[i] * v.scale;

        MF_CHECK(fabsf(x - vector[i]) <= v.scale * .5001F);
    }
    mf_buf_fini(&rec);
}

MF_TEST(searchrec, keeps_floats_on_request)
{
    struct mf_search_input in = input();
    struct mf_search_view v;
    struct mf_buf rec;

    (void)state;
    in.as_f32 = true;
    in.is_knowledge = true;
    mf_buf_init(&rec);
    MF_CHECK_OK(build(&rec, &in));
    MF_CHECK_OK(mf_search_view(bytes(&rec), &v));
    MF_CHECK_INT(v.flags,
                 MF_SEARCH_SHORT_QUESTION | MF_SEARCH_KNOWLEDGE | MF_SEARCH_F32);
    MF_CHECK_MEM(v.vector, vector, sizeof(vector)); /* on a little-endian machine */
    mf_buf_fini(&rec);
}

MF_TEST(searchrec, takes_another_vector_and_keeps_the_rest)
{
    struct mf_search_input in = input();
    struct mf_search_view v;
    struct mf_buf rec;
    struct mf_buf late;
    struct mf_buf want;

    (void)state;
    mf_buf_init(&rec);
    mf_buf_init(&late);
    mf_buf_init(&want);
    in.vector = NULL;
    MF_CHECK_OK(build(&rec, &in));
    MF_CHECK_OK(mf_search_view(bytes(&rec), &v));
    MF_CHECK(v.dim == 0 && v.vector == NULL && v.space == 0);
    MF_CHECK_OK(mf_search_rebuild(&late, &v, other, DIM, 9, true));
    in.vector = other;
    in.space = 9;
    in.as_f32 = true;
    MF_CHECK_OK(build(&want, &in));
    MF_CHECK_INT(late.n, want.n);
    MF_CHECK_MEM(late.p, want.p, want.n);
    MF_CHECK_OK(mf_search_view(bytes(&late), &v));
    mf_buf_reset(&want);
    MF_CHECK_OK(mf_search_rebuild(&want, &v, NULL, 0, 0, false));
    MF_CHECK_INT(want.n, rec.n);
    MF_CHECK_MEM(want.p, rec.p, rec.n);
    mf_buf_fini(&rec);
    mf_buf_fini(&late);
    mf_buf_fini(&want);
}

MF_TEST(searchrec, refuses_a_vector_that_is_none)
{
    struct mf_search_input in = input();
    struct mf_buf rec;

    (void)state;
    mf_buf_init(&rec);
    vector[3] = NAN;
    MF_CHECK_INT(build(&rec, &in), MF_EINVAL);
    memset(vector, 0, sizeof(vector));
    MF_CHECK_INT(build(&rec, &in), MF_EINVAL);
    vector[0] = 2;
    MF_CHECK_INT(build(&rec, &in), MF_EINVAL);
    vector[0] = INFINITY;
    MF_CHECK_INT(build(&rec, &in), MF_EINVAL);
    MF_CHECK_INT(rec.n, 0);
    mf_buf_fini(&rec);
}

MF_TEST(searchrec, notices_damage)
{
    struct mf_search_input in = input();
    struct mf_search_view v;
    struct mf_buf rec;

    (void)state;
    in.as_f32 = true;
    mf_buf_init(&rec);
    MF_CHECK_OK(build(&rec, &in));
    for (size_t n = 0; n < rec.n; n++) {
        MF_CHECK_INT(mf_search_view(mf_slice_of(rec.p, n), &v), MF_ECORRUPT);
    }
    mf_buf_add_char(&rec, 1);
    MF_CHECK_INT(mf_search_view(bytes(&rec), &v), MF_ECORRUPT);
    rec.n--;
    for (size_t at = 0; at < 24; at++) { /* year, space and a date are free */
        char was = rec.p[at];
        bool is_free = at == 4 || at == 5 || (at >= 16 && at < 23);

        rec.p[at] = (char)0xFF;
        MF_CHECK_INT(mf_search_view(bytes(&rec), &v), is_free ? 0 : MF_ECORRUPT);
        rec.p[at] = was;
    }
    memset(rec.p + 24, 0xFF, 4); /* not a number */
    MF_CHECK_INT(mf_search_view(bytes(&rec), &v), MF_ECORRUPT);
    memset(rec.p + 24, 0, sizeof(vector));
    MF_CHECK_INT(mf_search_view(bytes(&rec), &v), MF_ECORRUPT);
    mf_buf_fini(&rec);
}

MF_TEST(searchrec, notices_terms_out_of_order_or_miscounted)
{
    struct mf_search_input in = input();
    struct mf_search_view v;
    struct mf_buf rec;
    char *hashes;

    (void)state;
    in.vector = NULL;
    mf_buf_init(&rec);
    MF_CHECK_OK(build(&rec, &in));
    hashes = rec.p + 24;
    memcpy(hashes + 4, hashes, 4);
    MF_CHECK_INT(mf_search_view(bytes(&rec), &v), MF_ECORRUPT);
    memset(hashes + 4, 0xFF, 4);
    MF_CHECK_OK(mf_search_view(bytes(&rec), &v));
    hashes[8] = 0;
    MF_CHECK_INT(mf_search_view(bytes(&rec), &v), MF_ECORRUPT);
    hashes[8] = 9;
    MF_CHECK_INT(mf_search_view(bytes(&rec), &v), MF_ECORRUPT);
    mf_buf_fini(&rec);
}

MF_TEST(searchrec, counts_many_repeats_up_to_255)
{
    static const char cat[4] = {'c', 'a', 't', ' '};
    static const char dog[4] = {'d', 'o', 'g', ' '};
    static char text[4 * 1000];
    struct mf_search_input in = input();
    struct mf_search_view v;
    struct mf_buf rec;

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        memcpy(text + 4 * i, i % 10 == 0 ? cat : dog, 4);
    }
    in.text = mf_slice_of(text, sizeof(text));
    mf_buf_init(&rec);
    MF_CHECK_OK(build(&rec, &in));
    MF_CHECK_OK(mf_search_view(bytes(&rec), &v));
    MF_CHECK(v.n_terms == 1000 && v.n_distinct == 2);
    MF_CHECK_INT(v.counts[0] + v.counts[1], 255 + 100);
    mf_buf_fini(&rec);
}

MF_TEST(searchrec, ends_cleanly_when_memory_runs_out)
{
    struct mf_search_input in = input();
    int rc = MF_ENOMEM;

    (void)state;
    for (size_t nth = 1; rc != 0; nth++) {
        struct mf_terms *t = mf_terms_new();
        struct mf_buf rec;

        mf_buf_init(&rec);
        mf_test_fail_nth(nth);
        rc = mf_search_build(&rec, t, &in);
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        mf_buf_fini(&rec);
        mf_terms_free(t);
    }
}

MF_TEST(passages, gives_the_best_span_that_fits)
{
    struct mf_buf rec;
    struct mf_passage p[3] = {{0, 10, other}, {10, 20, vector}, {30, 5, other}};
    uint32_t at;
    uint32_t n;

    (void)state;
    (void)input();
    mf_buf_init(&rec);
    MF_CHECK_OK(mf_passages_build(&rec, p, 3, DIM, 7));
    MF_CHECK_OK(mf_passages_best(bytes(&rec), vector, DIM, 7, 35, &at, &n));
    MF_CHECK(at == 10 && n == 20);
    MF_CHECK_OK(mf_passages_best(bytes(&rec), other, DIM, 7, 35, &at, &n));
    MF_CHECK(at == 0 && n == 10); /* the first of equals */
    MF_CHECK_OK(mf_passages_best(bytes(&rec), vector, DIM, 7, 29, &at, &n));
    MF_CHECK(at == 0 && n == 10); /* the text became shorter */
    MF_CHECK_INT(mf_passages_best(bytes(&rec), vector, DIM, 7, 4, &at, &n),
                 MF_ENOTFOUND);
    MF_CHECK_INT(mf_passages_best(bytes(&rec), vector, DIM, 8, 35, &at, &n),
                 MF_ENOTFOUND);
    MF_CHECK_INT(mf_passages_best(bytes(&rec), vector, 8, 7, 35, &at, &n),
                 MF_ENOTFOUND);
    mf_buf_fini(&rec);
}

MF_TEST(passages, notices_damage)
{
    struct mf_buf rec;
    struct mf_passage p = {0, 10, vector};
    uint32_t at;
    uint32_t n;

    (void)state;
    (void)input();
    mf_buf_init(&rec);
    MF_CHECK_OK(mf_passages_build(&rec, &p, 1, DIM, 7));
    for (size_t i = 0; i < rec.n; i++) {
        MF_CHECK_INT(
            mf_passages_best(mf_slice_of(rec.p, i), vector, DIM, 7, 35, &at, &n),
            MF_ECORRUPT);
    }
    mf_buf_reset(&rec);
    MF_CHECK_OK(mf_passages_build(&rec, NULL, 0, DIM, 7));
    MF_CHECK_INT(mf_passages_best(bytes(&rec), vector, DIM, 7, 35, &at, &n),
                 MF_ENOTFOUND);
    mf_buf_fini(&rec);
}
