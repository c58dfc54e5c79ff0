/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors kept: what is found, what goes first, and what never happens. */
#include "base/err.h"
#include "base/mem.h"
#include "embed/vcache.h"
#include "lib/mf_test.h"

#define DIM 4
#define BIG ((size_t)1 << 20)

static struct mf_vkey key_of_number(unsigned i)
{
    struct mf_vkey k = {.b = {0}};

    mf_put_u32(k.b, i);
    return k;
}

static void put(struct mf_vcache *c, unsigned i, uint64_t now_ms)
{
    struct mf_vkey k = key_of_number(i);
    float v[DIM] = {(float)i, 1, 2, 3};

    mf_vcache_put(c, &k, v, i + 1, now_ms);
}

static bool has(struct mf_vcache *c, unsigned i, uint64_t now_ms)
{
    struct mf_vkey k = key_of_number(i);
    uint32_t n_tokens = 0;
    const float *v = mf_vcache_get(c, &k, now_ms, &n_tokens);

    if (v != NULL) {
        const float want[DIM] = {(float)i, 1, 2, 3};

        MF_CHECK_MEM(v, want, sizeof(want));
        MF_CHECK_INT(n_tokens, i + 1);
    }
    return v != NULL;
}

/* Bytes of one entry, as the cache counts them. */
static size_t entry_bytes(void)
{
    struct mf_vcache_counts n;
    struct mf_vcache *c;

    MF_CHECK_OK(mf_vcache_new(&c, DIM, BIG, 0));
    put(c, 1, 0);
    mf_vcache_counts(c, &n);
    MF_CHECK_INT(n.n, 1);
    mf_vcache_free(c);
    return n.bytes;
}

MF_TEST(vcache, drops_the_least_recently_used_first)
{
    struct mf_vcache *c;
    struct mf_vcache_counts n;

    MF_CHECK_OK(mf_vcache_new(&c, DIM, 3 * entry_bytes(), 0));
    put(c, 1, 0);
    put(c, 2, 0);
    put(c, 3, 0);
    MF_CHECK(has(c, 1, 0)); /* now 2 is the oldest */
    put(c, 4, 0);
    MF_CHECK(!has(c, 2, 0));
    MF_CHECK(has(c, 1, 0));
    MF_CHECK(has(c, 3, 0));
    MF_CHECK(has(c, 4, 0));
    mf_vcache_counts(c, &n);
    MF_CHECK_INT(n.evicted, 1);
    MF_CHECK_INT(n.expired, 0);
    mf_vcache_free(c);
}

MF_TEST(vcache, stays_under_its_bytes)
{
    size_t max = 10 * entry_bytes() + 5;
    struct mf_vcache *c;
    struct mf_vcache_counts n;
    size_t before = mf_test_live_blocks();

    MF_CHECK_OK(mf_vcache_new(&c, DIM, max, 0));
    for (unsigned i = 0; i < 1000; i++) {
        put(c, i, 0);
        mf_vcache_counts(c, &n);
        MF_CHECK(n.bytes <= max);
    }
    MF_CHECK_INT(n.n, 10);
    MF_CHECK_INT(n.evicted, 990);
    MF_CHECK(mf_test_live_blocks() <= before + 10 + 3); /* itself, two bucket arrays */
    mf_vcache_free(c);
}

MF_TEST(vcache, finds_nothing_beyond_its_age_however_often_it_was_used)
{
    struct mf_vcache *c;
    struct mf_vcache_counts n;

    MF_CHECK_OK(mf_vcache_new(&c, DIM, BIG, 100));
    put(c, 1, 1000);
    MF_CHECK(has(c, 1, 1060));
    MF_CHECK(has(c, 1, 1099));
    MF_CHECK(!has(c, 1, 1100));
    mf_vcache_counts(c, &n);
    MF_CHECK_INT(n.expired, 1);
    MF_CHECK_INT(n.n, 0);
    put(c, 1, 1100);
    MF_CHECK(has(c, 1, 1199));
    mf_vcache_free(c);
}

MF_TEST(vcache, counts_one_that_was_too_old_as_expired_when_it_makes_room)
{
    struct mf_vcache *c;
    struct mf_vcache_counts n;

    MF_CHECK_OK(mf_vcache_new(&c, DIM, entry_bytes(), 100));
    put(c, 1, 0);
    put(c, 2, 100);
    put(c, 3, 150);
    mf_vcache_counts(c, &n);
    MF_CHECK_INT(n.expired, 1);
    MF_CHECK_INT(n.evicted, 1);
    mf_vcache_reset_counts(c);
    mf_vcache_counts(c, &n);
    MF_CHECK_INT(n.expired + n.evicted, 0);
    MF_CHECK_INT(n.n, 1);
    mf_vcache_free(c);
}

MF_TEST(vcache, finds_nothing_after_a_clear_and_gives_the_memory_back_in_steps)
{
    struct mf_vcache *c;
    struct mf_vcache_counts n;
    size_t empty;

    MF_CHECK_OK(mf_vcache_new(&c, DIM, 100 * entry_bytes(), 0));
    empty = mf_test_live_blocks();
    for (unsigned i = 0; i < 100; i++) {
        put(c, i, 0);
    }
    mf_vcache_clear(c);
    mf_vcache_counts(c, &n);
    MF_CHECK_INT(n.n, 0);
    MF_CHECK_INT(n.bytes, 0);
    for (unsigned i = 0; i < 100; i++) {
        MF_CHECK(!has(c, i, 0));
    }
    for (unsigned i = 0; i < 50; i++) { /* in the memory of those */
        put(c, i, 0);
    }
    MF_CHECK(mf_test_live_blocks() <= empty + 100 + 2);
    MF_CHECK(mf_vcache_sweep(c, 20));
    MF_CHECK(!mf_vcache_sweep(c, 100));
    MF_CHECK(has(c, 49, 0));
    mf_vcache_clear(c);
    while (mf_vcache_sweep(c, 7)) {
    }
    MF_CHECK_INT(mf_test_live_blocks(), empty);
    mf_vcache_free(c);
}

MF_TEST(vcache, takes_the_newer_of_two_vectors_for_one_key)
{
    struct mf_vkey k = key_of_number(1);
    const float a[DIM] = {1, 0, 0, 0}, b[DIM] = {0, 1, 0, 0};
    struct mf_vcache_counts n;
    struct mf_vcache *c;
    uint32_t tokens;

    MF_CHECK_OK(mf_vcache_new(&c, DIM, BIG, 0));
    mf_vcache_put(c, &k, a, 1, 0);
    mf_vcache_put(c, &k, b, 2, 0);
    MF_CHECK_MEM(mf_vcache_get(c, &k, 0, &tokens), b, sizeof(b));
    MF_CHECK_INT(tokens, 2);
    mf_vcache_counts(c, &n);
    MF_CHECK_INT(n.n, 1);
    mf_vcache_free(c);
}

MF_TEST(vcache, keeps_nothing_when_it_may_have_no_bytes)
{
    struct mf_vcache *c;

    MF_CHECK_OK(mf_vcache_new(&c, DIM, 0, 0));
    put(c, 1, 0);
    MF_CHECK(!has(c, 1, 0));
    mf_vcache_free(c);
}

MF_TEST(vcache, does_not_keep_what_there_is_no_memory_for)
{
    for (size_t nth = 1; nth <= 3; nth++) {
        struct mf_vcache *c = NULL;
        bool failed;
        int rc;

        mf_test_fail_nth(nth);
        rc = mf_vcache_new(&c, DIM, BIG, 0);
        if (rc == 0) {
            put(c, 1, 0);
        }
        failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK(failed);
        if (rc < 0) {
            MF_CHECK_INT(rc, MF_ENOMEM);
            continue;
        }
        MF_CHECK(!has(c, 1, 0));
        put(c, 1, 0);
        MF_CHECK(has(c, 1, 0));
        mf_vcache_free(c);
    }
}

/* ---- keys ---- */

static struct mf_vkey make(struct mf_vkey_maker *m, const char *space, unsigned flags,
                           const char *prompt, const char *text)
{
    struct mf_vkey_of of = {.space = mf_slice_str(space),
                            .prompt = mf_slice_str(prompt),
                            .text = mf_slice_str(text),
                            .flags = flags};
    struct mf_vkey k;

    MF_CHECK_OK(mf_vkey_make(m, &of, &k));
    return k;
}

static bool is_same(struct mf_vkey a, struct mf_vkey b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

MF_TEST(vcache, tells_apart_what_only_looks_the_same_in_one_row)
{
    struct mf_vkey_maker m;

    MF_CHECK_OK(mf_vkey_maker_init(&m));
    MF_CHECK(is_same(make(&m, "s", 0, "", "text"), make(&m, "s", 0, "", "text")));
    MF_CHECK(!is_same(make(&m, "a", 0, "", "bc"), make(&m, "ab", 0, "", "c")));
    MF_CHECK(!is_same(make(&m, "s", 0, "", "text"), make(&m, "t", 0, "", "text")));
    MF_CHECK(!is_same(make(&m, "s", 0, "", "text"), make(&m, "s", 1, "", "text")));
    MF_CHECK(!is_same(make(&m, "s", 0, "", "text"), make(&m, "s", 0, "", "texts")));
    MF_CHECK(!is_same(make(&m, "s", 0, "", ""), make(&m, "", 0, "", "s")));
    /* The model sees the prompt and the text as one. */
    MF_CHECK(is_same(make(&m, "s", 0, "a", "bc"), make(&m, "s", 0, "ab", "c")));
    mf_vkey_maker_fini(&m);
}
