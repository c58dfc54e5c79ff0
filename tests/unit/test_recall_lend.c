/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/recall_kit.h"

#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>

#define N 60

struct asker {
    struct mf_shelf_waiter w;
    struct mf_shelf *s;
    unsigned n_called;
    int rc; /* of asking again */
};

MF_LOOP static void on_ready(struct mf_shelf_waiter *w)
{
    struct asker *a = mf_container_of(w, struct asker, w);

    a->n_called++;
    a->rc = mf_shelf_lend(a->s, w);
}

static void draw(struct kit_rec recs[N], uint32_t seed)
{
    for (size_t i = 0; i < N; i++) {
        recs[i] = kit_draw(seed, i);
    }
}

/* A shelf of made-up records, who asks for it, and the shelf it shall be like (may be
 * NULL). */
struct lending {
    struct mf_terms *t;
    struct kit_rec recs[N];
    struct mf_shelf *s, *want;
    struct asker a;
};

/* The shelf has the first `n` records. */
MF_ANY static void lending_open(struct lending *l, uint32_t seed,
                                size_t n) MF_ASSERTS_LOOP;

static void lending_open(struct lending *l, uint32_t seed, size_t n)
{
    kit_on_loop();
    l->t = mf_terms_new();
    draw(l->recs, seed);
    l->s = kit_shelf(l->t, l->recs, n, N);
    l->want = NULL;
    l->a = (struct asker){.w.ready = on_ready, .s = l->s};
}

MF_LOOP static void lending_close(struct lending *l)
{
    mf_shelf_free(l->want);
    mf_shelf_free(l->s);
    mf_terms_free(l->t);
}

MF_TEST(shelf_lend, keeps_changes_in_line_until_it_is_back)
{
    struct lending l;

    lending_open(&l, 1, N / 2);
    l.want = kit_shelf(l.t, l.recs, N, 3);
    MF_CHECK_OK(mf_shelf_remove_session(l.want, MF_SLICE("s2")));
    MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w));
    MF_CHECK(mf_shelf_is_lent(l.s));
    for (size_t i = N / 2; i < N; i++) {
        struct kit_rec early = l.recs[i];

        early.vector = 0;
        MF_CHECK_OK(kit_put(l.s, l.t, &early));
        MF_CHECK_OK(kit_replace(l.s, l.t, &l.recs[i]));
    }
    MF_CHECK_OK(mf_shelf_remove(l.s, l.recs[3].seq));
    MF_CHECK_INT(mf_shelf_remove(l.s, l.recs[3].seq), MF_ENOTFOUND);
    MF_CHECK_INT(kit_replace(l.s, l.t, &l.recs[3]), MF_ENOTFOUND);
    MF_CHECK_OK(mf_shelf_remove_session(l.s, MF_SLICE("s2")));
    MF_CHECK_INT(mf_shelf_count(l.s), N / 2);
    for (size_t i = 0; i < N; i++) {
        MF_CHECK_INT(mf_shelf_has(l.s, l.recs[i].seq),
                     mf_shelf_has(l.want, l.recs[i].seq));
    }
    mf_shelf_return(l.s);
    MF_CHECK(!mf_shelf_is_lent(l.s));
    kit_check_same(l.want, l.s, l.t);
    lending_close(&l);
}

MF_TEST(shelf_lend, lets_a_new_scan_wait_for_what_stands_in_line)
{
    struct lending l;
    struct asker a[2];

    lending_open(&l, 2, 5);
    a[0] = a[1] = l.a;
    MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w));
    MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w)); /* two scans at once */
    MF_CHECK_OK(kit_put(l.s, l.t, &l.recs[5]));
    MF_CHECK_INT(mf_shelf_lend(l.s, &a[0].w), MF_EBUSY);
    MF_CHECK_INT(mf_shelf_lend(l.s, &a[1].w), MF_EBUSY);
    mf_shelf_return(l.s);
    MF_CHECK_INT(a[0].n_called, 0);
    mf_shelf_forget_waiter(l.s, &a[1].w);
    mf_shelf_forget_waiter(l.s, &a[1].w);
    mf_shelf_return(l.s);
    MF_CHECK_INT(a[0].n_called, 1);
    MF_CHECK_OK(a[0].rc);
    MF_CHECK_INT(a[1].n_called, 0);
    MF_CHECK_INT(mf_shelf_count(l.s), 6);
    MF_CHECK(mf_shelf_is_lent(l.s));
    mf_shelf_return(l.s);
    lending_close(&l);
}

MF_TEST(shelf_lend, keeps_a_change_that_found_no_memory_and_says_so)
{
    struct lending l;

    lending_open(&l, 3, 6);
    l.want = kit_shelf(l.t, l.recs, 8, N);
    MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w));
    MF_CHECK_OK(kit_put(l.s, l.t, &l.recs[6]));
    mf_test_fail_nth(1);
    mf_shelf_return(l.s);
    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_shelf_lend(l.s, &l.a.w), MF_ENOMEM);
    mf_test_fail_nth(0);
    MF_CHECK_INT(mf_shelf_count(l.s), 6);
    MF_CHECK(mf_shelf_has(l.s, l.recs[6].seq));
    MF_CHECK_OK(kit_put(l.s, l.t, &l.recs[7])); /* behind it */
    MF_CHECK_INT(mf_shelf_count(l.s), 6);
    MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w));
    MF_CHECK_INT(mf_shelf_count(l.s), 8);
    mf_shelf_return(l.s);
    kit_check_same(l.want, l.s, l.t);
    lending_close(&l);
}

MF_TEST(shelf_lend, may_be_freed_with_changes_in_line)
{
    struct lending l;
    size_t before;

    lending_open(&l, 4, 0);
    before = mf_shelf_bytes(l.s);
    MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w));
    MF_CHECK_OK(kit_put(l.s, l.t, &l.recs[1]));
    MF_CHECK(mf_shelf_bytes(l.s) > before);
    mf_test_fail_nth(1);
    mf_shelf_return(l.s);
    mf_test_fail_nth(0);
    MF_CHECK_INT(mf_shelf_count(l.s), 0);
    lending_close(&l);
}

/* --- what a store says --- */

MF_LOOP static int take(struct mf_shelf *s, struct mf_terms *t, const struct kit_rec *r)
{
    struct mf_shelf_row row = {.seq = r->seq,
                               .session_id = mf_slice_str(r->session),
                               .agent_id = mf_slice_str(r->agent)};
    struct mf_buf rec;
    int rc;

    kit_build(&rec, t, r);
    row.rec = mf_slice_of(rec.p, rec.n);
    rc = mf_shelf_take(s, &row);
    mf_buf_fini(&rec);
    return rc;
}

MF_TEST(shelf_lend, takes_records_that_are_new_or_other)
{
    struct lending l;

    for (int is_lent = 0; is_lent < 2; is_lent++) {
        lending_open(&l, 5, 0);
        l.want = kit_shelf(l.t, l.recs, N, N);
        for (size_t i = 0; i < N; i += 2) {
            struct kit_rec old = l.recs[i];

            old.vector += i % 4; /* some are other vectors, some other texts */
            if (i % 3 == 0) {
                old.text[0] = 'x';
            }
            MF_CHECK_OK(kit_put(l.s, l.t, &old));
        }
        MF_CHECK_OK(is_lent != 0 ? mf_shelf_lend(l.s, &l.a.w) : 0);
        for (size_t i = 0; i < N; i++) {
            MF_CHECK_OK(take(l.s, l.t, &l.recs[i]));
        }
        if (is_lent != 0) {
            mf_shelf_return(l.s);
        }
        kit_check_same(l.want, l.s, l.t);
        lending_close(&l);
    }
}

/* Nothing stands in line, so nobody has to wait. */
MF_TEST(shelf_lend, takes_an_equal_record_without_a_change)
{
    struct lending l;
    struct kit_rec other;
    size_t bytes;

    lending_open(&l, 6, N);
    bytes = mf_shelf_bytes(l.s);
    MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w));
    for (size_t i = 0; i < N; i++) {
        MF_CHECK_OK(take(l.s, l.t, &l.recs[i]));
    }
    MF_CHECK_INT(mf_shelf_bytes(l.s), bytes);
    MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w));
    mf_shelf_return(l.s);
    other = l.recs[9];
    other.is_knowledge = !other.is_knowledge;
    MF_CHECK_INT(take(l.s, l.t, &other), MF_EINVAL);
    other = l.recs[9];
    other.vector++;
    MF_CHECK_OK(take(l.s, l.t, &other));
    MF_CHECK_INT(mf_shelf_lend(l.s, &l.a.w), MF_EBUSY);
    MF_CHECK_OK(take(l.s, l.t, &l.recs[9])); /* not equal to what stands in line */
    mf_shelf_return(l.s);
    mf_shelf_return(l.s); /* the asker's */
    MF_CHECK_INT(mf_shelf_count(l.s), N);
    lending_close(&l);
}

MF_TEST(shelf_lend, takes_an_equal_record_that_a_change_in_line_would_undo)
{
    struct lending l;
    struct kit_rec other;

    lending_open(&l, 7, N);
    l.want = kit_shelf(l.t, l.recs, N, N);
    other = l.recs[9];
    other.vector++;
    for (int i = 0; i < 3; i++) {
        MF_CHECK_OK(mf_shelf_lend(l.s, &l.a.w));
        if (i == 0) {
            MF_CHECK_OK(take(l.s, l.t, &other));
        } else if (i == 1) {
            MF_CHECK_OK(mf_shelf_remove(l.s, l.recs[9].seq));
        } else {
            MF_CHECK_OK(mf_shelf_remove_session(l.s, mf_slice_str(l.recs[9].session)));
        }
        for (size_t k = 0; k < N; k++) {
            MF_CHECK_OK(take(l.s, l.t, &l.recs[k]));
        }
        mf_shelf_return(l.s);
        MF_CHECK_INT(mf_shelf_count(l.s), N);
        kit_check_same(l.want, l.s, l.t);
    }
    lending_close(&l);
}

MF_TEST(shelf_lend, takes_the_same_vector_of_another_space)
{
    struct mf_terms *t = mf_terms_new();
    struct kit_rec rec = kit_draw(8, 1);
    struct mf_shelf *s;
    struct asker a = {.w.ready = on_ready};

    (void)state;
    kit_on_loop();
    rec.vector = 5;
    s = a.s = kit_shelf(t, &rec, 1, 1);
    MF_CHECK_OK(mf_shelf_lend(s, &a.w));
    rec.space++;
    MF_CHECK_OK(take(s, t, &rec));
    MF_CHECK_INT(mf_shelf_lend(s, &a.w), MF_EBUSY); /* it stands in line */
    mf_shelf_return(s);
    mf_shelf_return(s); /* the asker's */
    mf_shelf_free(s);
    mf_terms_free(t);
}

MF_TEST(shelf_lend, takes_no_damaged_record_and_says_when_memory_lacks)
{
    struct lending l;
    struct mf_shelf_row bad = {.seq = 1, .rec = MF_SLICE("no record")};
    struct mf_buf rec;
    int rc = MF_ENOMEM;

    lending_open(&l, 7, 0);
    MF_CHECK_INT(mf_shelf_take(l.s, &bad), MF_ECORRUPT);
    kit_build(&rec, l.t, &l.recs[1]);
    bad = (struct mf_shelf_row){.seq = 10, .rec = mf_slice_of(rec.p, rec.n)};
    for (size_t nth = 1; rc != 0; nth++) {
        mf_test_fail_nth(nth);
        rc = mf_shelf_take(l.s, &bad);
        mf_test_fail_nth(0);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
        MF_CHECK_INT(mf_shelf_has(l.s, 10), rc == 0);
    }
    mf_test_fail_nth(1);
    MF_CHECK_OK(mf_shelf_take(l.s, &bad)); /* equal: needs none */
    mf_test_fail_nth(0);
    mf_buf_fini(&rec);
    lending_close(&l);
}

/* --- a worker scans while the loop goes on --- */

struct scan_job {
    const struct mf_shelf *s;
    struct mf_scan_request r;
    struct mf_scan_hit hits[KIT_MAX_HITS];
    size_t n;
    int rc;
    atomic_bool done;
};

MF_WORKER static void *work_scan(void *arg)
{
    struct scan_job *job = arg;

    for (size_t i = 0; i < 20 && job->rc == 0; i++) {
        job->rc = mf_shelf_scan(job->s, &job->r, job->hits, &job->n);
    }
    atomic_store(&job->done, true);
    return NULL;
}

/* Puts records while a worker scans, at least one; returns how many it had put. */
MF_LOOP static size_t put_meanwhile(struct scan_job *job, struct mf_shelf *s,
                                    struct mf_terms *t, const struct kit_rec *recs,
                                    size_t n_left)
{
    struct asker a = {.w.ready = on_ready, .s = s};
    size_t n_before = mf_shelf_count(s);
    size_t n_put = 0;
    pthread_t worker;

    MF_CHECK_OK(mf_shelf_lend(s, &a.w));
    atomic_store(&job->done, false);
    MF_CHECK_INT(pthread_create(&worker, NULL, work_scan, job), 0);
    do {
        if (n_put < n_left) {
            MF_CHECK_OK(kit_put(s, t, &recs[n_put++]));
        }
    } while (!atomic_load(&job->done));
    MF_CHECK_INT(pthread_join(worker, NULL), 0);
    MF_CHECK_OK(job->rc);
    MF_CHECK_INT(job->n, n_before);
    mf_shelf_return(s);
    MF_CHECK_INT(mf_shelf_count(s), n_before + n_put);
    return n_put;
}

MF_TEST(shelf_lend, lets_a_worker_scan_while_the_loop_puts)
{
    static struct scan_job job;
    struct mf_terms *t = mf_terms_new();
    struct kit_rec recs[N];
    struct mf_question q;
    float v[KIT_DIM];
    size_t n = 10;

    (void)state;
    kit_on_loop();
    draw(recs, 5);
    job.r = kit_request(&q, t, kit_questions[0], v);
    for (size_t round = 0; round < 5; round++) {
        struct mf_shelf *s = kit_shelf(t, recs, 10, N);

        job.s = s;
        for (n = 10; n < N;) {
            n += put_meanwhile(&job, s, t, recs + n, mf_min(N - n, 20));
        }
        mf_shelf_free(s);
    }
    mf_question_fini(&q);
    mf_terms_free(t);
}
