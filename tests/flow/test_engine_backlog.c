/* SPDX-License-Identifier: Apache-2.0 */
/* The whole engine with more waiting texts than may wait for the model. */
#include "engine/engine_priv.h"
#include "engine/record_task.h"
#include "flow/engine_kit.h"

#include <pthread.h>
#include <stdio.h>

/* Workers that make records for the flush stand still while is_held. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t released;
    bool is_held;
    unsigned n_begun;
} makes = {.lock = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER};

/* NOLINTBEGIN(readability-identifier-naming): the linker's words */
int __real_mf_record_build(struct mf_buf *out, const struct mf_record_maker *maker,
                           const struct mf_msg *msg);
int __wrap_mf_record_build(struct mf_buf *out, const struct mf_record_maker *maker,
                           const struct mf_msg *msg);

int __wrap_mf_record_build(struct mf_buf *out, const struct mf_record_maker *maker,
                           const struct mf_msg *msg)
{
    pthread_mutex_lock(&makes.lock);
    makes.n_begun++;
    while (makes.is_held) {
        pthread_cond_wait(&makes.released, &makes.lock);
    }
    pthread_mutex_unlock(&makes.lock);
    return __real_mf_record_build(out, maker, msg);
}

/* NOLINTEND(readability-identifier-naming) */

static void hold_makes(bool is_held)
{
    pthread_mutex_lock(&makes.lock);
    makes.is_held = is_held;
    makes.n_begun = is_held ? 0 : makes.n_begun;
    pthread_cond_broadcast(&makes.released);
    pthread_mutex_unlock(&makes.lock);
}

static bool has_begun_to_make(MF_UNUSED struct kit *k, MF_UNUSED void *arg)
{
    bool has;

    pthread_mutex_lock(&makes.lock);
    has = makes.n_begun > 0;
    pthread_mutex_unlock(&makes.lock);
    return has;
}

static bool has_no_pending(struct kit *k, MF_UNUSED void *arg)
{
    return kit_number(k, "SELECT count(*) FROM messages WHERE is_pending <> 0") == 0;
}

MF_LOOP static void add_many(struct kit *k, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "text number %u", i);
        kit_add(k, text, NULL);
    }
}

MF_LOOP static size_t count_bare(struct kit *k)
{
    struct mf_userbuf *u = mf_userbuf_find(k->e->buffers, mf_slice_str(k->user.s));
    size_t n = 0;

    mf_list_each (&u->all, l) {
        n += mf_container_of(l, struct mf_entry, in_user)->msgs[0].search.n == 0;
    }
    return n;
}

MF_TEST(engine, over_the_backlog_waiting_texts_are_found_and_kept_without_records)
{
    static const char *const waits[] = {"embed.max_backlog=4",
                                        "embed.max_concurrent=1",
                                        "buffer.performance.flush_interval=3600",
                                        "buffer.performance.force_flush_timeout=3600",
                                        "buffer.round_buffer.max_size=1000",
                                        "buffer.round_buffer.max_tokens=100000",
                                        NULL};
    struct kit_id last;
    struct kit k;

    kit_open(&k, NULL, waits);
    mf_fake_hold(k.model);
    add_many(&k, 40);
    kit_add(&k, "the last one is a pelican", &last);
    kit_linger(&k, 50);
    MF_CHECK_INT(count_bare(&k), 41);
    mf_fake_release(k.model);
    MF_CHECK_INT(kit_n_found(&k, "pelican", &last), 1);
    MF_CHECK(count_bare(&k) >= 41 - 4); /* the shelf has made its own */
    kit_flush(&k);
    MF_CHECK_INT(kit_number(&k, "SELECT count(*) FROM messages"), 41);
    MF_CHECK_INT(kit_number(&k, "SELECT count(*) FROM messages"
                                " WHERE search IS NULL OR length(search) = 0"),
                 0);
    MF_CHECK_INT(kit_n_found(&k, "pelican", &last), 1);
    kit_wait(&k, has_no_pending, NULL);
    kit_close(&k);
}

static bool has_vector(struct kit *k, MF_UNUSED void *arg)
{
    struct mf_userbuf *u;
    struct mf_link *l;

    mf_loop_assert(k->loop);
    u = mf_userbuf_find(k->e->buffers, mf_slice_str(k->user.s));
    l = u == NULL ? NULL : mf_list_head(&u->all);
    return l != NULL &&
           mf_container_of(l, struct mf_entry, in_user)->msgs[0].has_vector;
}

MF_TEST(engine, a_vector_that_comes_while_the_flush_makes_a_record_without_one_stays)
{
    static const char *const no_wait[] = {
        "flush.vector_wait=0",
        "embed.max_concurrent=1",
        "buffer.performance.flush_interval=0.02",
        "buffer.performance.force_flush_timeout=0.02",
        NULL,
    };
    struct kit k;

    kit_open(&k, NULL, no_wait);
    mf_fake_hold(k.model);
    hold_makes(true);
    kit_add(&k, "text", NULL);
    kit_wait(&k, has_begun_to_make, NULL);
    mf_fake_release(k.model);
    kit_wait(&k, has_vector, NULL);
    hold_makes(false);
    kit_flush(&k);
    kit_wait(&k, has_no_pending, NULL);
    MF_CHECK_INT(kit_number(&k, "SELECT count(*) FROM messages"), 1);
    MF_CHECK_INT(mf_fake_counts(k.model).texts, 1); /* not once more from the store */
    kit_close(&k);
}
