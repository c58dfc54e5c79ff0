/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/stat.h"

#include <pthread.h>
#include <string.h>

static void *add_many(MF_UNUSED void *arg)
{
    for (int i = 0; i < 10000; i++) {
        mf_stat_add(MF_STAT_http_requests, 1);
        mf_stat_observe(MF_STAT_query_us, 3);
    }
    return NULL;
}

MF_TEST(stat, counts_from_several_threads)
{
    int64_t before = mf_stat_get(MF_STAT_http_requests);
    struct mf_stat_histogram h;
    pthread_t threads[4];

    for (size_t i = 0; i < mf_countof(threads); i++) {
        MF_CHECK_OK(pthread_create(&threads[i], NULL, add_many, NULL));
    }
    for (size_t i = 0; i < mf_countof(threads); i++) {
        MF_CHECK_OK(pthread_join(threads[i], NULL));
    }
    MF_CHECK_INT(mf_stat_get(MF_STAT_http_requests) - before, 40000);
    mf_stat_read_histogram(MF_STAT_query_us, &h);
    MF_CHECK_INT(h.count, 40000);
    MF_CHECK_INT(h.sum, 120000);
    MF_CHECK_INT(h.buckets[2], 40000);
}

MF_TEST(stat, gauge_goes_up_and_down_and_can_be_set)
{
    mf_stat_set(MF_STAT_flush_queue, 5);
    mf_stat_add(MF_STAT_flush_queue, 2);
    mf_stat_add(MF_STAT_flush_queue, -3);
    MF_CHECK_INT(mf_stat_get(MF_STAT_flush_queue), 4);
    MF_CHECK_INT(mf_stat_get(MF_STAT_embed_backlog), 0);
}

MF_TEST(stat, histogram_puts_each_value_below_the_bound_of_its_bucket)
{
    struct mf_stat_histogram h;

    mf_stat_observe(MF_STAT_embed_us, 0);
    mf_stat_observe(MF_STAT_embed_us, 1);
    mf_stat_observe(MF_STAT_embed_us, 1023);
    mf_stat_observe(MF_STAT_embed_us, 1024);
    mf_stat_observe(MF_STAT_embed_us, UINT64_C(1) << 50);
    mf_stat_read_histogram(MF_STAT_embed_us, &h);
    MF_CHECK_INT(h.count, 5);
    MF_CHECK_INT(h.buckets[0], 1);
    MF_CHECK_INT(h.buckets[1], 1);
    MF_CHECK_INT(h.buckets[10], 1);
    MF_CHECK_INT(h.buckets[11], 1);
    MF_CHECK_INT(h.buckets[39], 1);
    MF_CHECK(h.sum == 2048 + (UINT64_C(1) << 50));
}

MF_TEST(stat, quantile_is_a_bound_that_the_observed_values_stay_below)
{
    struct mf_stat_histogram h = {0};

    MF_CHECK_INT(mf_stat_quantile(&h, 0.5), 0);
    h.count = 100;
    h.buckets[4] = 90;
    h.buckets[10] = 9;
    h.buckets[20] = 1;
    MF_CHECK_INT(mf_stat_quantile(&h, 0.0), 16);
    MF_CHECK_INT(mf_stat_quantile(&h, 0.5), 16);
    MF_CHECK_INT(mf_stat_quantile(&h, 0.9), 16);
    MF_CHECK_INT(mf_stat_quantile(&h, 0.95), 1024);
    MF_CHECK_INT(mf_stat_quantile(&h, 0.99), 1024);
    MF_CHECK_INT(mf_stat_quantile(&h, 1.0), 1 << 20);
}

MF_TEST(stat, every_figure_has_a_name_and_a_doc)
{
    for (int i = 0; i < MF_STAT_COUNT; i++) {
        MF_CHECK(strlen(mf_stat_name((enum mf_stat)i)) > 2);
        MF_CHECK(strlen(mf_stat_doc((enum mf_stat)i)) > 5);
    }
    MF_CHECK_STR(mf_stat_name(MF_STAT_messages_added), "messages_added");
    MF_CHECK_INT(mf_stat_kind(MF_STAT_messages_added), MF_STAT_KIND_COUNTER);
    MF_CHECK_INT(mf_stat_kind(MF_STAT_embed_us), MF_STAT_KIND_HISTOGRAM);
    MF_CHECK_INT(mf_stat_kind(MF_STAT_flush_queue), MF_STAT_KIND_GAUGE);
}
