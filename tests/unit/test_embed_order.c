/* SPDX-License-Identifier: Apache-2.0 */
/* Which texts go next: rules one by one, then whole days of a model in no time. */
#include "embed/embed_order.h"
#include "lib/mf_test.h"

#define N_TASKS 512

struct desk {
    struct mf_embed_order order;
    struct mf_embed_limits lim;
    struct mf_embed_task task[N_TASKS];
    size_t n_tasks;
    struct mf_embed_task *batch[MF_EMBED_MAX_BATCH];
};

static struct desk the_desk;

static struct desk *desk_open(size_t texts)
{
    struct desk *d = &the_desk;

    memset(d, 0, sizeof(*d));
    mf_embed_order_init(&d->order);
    d->lim =
        (struct mf_embed_limits){.texts = texts, .bytes = SIZE_MAX, .tokens = SIZE_MAX};
    return d;
}

/* `name` is a literal; its first letter is how tests tell the tasks apart. */
static struct mf_embed_task *add(struct desk *d, const char *name,
                                 enum mf_urgency urgency, uint32_t cost,
                                 uint64_t submitted_ms)
{
    struct mf_embed_task *t = &d->task[d->n_tasks++];

    MF_CHECK(d->n_tasks <= N_TASKS);
    t->text = mf_slice_str(name);
    t->urgency = urgency;
    t->cost = cost;
    t->submitted_ms = submitted_ms;
    mf_embed_order_push(&d->order, t, false);
    return t;
}

static size_t take(struct desk *d)
{
    return mf_embed_order_take(&d->order, &d->lim, d->batch);
}

/* Takes all there is: the letters of each batch, batches parted by blanks. */
static void check_order(struct desk *d, const char *want)
{
    char got[2 * N_TASKS + 1];
    size_t n = 0;

    while (d->order.n[MF_URGENT] + d->order.n[MF_ORDINARY] > 0) {
        size_t n_batch = take(d);

        MF_CHECK(n_batch > 0);
        if (n > 0) {
            got[n++] = ' ';
        }
        for (size_t i = 0; i < n_batch; i++) {
            MF_CHECK_PTR(d->batch[i]->line, NULL);
            got[n++] = d->batch[i]->text.p[0];
        }
    }
    got[n] = '\0';
    MF_CHECK_STR(got, want);
}

MF_TEST(embed_order, takes_urgent_texts_first_and_never_mixes_the_two)
{
    struct desk *d = desk_open(2);

    add(d, "a", MF_ORDINARY, 5, 0);
    add(d, "b", MF_ORDINARY, 5, 0);
    add(d, "u", MF_URGENT, 200, 9);
    add(d, "v", MF_URGENT, 200, 9);
    add(d, "w", MF_URGENT, 200, 9);
    check_order(d, "uv w ab");
}

MF_TEST(embed_order, takes_short_texts_first_and_keeps_order_among_the_like)
{
    struct desk *d = desk_open(1);

    add(d, "e", MF_URGENT, 10000, 0);
    add(d, "d", MF_URGENT, 100, 0);
    add(d, "c", MF_URGENT, 40, 0);
    add(d, "a", MF_URGENT, 16, 1);
    add(d, "b", MF_URGENT, 1, 1);
    check_order(d, "a b c d e");
}

MF_TEST(embed_order, lets_a_text_that_has_waited_go_before_shorter_ones)
{
    struct desk *d = desk_open(1);

    add(d, "l", MF_URGENT, 256, 1000); /* yields to those of the next 128 ms */
    add(d, "a", MF_URGENT, 16, 1127);
    add(d, "b", MF_URGENT, 16, 1129);
    add(d, "m", MF_URGENT, 100, 1070);
    check_order(d, "a l b m");
}

MF_TEST(embed_order, ages_background_texts_too)
{
    struct desk *d = desk_open(1);

    add(d, "l", MF_ORDINARY, 5000, 0);
    add(d, "a", MF_ORDINARY, 16, 255);
    add(d, "b", MF_ORDINARY, 16, 257);
    check_order(d, "a l b");
}

MF_TEST(embed_order, gives_the_oldest_background_texts_a_batch_after_some_urgent_ones)
{
    struct desk *d = desk_open(1);

    add(d, "b", MF_ORDINARY, 16, 101);
    add(d, "l", MF_ORDINARY, 5000, 100); /* the oldest, though not the shortest */
    for (size_t i = 0; i < (size_t)2 * MF_EMBED_URGENT_RUN + 1; i++) {
        add(d, "u", MF_URGENT, 16, 200);
    }
    check_order(d, "u u u u u u u u l u u u u u u u u b u");
}

MF_TEST(embed_order, counts_urgent_batches_only_while_background_waits_for_its_turn)
{
    struct desk *d = desk_open(1);

    for (size_t i = 0; i < (size_t)3 * MF_EMBED_URGENT_RUN; i++) {
        add(d, "u", MF_URGENT, 16, 0);
    }
    for (size_t i = 0; i < MF_EMBED_URGENT_RUN; i++) {
        MF_CHECK_INT(take(d), 1);
    }
    add(d, "b", MF_ORDINARY, 16, 0);
    d->lim.only_urgent = true;
    for (size_t i = 0; i < MF_EMBED_URGENT_RUN; i++) {
        MF_CHECK_INT(take(d), 1);
        MF_CHECK_INT(d->batch[0]->urgency, MF_URGENT);
    }
    d->lim.only_urgent = false;
    check_order(d, "u u u u u u u u b");
}

MF_TEST(embed_order, bounds_a_batch_by_tokens_and_lets_a_larger_text_go_alone)
{
    struct desk *d = desk_open(9);

    d->lim.tokens = 40;
    add(d, "a", MF_ORDINARY, 16, 0);
    add(d, "b", MF_ORDINARY, 16, 0);
    add(d, "c", MF_ORDINARY, 8, 0);
    add(d, "d", MF_ORDINARY, 1, 0);
    add(d, "m", MF_ORDINARY, 60, 0);
    add(d, "l", MF_ORDINARY, 300, 0);
    check_order(d, "abc d m l");
}

MF_TEST(embed_order, bounds_background_batches_more_tightly_when_asked)
{
    struct desk *d = desk_open(10);

    d->lim.tokens = 30;
    d->lim.background_tokens = 20;
    for (unsigned i = 0; i < 4; i++) {
        add(d, "b", MF_ORDINARY, 10, 0);
        add(d, "u", MF_URGENT, 10, 0);
    }
    check_order(d, "uuu u bb bb");
}

MF_TEST(embed_order, bounds_a_batch_by_bytes_and_texts)
{
    struct desk *d = desk_open(3);

    d->lim.bytes = 4;
    add(d, "a_", MF_ORDINARY, 1, 0);
    add(d, "b_", MF_ORDINARY, 1, 0);
    add(d, "c", MF_ORDINARY, 1, 0);
    add(d, "d", MF_ORDINARY, 1, 0);
    add(d, "e", MF_ORDINARY, 1, 0);
    add(d, "f", MF_ORDINARY, 1, 0);
    add(d, "long", MF_ORDINARY, 1, 0);
    add(d, "longer", MF_ORDINARY, 1, 0);
    check_order(d, "ab cde f l l");
}

MF_TEST(embed_order, never_makes_a_batch_of_more_than_it_has_room_for)
{
    struct desk *d = desk_open(SIZE_MAX);

    for (size_t i = 0; i < MF_EMBED_MAX_BATCH + 1; i++) {
        add(d, "a", MF_ORDINARY, 1, 0);
    }
    MF_CHECK_INT(take(d), MF_EMBED_MAX_BATCH);
    MF_CHECK_INT(take(d), 1);
}

static void add_halves(struct desk *d, enum mf_urgency urgency)
{
    uint32_t one = mf_embed_order_new_group(&d->order);
    uint32_t two = mf_embed_order_new_group(&d->order);
    static const char *const names[] = {"1", "2", "3", "4"};

    for (size_t i = 0; i < 4; i++) {
        struct mf_embed_task *t = add(d, names[i], urgency, 300, 50);

        mf_embed_order_remove(&d->order, t);
        mf_embed_order_push_group(&d->order, t, i < 2 ? one : two);
    }
}

MF_TEST(embed_order, keeps_the_halves_of_a_batch_together_and_before_others)
{
    struct desk *d = desk_open(9);

    d->lim.tokens = 40; /* they were one batch: their bounds were looked at then */
    add(d, "a", MF_ORDINARY, 10, 0);
    add(d, "u", MF_URGENT, 10, 60);
    add_halves(d, MF_ORDINARY);
    check_order(d, "u 12 34 a");
}

MF_TEST(embed_order, takes_one_of_a_half_when_only_one_is_wanted)
{
    struct desk *d = desk_open(1);

    add(d, "u", MF_URGENT, 10, 60);
    add_halves(d, MF_URGENT);
    MF_CHECK_INT(take(d), 1);
    d->lim.texts = 9;
    check_order(d, "2 34 u");
}

MF_TEST(embed_order, never_gives_group_0)
{
    struct desk *d = desk_open(1);

    d->order.last_group = UINT32_MAX - 1;
    MF_CHECK_INT(mf_embed_order_new_group(&d->order), UINT32_MAX);
    MF_CHECK_INT(mf_embed_order_new_group(&d->order), 1);
}

MF_TEST(embed_order, forgets_a_removed_text_wherever_it_waits)
{
    struct desk *d = desk_open(9);
    struct mf_embed_task *a = add(d, "a", MF_ORDINARY, 1, 0);
    struct mf_embed_task *b = add(d, "b", MF_ORDINARY, 500, 0);

    add(d, "c", MF_ORDINARY, 500, 0);
    add_halves(d, MF_ORDINARY);
    mf_embed_order_remove(&d->order, a);
    mf_embed_order_remove(&d->order, b);
    mf_embed_order_remove(&d->order, &d->task[4]); /* "2" */
    MF_CHECK_INT(d->order.n[MF_ORDINARY], 4);
    check_order(d, "1 34 c");
}

MF_TEST(embed_order, tells_the_oldest_of_a_class)
{
    struct desk *d = desk_open(9);

    MF_CHECK_PTR(mf_embed_order_oldest(&d->order, MF_URGENT), NULL);
    add(d, "a", MF_URGENT, 1, 60);
    add(d, "b", MF_URGENT, 5000, 58);
    MF_CHECK_PTR(mf_embed_order_oldest(&d->order, MF_URGENT), &d->task[1]);
    add_halves(d, MF_URGENT); /* of 50 */
    MF_CHECK_PTR(mf_embed_order_oldest(&d->order, MF_URGENT), &d->task[2]);
    add(d, "c", MF_URGENT, 1, 9);
    mf_embed_order_remove(&d->order, &d->task[0]);
    MF_CHECK_PTR(mf_embed_order_oldest(&d->order, MF_URGENT), &d->task[6]);
    MF_CHECK_PTR(mf_embed_order_oldest(&d->order, MF_ORDINARY), NULL);
}

/* ---- days of a model ---- */

/* A model that needs a millisecond for 16 tokens, and each millisecond a short urgent
 * text comes: it is busy for ever with them. */
MF_TEST(embed_order, serves_a_long_text_under_an_endless_stream_of_short_ones)
{
    struct desk *d = desk_open(1);
    struct mf_embed_task *l = add(d, "l", MF_URGENT, 256, 0);
    uint64_t now = 0;

    do {
        MF_CHECK(now < 1000);
        add(d, "a", MF_URGENT, 16, now);
        MF_CHECK_INT(take(d), 1);
        now++;
    } while (d->batch[0] != l);
    MF_CHECK(now >= 128 && now <= 130);
}

MF_TEST(embed_order, serves_background_its_share_under_an_endless_urgent_stream)
{
    struct desk *d = desk_open(1);
    size_t n_background = 0, rounds = (size_t)40 * (MF_EMBED_URGENT_RUN + 1);

    for (size_t i = 0; i < 60; i++) {
        add(d, "b", MF_ORDINARY, 16, i);
    }
    for (size_t i = 0; i < rounds; i++) {
        add(d, "u", MF_URGENT, 16, 1000 + i);
        MF_CHECK_INT(take(d), 1);
        n_background += d->batch[0]->urgency == MF_ORDINARY;
    }
    MF_CHECK_INT(n_background, 40);
}

/* One long text among 8 short ones, all at once, and so again and again at about 80 %
 * load. Mean wait of the short ones, in ms. */
static double mean_wait_of_short(bool in_order_of_arrival)
{
    uint64_t now = 0, waited = 0, n_short = 0;

    for (uint64_t day = 0; day < 40; day++) {
        struct desk *d = desk_open(1);
        uint32_t long_cost = in_order_of_arrival ? 16 : 256; /* one line for all */

        now = mf_max(now, day * 30);
        add(d, "l", MF_URGENT, long_cost, day * 30);
        for (size_t i = 0; i < 8; i++) {
            add(d, "s", MF_URGENT, 16, day * 30);
        }
        while (take(d) > 0 && d->order.n[MF_URGENT] > 0) {
            bool is_short = d->batch[0]->text.p[0] == 's';

            waited += is_short ? now - d->batch[0]->submitted_ms : 0;
            n_short += is_short;
            now += is_short ? 1 : 16;
        }
    }
    return (double)waited / (double)n_short;
}

MF_TEST(embed_order, makes_short_texts_wait_less_than_in_order_of_arrival)
{
    MF_CHECK(mean_wait_of_short(false) < mean_wait_of_short(true) / 3);
}
