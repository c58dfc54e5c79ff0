/* SPDX-License-Identifier: Apache-2.0 */
/* The whole engine with more waiting texts than may wait for the model. */
#include "engine/engine_priv.h"
#include "flow/engine_kit.h"

#include <stdio.h>

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
