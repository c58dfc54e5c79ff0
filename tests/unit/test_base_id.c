/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/err.h"
#include "base/id.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define T0 UINT64_C(1755823000000)

static uint64_t ms_of(const struct mf_id *id)
{
    char hex[13];

    memcpy(hex, id->s, 8);
    memcpy(hex + 8, id->s + 9, 4);
    hex[12] = '\0';
    return strtoull(hex, NULL, 16);
}

static void check_uuid(const struct mf_id *id, char version)
{
    MF_CHECK_INT(id->n, MF_UUID_LEN);
    MF_CHECK_INT(strlen(id->s), MF_UUID_LEN);
    for (size_t i = 0; i < MF_UUID_LEN; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            MF_CHECK_INT(id->s[i], '-');
        } else {
            assert_non_null(strchr("0123456789abcdef", id->s[i]));
        }
    }
    MF_CHECK_INT(id->s[14], version);
    assert_non_null(strchr("89ab", id->s[19]));
}

MF_TEST(id, accepts_up_to_the_limit_and_not_one_more)
{
    char text[MF_ID_MAX + 1];
    struct mf_id id = {0};

    memset(text, 'a', sizeof(text));
    MF_CHECK_OK(mf_id_from(&id, mf_slice_of(text, MF_ID_MAX - 1)));
    MF_CHECK_INT(id.n, MF_ID_MAX - 1);
    MF_CHECK_INT(strlen(id.s), MF_ID_MAX - 1);
    MF_CHECK_OK(mf_id_from(&id, mf_slice_of(text, MF_ID_MAX)));
    MF_CHECK_INT(strlen(id.s), MF_ID_MAX);
    MF_CHECK_INT(mf_id_from(&id, mf_slice_of(text, MF_ID_MAX + 1)), MF_EINVAL);
    MF_CHECK_INT(id.n, MF_ID_MAX);
    MF_CHECK_INT(mf_id_from(&id, mf_slice_of(NULL, 0)), MF_EINVAL);
    MF_CHECK_OK(mf_id_from(&id, MF_SLICE("x")));
    MF_CHECK(mf_slice_is(mf_id_slice(&id), "x"));
}

MF_TEST(id, accepts_exactly_the_listed_bytes)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789._:-";

    for (int c = 0; c < 256; c++) {
        const char one = (char)c;
        const bool want = c != 0 && strchr(good, c) != NULL;

        MF_CHECK_INT(mf_id_is_valid(mf_slice_of(&one, 1)), want);
    }
    MF_CHECK(!mf_id_is_valid(MF_SLICE("../etc")));
    MF_CHECK(!mf_id_is_valid(mf_slice_of("a\0b", 3)));
}

MF_TEST(id, equal_only_with_same_text)
{
    struct mf_id a, b;

    MF_CHECK_OK(mf_id_from(&a, MF_SLICE("user")));
    MF_CHECK_OK(mf_id_from(&b, MF_SLICE("user")));
    MF_CHECK(mf_id_eq(&a, &b));
    MF_CHECK_OK(mf_id_from(&b, MF_SLICE("user1")));
    MF_CHECK(!mf_id_eq(&a, &b));
    MF_CHECK_OK(mf_id_from(&b, MF_SLICE("uses")));
    MF_CHECK(!mf_id_eq(&a, &b));
}

MF_TEST(id, v7_has_its_form_and_carries_the_time)
{
    struct mf_id id;

    mf_id_new_v7(&id, T0);
    check_uuid(&id, '7');
    MF_CHECK(mf_id_is_valid(mf_id_slice(&id)));
    MF_CHECK(ms_of(&id) == T0);
}

MF_TEST(id, v7_grows_within_one_millisecond)
{
    struct mf_id last, id;

    mf_id_new_v7(&last, T0 + 10);
    for (int i = 0; i < 100000; i++) {
        mf_id_new_v7(&id, T0 + 10);
        MF_CHECK(strcmp(id.s, last.s) > 0);
        last = id;
    }
    check_uuid(&id, '7');
    MF_CHECK(ms_of(&id) == T0 + 10);
}

MF_TEST(id, v7_grows_when_the_clock_steps_back)
{
    struct mf_id last, id;

    mf_id_new_v7(&last, T0 + 5000);
    for (uint64_t i = 0; i < 3000; i++) {
        mf_id_new_v7(&id, T0 + 5000 - i);
        MF_CHECK(strcmp(id.s, last.s) > 0);
        last = id;
    }
    mf_id_new_v7(&id, T0 + 5001);
    MF_CHECK(strcmp(id.s, last.s) > 0);
    MF_CHECK(ms_of(&id) == T0 + 5001);
}

static void *make_one(void *arg)
{
    mf_id_new_v7(arg, T0);
    return NULL;
}

MF_TEST(id, v7_differs_between_threads_in_one_millisecond)
{
    struct mf_id ids[8];
    pthread_t threads[8];

    for (size_t i = 0; i < mf_countof(ids); i++) {
        MF_CHECK_OK(pthread_create(&threads[i], NULL, make_one, &ids[i]));
    }
    for (size_t i = 0; i < mf_countof(ids); i++) {
        MF_CHECK_OK(pthread_join(threads[i], NULL));
        for (size_t k = 0; k < i; k++) {
            MF_CHECK(!mf_id_eq(&ids[i], &ids[k]));
        }
    }
}

MF_TEST(id, v4_has_its_form_and_does_not_repeat)
{
    struct mf_id a, b;

    mf_id_new_v4(&a);
    check_uuid(&a, '4');
    for (int i = 0; i < 1000; i++) {
        mf_id_new_v4(&b);
        check_uuid(&b, '4');
        MF_CHECK(!mf_id_eq(&a, &b));
    }
}

MF_TEST(id, random_fills_every_byte_across_its_pool)
{
    uint8_t bytes[1000];
    uint8_t seen[1000] = {0};

    for (int round = 0; round < 64; round++) {
        mf_random(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seen[i] |= bytes[i];
        }
    }
    for (size_t i = 0; i < sizeof(seen); i++) {
        MF_CHECK_INT(seen[i], 0xff);
    }
}

MF_TEST(id, random_of_a_forked_child_is_its_own)
{
    struct mf_id ours, childs;
    int ends[2], status;
    pid_t pid;

    mf_id_new_v4(&ours); /* the pool is filled and would be inherited */
    MF_CHECK_OK(pipe(ends));
    pid = fork();
    MF_CHECK(pid >= 0);
    if (pid == 0) {
        mf_id_new_v4(&childs);
        _exit(write(ends[1], &childs, sizeof(childs)) == sizeof(childs) ? 0 : 1);
    }
    mf_id_new_v4(&ours);
    MF_CHECK_INT(waitpid(pid, &status, 0), pid);
    MF_CHECK_INT(status, 0);
    MF_CHECK_INT(read(ends[0], &childs, sizeof(childs)), sizeof(childs));
    MF_CHECK_OK(close(ends[0]));
    MF_CHECK_OK(close(ends[1]));
    MF_CHECK(!mf_id_eq(&ours, &childs));
}
