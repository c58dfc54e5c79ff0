/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/mf_test.h"
#include "lib/test_file.h"
#include "unit/encoder_kit.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct kit_texts calibration, guard;
    struct mf_encoder_options opt;
    struct mf_weights *w;
};

static void fixture_init(struct fixture *f, enum mf_precision_wish wish)
{
    kit_texts(&f->calibration, 20, 40, 11);
    kit_texts(&f->guard, 20, 40, 12);
    f->w = kit_model(&kit_small);
    f->opt = (struct mf_encoder_options){
        .wish = wish, .calibration = f->calibration.ids, .guard = f->guard.ids};
}

/* A few units of the FFN drown the rest of an int8 row, and their readers are smaller
 * by as much. The one calibration text has one piece: it does not show most of them. */
static void add_outliers(struct fixture *f)
{
    for (uint32_t l = 0; l < 2; l++) {
        float *up = kit_of_layer(f->w, l, MF_W_UP);
        float *down = kit_of_layer(f->w, l, MF_W_DOWN);

        for (size_t i = 0; i < (size_t)8 * 32; i++) {
            up[i] *= 600;
            down[i / 8 * 64 + i % 8] *= 0.002F;
        }
    }
    kit_texts(&f->calibration, 1, 1, 11);
    f->opt.calibration = f->calibration.ids;
}

static struct mf_encoder_info open_info(const struct fixture *f, struct mf_encoder **e)
{
    struct mf_err err = {0};
    int rc = mf_encoder_open(e, f->w, &f->opt, &err);

    if (rc != 0) {
        print_message("%s\n", err.msg);
    }
    MF_CHECK_OK(rc);
    return *mf_encoder_info(*e);
}

MF_TEST(encoder_choice, f32_needs_no_guard)
{
    struct fixture f;
    struct mf_encoder *e;
    struct mf_encoder_info i;

    fixture_init(&f, MF_WISH_F32);
    i = open_info(&f, &e);
    MF_CHECK_STR(i.precision, "f32");
    MF_CHECK(i.guard_min == 1 && i.guard_mean == 1 && !i.was_cached);
    mf_encoder_close(e);
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, wish_that_passes_tells_its_cosines)
{
    struct fixture f;
    struct mf_encoder *e;
    struct mf_encoder_info i;

    fixture_init(&f, MF_WISH_INT8);
    i = open_info(&f, &e);
    MF_CHECK_STR(i.precision, "int8");
    MF_CHECK(i.guard_min >= MF_GUARD_MIN_INT8 && i.guard_min < 1);
    MF_CHECK(i.guard_mean >= i.guard_min && i.guard_mean <= 1);
    MF_CHECK(i.gops > 0);
    assert_non_null(strstr(i.kernel, "int8-"));
    mf_encoder_close(e);
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, wish_that_fails_its_guard_is_refused_with_figures)
{
    struct fixture f;
    struct mf_encoder *e;
    struct mf_err err = {0};

    fixture_init(&f, MF_WISH_INT8);
    add_outliers(&f);
    MF_CHECK_INT(mf_encoder_open(&e, f.w, &f.opt, &err), MF_EINVAL);
    MF_CHECK_PTR(e, NULL);
    assert_non_null(strstr(err.msg, "embed.precision=int8"));
    assert_non_null(strstr(err.msg, "below 0.99"));
    assert_non_null(strstr(err.msg, "embed.precision=auto"));
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, auto_steps_down_for_a_model_that_int8_spoils)
{
    struct fixture f;
    struct mf_encoder *e;
    struct mf_encoder_info i;

    fixture_init(&f, MF_WISH_AUTO);
    add_outliers(&f);
    i = open_info(&f, &e);
    MF_CHECK(strcmp(i.precision, "int8") != 0);
    MF_CHECK(i.guard_min >= MF_GUARD_MIN_INT8);
    mf_encoder_close(e);
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, auto_without_texts_takes_no_int8)
{
    struct fixture f;
    struct mf_encoder *e;
    struct mf_encoder_info i;

    fixture_init(&f, MF_WISH_AUTO);
    f.opt.calibration = (struct mf_ids){0};
    i = open_info(&f, &e);
    MF_CHECK(strncmp(i.precision, "int8", 4) != 0);
    mf_encoder_close(e);
    f.opt.calibration = f.calibration.ids;
    f.opt.guard = (struct mf_ids){0};
    i = open_info(&f, &e);
    MF_CHECK(strncmp(i.precision, "int8", 4) != 0);
    mf_encoder_close(e);
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, model_without_finite_vectors_passes_no_guard)
{
    struct fixture f;
    struct mf_encoder *e;

    fixture_init(&f, MF_WISH_AUTO);
    kit_of_layer(f.w, 0, MF_W_QUERY)[0] = NAN;
    MF_CHECK_STR(open_info(&f, &e).precision, "f32");
    mf_encoder_close(e);
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, precision_that_no_kernel_has_is_refused)
{
    struct fixture f;
    struct mf_encoder *e;
    struct mf_err err = {0};

    fixture_init(&f, MF_WISH_FP16);
    if (mf_linear_best(MF_PREC_FP16) == NULL) {
        MF_CHECK_INT(mf_encoder_open(&e, f.w, &f.opt, &err), MF_EINVAL);
        assert_non_null(strstr(err.msg, "embed.precision=fp16"));
    }
    kit_model_free(f.w);
}

/* The only file in `dir`; false: there is none. */
static bool cache_file(const char *dir, char *path, size_t cap)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    for (struct dirent *at = readdir(d); at != NULL; at = readdir(d)) {
        if (at->d_name[0] != '.') {
            (void)snprintf(path, cap, "%s/%s", dir, at->d_name);
            n++;
        }
    }
    (void)closedir(d);
    MF_CHECK(n <= 1);
    return n == 1;
}

static size_t read_bytes(const char *path, char *p, size_t cap)
{
    FILE *in = fopen(path, "rbe");
    size_t n;

    assert_non_null(in);
    n = fread(p, 1, cap, in);
    (void)fclose(in);
    return n;
}

static bool open_was_cached(const struct fixture *f, float *out)
{
    struct mf_encoder *e;
    struct mf_encoder_info i = open_info(f, &e);

    kit_run(e, &f->guard.ids, 0, out);
    mf_encoder_close(e);
    return i.was_cached;
}

static float first[20 * 32];
static float second[20 * 32];

MF_TEST(encoder_choice, second_start_takes_the_cached_choice)
{
    struct fixture f;
    struct mf_encoder *e;
    struct mf_encoder_info a;
    struct mf_encoder_info b;

    fixture_init(&f, MF_WISH_AUTO);
    f.opt.cache_dir = mf_test_tmpdir();
    a = open_info(&f, &e);
    kit_run(e, &f.guard.ids, 0, first);
    mf_encoder_close(e);
    MF_CHECK(!a.was_cached);
    b = open_info(&f, &e);
    kit_run(e, &f.guard.ids, 0, second);
    MF_CHECK(b.was_cached && b.gops == 0);
    MF_CHECK_STR(b.precision, a.precision);
    MF_CHECK(b.guard_min == a.guard_min && b.guard_mean == a.guard_mean);
    MF_CHECK_MEM(first, second, sizeof(first)); /* the smoothing, too */
    mf_encoder_close(e);
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, cache_of_other_texts_or_wish_is_not_taken)
{
    struct fixture f;

    fixture_init(&f, MF_WISH_INT8);
    f.opt.cache_dir = mf_test_tmpdir();
    MF_CHECK(!open_was_cached(&f, first));
    MF_CHECK(open_was_cached(&f, first));
    f.opt.wish = MF_WISH_BF16;
    f.opt.guard = (struct mf_ids){0};
    MF_CHECK(!open_was_cached(&f, first));
    f.opt.wish = MF_WISH_INT8;
    f.opt.calibration.n--;
    MF_CHECK(!open_was_cached(&f, first));
    kit_model_free(f.w);
}

static char bytes[1 << 16];

/* Opens over a damaged file: it is not believed, made anew, and then believed. */
static void check_made_anew(const struct fixture *f, const char *path, const char *p,
                            size_t n)
{
    mf_test_write(path, p, n);
    MF_CHECK(!open_was_cached(f, second));
    /* Not the same bits: another kernel may have calibrated it. */
    MF_CHECK(kit_cosine(first, second, mf_countof(first)) > 0.9999);
    MF_CHECK(open_was_cached(f, second));
}

MF_TEST(encoder_choice, damaged_cache_is_made_anew)
{
    struct fixture f;
    char path[512];
    size_t n;

    fixture_init(&f, MF_WISH_INT8);
    f.opt.cache_dir = mf_test_tmpdir();
    MF_CHECK(!open_was_cached(&f, first));
    MF_CHECK(cache_file(f.opt.cache_dir, path, sizeof(path)));
    n = read_bytes(path, bytes, sizeof(bytes));
    MF_CHECK(n > 1000 && n < sizeof(bytes) - 1);
    for (size_t at = 0; at < n; at += n / 7) {
        bytes[at] ^= 0x10;
        check_made_anew(&f, path, bytes, n);
        bytes[at] ^= 0x10;
    }
    check_made_anew(&f, path, bytes, n - 1);
    check_made_anew(&f, path, bytes, n + 1);
    check_made_anew(&f, path, bytes, 0);
    MF_CHECK(cache_file(f.opt.cache_dir, path, sizeof(path))); /* no temporary left */
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, folder_that_cannot_be_written_is_no_fault)
{
    struct fixture f;

    fixture_init(&f, MF_WISH_INT8);
    f.opt.cache_dir = "/nonexistent/cache";
    MF_CHECK(!open_was_cached(&f, first));
    MF_CHECK(!open_was_cached(&f, first));
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, no_memory_is_a_clean_error)
{
    struct fixture f;
    size_t n_failed = 0;

    fixture_init(&f, MF_WISH_INT8);
    for (size_t nth = 1;; nth++) {
        struct mf_encoder *e = NULL;
        struct mf_err err = {0};
        int rc;

        mf_test_fail_nth(nth);
        rc = mf_encoder_open(&e, f.w, &f.opt, &err);
        if (!mf_test_has_failed()) {
            mf_test_fail_nth(0);
            MF_CHECK_OK(rc);
            mf_encoder_close(e);
            break;
        }
        mf_test_fail_nth(0);
        /* A measurement without memory only loses its figure. */
        MF_CHECK(rc == MF_ENOMEM || rc == 0);
        n_failed += rc == MF_ENOMEM;
        mf_encoder_close(e);
    }
    MF_CHECK(n_failed > 20);
    kit_model_free(f.w);
}

MF_TEST(encoder_choice, scratch_without_memory_is_a_clean_error)
{
    struct mf_weights *w = kit_model(&kit_small);
    struct mf_encoder *e = kit_open(w, MF_WISH_F32);
    struct mf_scratch *s;

    for (size_t nth = 1; nth <= 2; nth++) {
        mf_test_fail_nth(nth);
        MF_CHECK_INT(mf_scratch_new(&s, e, 64), MF_ENOMEM);
        mf_test_fail_nth(0);
        MF_CHECK_PTR(s, NULL);
    }
    mf_encoder_close(e);
    kit_model_free(w);
}
