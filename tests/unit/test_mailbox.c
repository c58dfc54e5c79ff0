/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/mailbox.h"

#include "lib/loop_fixture.h"
#include "lib/mf_test.h"

#include <pthread.h>

#define N_SENDERS 4
#define N_LETTERS 2000

struct note {
    struct mf_letter letter;
    unsigned sender, number;
};

struct box {
    struct mf_loop *loop;
    struct mf_mailbox *mail;
    unsigned next[N_SENDERS]; /* the number expected from each */
    unsigned n_delivered, wanted;
    bool has_all, is_closed;
    unsigned n_closed;
    struct mf_letter *repost; /* posted again from inside deliver, once */
    bool close_on_first;
};

static void on_box_closed(void *arg)
{
    struct box *b = arg;

    mf_loop_assert(b->loop);
    b->n_closed++;
    b->is_closed = true;
}

static void on_letter(struct mf_letter *letter, void *arg)
{
    struct box *b = arg;
    struct note *n = mf_container_of(letter, struct note, letter);

    mf_loop_assert(b->loop);
    MF_CHECK(!b->is_closed);
    MF_CHECK_INT(n->number, b->next[n->sender]);
    b->next[n->sender]++;
    b->n_delivered++;
    b->has_all = b->n_delivered == b->wanted;
    letter->next = letter; /* ours now: the box must not look at it again */
    if (b->repost == letter) {
        b->repost = NULL;
        n->number++;
        MF_CHECK_OK(mf_mailbox_post(b->mail, letter));
    }
    if (b->close_on_first) {
        b->close_on_first = false;
        mf_mailbox_close(b->mail, on_box_closed, b);
    }
}

static struct mf_loop *box_open(struct box *b) MF_ASSERTS_LOOP;

static struct mf_loop *box_open(struct box *b)
{
    *b = (struct box){0};
    b->loop = mf_loop_fixture_open();
    MF_CHECK_OK(mf_mailbox_open(&b->mail, b->loop, on_letter, b));
    return b->loop;
}

MF_LOOP static void box_close(struct box *b)
{
    mf_mailbox_close(b->mail, on_box_closed, b);
    MF_CHECK(!b->is_closed);
    mf_loop_fixture_wait(b->loop, &b->is_closed);
    MF_CHECK_INT(b->n_closed, 1);
    mf_loop_fixture_close(b->loop);
}

struct sender {
    struct box *box;
    pthread_t thread;
    unsigned n_posted;
    struct note notes[N_LETTERS];
};

static struct sender senders[N_SENDERS];

/* Posts until all are sent or the box is closed. */
static void *send_all(void *arg)
{
    struct sender *s = arg;

    for (unsigned i = 0; i < N_LETTERS; i++) {
        s->notes[i] = (struct note){.sender = (unsigned)(s - senders), .number = i};
        if (mf_mailbox_post(s->box->mail, &s->notes[i].letter) < 0) {
            break;
        }
        s->n_posted++;
    }
    return NULL;
}

static void senders_start(struct box *b)
{
    for (size_t i = 0; i < N_SENDERS; i++) {
        senders[i].box = b;
        senders[i].n_posted = 0;
        MF_CHECK_OK(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]));
    }
}

static unsigned senders_join(void)
{
    unsigned n = 0;

    for (size_t i = 0; i < N_SENDERS; i++) {
        MF_CHECK_OK(pthread_join(senders[i].thread, NULL));
        n += senders[i].n_posted;
    }
    return n;
}

MF_TEST(mailbox, delivers_everything_in_the_order_of_each_sender)
{
    struct box b;
    struct mf_loop *l = box_open(&b);

    b.wanted = N_SENDERS * N_LETTERS;
    senders_start(&b);
    mf_loop_fixture_wait(l, &b.has_all);
    MF_CHECK_INT(senders_join(), b.wanted);
    box_close(&b);
    MF_CHECK_INT(b.n_delivered, N_SENDERS * N_LETTERS);
}

MF_TEST(mailbox, delivers_what_was_posted_before_close_and_then_says_closed)
{
    struct note notes[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct box b;

    (void)box_open(&b);
    for (size_t i = 0; i < mf_countof(notes); i++) {
        MF_CHECK_OK(mf_mailbox_post(b.mail, &notes[i].letter));
    }
    MF_CHECK_INT(b.n_delivered, 0); /* never from inside post */
    box_close(&b);
    MF_CHECK_INT(b.n_delivered, 3);
}

MF_TEST(mailbox, refuses_letters_after_close_began)
{
    struct note kept = {.number = 7};
    struct mf_letter *mark = &kept.letter;
    struct box b;
    struct mf_loop *l = box_open(&b);

    kept.letter.next = mark;
    mf_mailbox_close(b.mail, on_box_closed, &b);
    MF_CHECK_INT(mf_mailbox_post(b.mail, &kept.letter), MF_ECLOSED);
    MF_CHECK_PTR(kept.letter.next, mark); /* untouched: still the caller's */
    mf_mailbox_close(b.mail, on_box_closed, &b);
    mf_loop_fixture_wait(l, &b.is_closed);
    MF_CHECK_INT(b.n_closed, 1);
    MF_CHECK_INT(b.n_delivered, 0);
    mf_loop_fixture_close(l);
}

MF_TEST(mailbox, delivers_exactly_the_accepted_letters_when_close_races_with_senders)
{
    for (int round = 0; round < 20; round++) {
        struct box b;
        struct mf_loop *l = box_open(&b);
        unsigned n_accepted;

        senders_start(&b);
        mf_mailbox_close(b.mail, on_box_closed, &b);
        /* The box lives until the loop turns: the senders end before. */
        n_accepted = senders_join();
        mf_loop_fixture_wait(l, &b.is_closed);
        MF_CHECK_INT(b.n_delivered, n_accepted);
        mf_loop_fixture_close(l);
    }
}

MF_TEST(mailbox, takes_a_letter_back_from_inside_deliver)
{
    struct note n = {.number = 0};
    struct box b;
    struct mf_loop *l = box_open(&b);

    b.repost = &n.letter;
    b.wanted = 2;
    MF_CHECK_OK(mf_mailbox_post(b.mail, &n.letter));
    mf_loop_fixture_wait(l, &b.has_all);
    box_close(&b);
    MF_CHECK_INT(b.n_delivered, 2);
}

MF_TEST(mailbox, delivers_the_rest_when_closed_from_inside_deliver)
{
    struct note notes[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct box b;
    struct mf_loop *l = box_open(&b);

    b.close_on_first = true;
    for (size_t i = 0; i < mf_countof(notes); i++) {
        MF_CHECK_OK(mf_mailbox_post(b.mail, &notes[i].letter));
    }
    mf_loop_fixture_wait(l, &b.is_closed);
    MF_CHECK_INT(b.n_delivered, 3);
    MF_CHECK_INT(b.n_closed, 1);
    mf_loop_fixture_close(l);
}

MF_TEST(mailbox, fails_to_open_cleanly_without_memory)
{
    struct mf_loop *l = mf_loop_fixture_open();
    struct mf_mailbox *m = NULL;

    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_mailbox_open(&m, l, on_letter, NULL), MF_ENOMEM);
    MF_CHECK(mf_test_has_failed());
    mf_test_fail_nth(0);
    MF_CHECK_PTR(m, NULL);
    mf_loop_fixture_close(l);
}
