/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/index.h"

#include "engine/backfill.h"
#include "engine/record_task.h"
#include "engine/respace.h"

#include <string.h>

#define LATE_TEXTS_A_JOB 512

/* A message of an acknowledged round, on its way to a vector. */
struct message_task {
    struct mf_record_task rt;
    struct mf_index *x;
    struct mf_item *item;
    uint32_t i;
};

/* One text of a job somebody waits for. */
struct text_task {
    struct mf_record_task rt;
    struct mf_index *x;
    struct mf_index_job *job;
    struct mf_index_text *out;
};

/* Rounds beyond the backlog: records without vectors, many in one job. */
struct late_job {
    struct mf_job job;
    struct mf_index *x;
    struct mf_item *items[LATE_TEXTS_A_JOB];
    size_t n_items;
    size_t n_texts;
    struct mf_buf records[LATE_TEXTS_A_JOB];
    const struct mf_record_maker *maker;
    int rc;
};

struct late_round {
    struct mf_link link;
    struct mf_item *item;
};

struct mf_index {
    struct mf_index_parts p;
    struct mf_record_maker maker;
    struct mf_lane *late_lane;
    struct mf_list late; /* struct late_round */
    bool is_late_running, is_paused, is_stopped;
    struct mf_backfill *backfill;
    struct mf_respace *respace;
    mf_index_closed_fn closed;
    void *closed_arg;
};

int mf_index_open(struct mf_index **out, const struct mf_index_parts *p)
{
    struct mf_index *x = mf_calloc(1, sizeof(*x));
    int rc;

    if (x == NULL) {
        return MF_ENOMEM;
    }
    x->p = *p;
    mf_list_init(&x->late);
    x->maker.embed = p->embed;
    x->maker.as_f32 = strcmp(p->conf->recall_vectors, "f32") == 0;
    x->maker.terms = mf_terms_pool_new();
    rc = x->maker.terms == NULL ? MF_ENOMEM
                                : mf_backfill_new(&x->backfill, p, &x->maker);
    if (rc < 0) {
        goto free_terms;
    }
    rc = mf_respace_new(&x->respace, p, x->backfill);
    if (rc < 0) {
        goto free_backfill;
    }
    rc = mf_lane_open(&x->late_lane, p->loop, "late", 1, 4);
    if (rc < 0) {
        goto free_respace;
    }
    *out = x;
    return 0;

free_respace:
    mf_respace_free(x->respace);
free_backfill:
    mf_backfill_free(x->backfill);
free_terms:
    mf_terms_pool_free(x->maker.terms);
    mf_free(x);
    return rc;
}

MF_LOOP static struct mf_entry_msg *find_message(struct mf_index *x,
                                                 const struct mf_item *it, uint32_t i)
{
    struct mf_userbuf *u = mf_userbuf_find(x->p.buffers, it->user_id);

    return u == NULL ? NULL : mf_userbuf_find_seq(u, it->seq + i);
}

/* A record for a message that may have been stored meanwhile: then the row is pending
 * and the backfill's. */
MF_LOOP static void hand_over(struct mf_index *x, const struct mf_item *it, uint32_t i,
                              struct mf_record_task *rt, bool has_vector)
{
    struct mf_entry_msg *m = x->is_stopped ? NULL : find_message(x, it, i);
    struct mf_entry *e;

    if (m == NULL) {
        return;
    }
    e = m->entry;
    if (rt->search.n > 0) {
        mf_library_record_made(x->p.library, it->user_id, it->seq + i,
                               mf_slice_of(rt->search.p, rt->search.n));
        /* MF_EBUSY: the batch that flies stores the row pending. */
        if (mf_entry_set_record(x->p.buffers, m, &rt->search, &rt->passages,
                                has_vector) < 0) {
            mf_index_expect_pending(x);
        }
    }
    if (!has_vector) {
        mf_entry_vector_failed(m);
    }
    x->p.changed(e, x->p.arg);
}

MF_LOOP static void on_message_made(struct mf_record_task *rt, int rc)
{
    struct message_task *t = mf_container_of(rt, struct message_task, rt);

    hand_over(t->x, t->item, t->i, rt, rc == 0);
    mf_item_unref(t->item);
    mf_record_task_fini(rt);
    mf_free(t);
}

MF_LOOP static int submit_message(struct mf_index *x, struct mf_item *it, uint32_t i)
{
    struct message_task *t = mf_calloc(1, sizeof(*t));
    const struct mf_msg *msg = &it->msgs[i];
    int rc;

    if (t == NULL) {
        return MF_ENOMEM;
    }
    t->x = x;
    t->i = i;
    mf_record_task_init(&t->rt, &x->maker, msg->content, msg->role, msg->created_us);
    t->item = mf_item_ref(it);
    rc = mf_record_task_submit(&t->rt, MF_ORDINARY, on_message_made);
    if (rc < 0) {
        mf_item_unref(it);
        mf_record_task_fini(&t->rt);
        mf_free(t);
    }
    return rc;
}

/* ---- rounds beyond the backlog ---- */

MF_WORKER static void work_late(struct mf_job *job)
{
    struct late_job *lj = mf_container_of(job, struct late_job, job);
    size_t k = 0;

    for (size_t i = 0; i < lj->n_items && lj->rc == 0; i++) {
        for (uint32_t m = 0; m < lj->items[i]->n_msgs && lj->rc == 0; m++) {
            const struct mf_msg *msg = &lj->items[i]->msgs[m];

            lj->rc = mf_record_build(&lj->records[k++], lj->maker, msg);
        }
    }
}

MF_LOOP static void start_late_job(struct mf_index *x);

/* Of one round: its records are the next ones of the job. */
MF_LOOP static void hand_over_round(struct late_job *lj, const struct mf_item *it,
                                    size_t first, int status)
{
    for (uint32_t m = 0; m < it->n_msgs; m++) {
        struct mf_record_task rt = {.search = lj->records[first + m]};

        if (status == 0) {
            hand_over(lj->x, it, m, &rt, false);
        }
        mf_buf_fini(&rt.search);
        mf_buf_fini(&rt.passages);
    }
}

static void on_late_done(struct mf_job *job, int status)
{
    struct late_job *lj = mf_container_of(job, struct late_job, job);
    struct mf_index *x = lj->x;
    size_t k = 0;

    mf_loop_assert(x->p.loop);
    for (size_t i = 0; i < lj->n_items; i++) {
        hand_over_round(lj, lj->items[i], k, status);
        k += lj->items[i]->n_msgs;
        mf_item_unref(lj->items[i]);
    }
    mf_free(lj);
    x->is_late_running = false;
    if (status == 0) {
        start_late_job(x);
    }
}

static void fill_late_job(struct mf_index *x, struct late_job *lj)
{
    while (!mf_list_is_empty(&x->late)) {
        struct late_round *r =
            mf_container_of(mf_list_head(&x->late), struct late_round, link);

        if (lj->n_texts + r->item->n_msgs > LATE_TEXTS_A_JOB) {
            break;
        }
        mf_list_remove(&x->late, &r->link);
        lj->items[lj->n_items++] = r->item;
        lj->n_texts += r->item->n_msgs;
        mf_free(r);
    }
}

MF_LOOP static void start_late_job(struct mf_index *x)
{
    struct late_job *lj;

    if (x->is_late_running || x->is_paused || x->is_stopped ||
        mf_list_is_empty(&x->late)) {
        return;
    }
    lj = mf_calloc(1, sizeof(*lj));
    if (lj == NULL) {
        return; /* the flush prepares what it needs; the next round tries again */
    }
    lj->x = x;
    lj->maker = &x->maker;
    fill_late_job(x, lj);
    lj->job.work = work_late;
    lj->job.done = on_late_done;
    if (mf_lane_submit(x->late_lane, &lj->job, MF_ORDINARY) < 0) {
        for (size_t i = 0; i < lj->n_items; i++) {
            mf_item_unref(lj->items[i]);
        }
        mf_free(lj);
        return;
    }
    x->is_late_running = true;
}

/* Too many texts for one job, or no memory to remember it: the flush prepares it. */
MF_LOOP static void give_up_vectors(struct mf_index *x, struct mf_entry *e)
{
    for (uint32_t i = 0; i < e->item->n_msgs; i++) {
        if (!e->msgs[i].has_vector) {
            mf_entry_vector_failed(&e->msgs[i]);
        }
    }
    x->p.changed(e, x->p.arg);
}

MF_LOOP static void index_late(struct mf_index *x, struct mf_entry *e)
{
    struct late_round *r =
        e->item->n_msgs <= LATE_TEXTS_A_JOB ? mf_calloc(1, sizeof(*r)) : NULL;

    if (r == NULL) {
        give_up_vectors(x, e);
        return;
    }
    r->item = mf_item_ref(e->item);
    mf_list_push_tail(&x->late, &r->link);
    start_late_job(x);
}

bool mf_index_is_late(const struct mf_index *x)
{
    return mf_embed_backlog(x->p.embed) >= x->p.conf->embed_max_backlog;
}

void mf_index_entry(struct mf_index *x, struct mf_entry *e)
{
    struct mf_item *it = e->item;

    if (mf_embed_backlog(x->p.embed) + it->n_msgs > x->p.conf->embed_max_backlog) {
        index_late(x, e);
        return;
    }
    for (uint32_t i = 0; i < it->n_msgs; i++) {
        if (submit_message(x, it, i) < 0) {
            mf_entry_vector_failed(&e->msgs[i]);
        }
    }
}

int mf_index_prepare(struct mf_index *x, struct mf_entry *e)
{
    for (uint32_t i = 0; i < e->item->n_msgs; i++) {
        const struct mf_msg *msg = &e->item->msgs[i];
        struct mf_entry_msg *m = &e->msgs[i];
        struct mf_buf search, passages;
        int rc;

        if (!m->has_vector) {
            mf_index_expect_pending(x);
        }
        if (m->search.n > 0) {
            continue;
        }
        mf_buf_init(&search);
        mf_buf_init(&passages);
        rc = mf_record_build(&search, &x->maker, msg);
        if (rc == 0) {
            rc = mf_entry_set_record(x->p.buffers, m, &search, &passages, false);
        }
        mf_buf_fini(&search);
        mf_buf_fini(&passages);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- texts somebody waits for ---- */

static void job_step(struct mf_index_job *j, size_t n)
{
    MF_ASSERT(j->n_left >= n);
    j->n_left -= n;
    if (j->n_left == 0) {
        j->done(j, j->rc);
    }
}

MF_LOOP static void on_text_made(struct mf_record_task *rt, int rc)
{
    struct text_task *t = mf_container_of(rt, struct text_task, rt);
    struct mf_index_job *j = t->job;

    t->out->has_vector = rc == 0;
    t->out->search = rt->search;
    t->out->passages = rt->passages;
    mf_buf_init(&rt->search);
    mf_buf_init(&rt->passages);
    if (t->out->search.n == 0) {
        j->rc = rc == MF_ECANCELED ? MF_ECLOSED : MF_ENOMEM;
    }
    if (rc < 0) {
        mf_index_expect_pending(t->x);
    }
    mf_record_task_fini(rt);
    mf_free(t);
    job_step(j, 1);
}

MF_LOOP static int submit_text(struct mf_index *x, struct mf_index_job *j,
                               struct mf_index_text *text)
{
    struct text_task *t = mf_calloc(1, sizeof(*t));
    int rc;

    if (t == NULL) {
        return MF_ENOMEM;
    }
    t->x = x;
    t->job = j;
    t->out = text;
    mf_record_task_init(&t->rt, &x->maker, text->text, text->role, text->created_us);
    t->rt.is_knowledge = text->is_knowledge;
    rc = mf_record_task_submit(&t->rt, MF_URGENT, on_text_made);
    if (rc < 0) {
        mf_record_task_fini(&t->rt);
        mf_free(t);
    }
    return rc;
}

int mf_index_texts(struct mf_index *x, struct mf_index_job *j)
{
    MF_ASSERT(j->n > 0);
    if (x->is_stopped) {
        return MF_ECLOSED;
    }
    j->n_left = j->n;
    j->rc = 0;
    for (size_t i = 0; i < j->n; i++) {
        mf_buf_init(&j->texts[i].search);
        mf_buf_init(&j->texts[i].passages);
        j->texts[i].has_vector = false;
    }
    for (size_t i = 0; i < j->n; i++) {
        int rc = submit_text(x, j, &j->texts[i]);

        if (rc < 0 && i == 0) {
            return rc;
        }
        if (rc < 0) {
            j->rc = rc;
            job_step(j, j->n - i); /* those under way still come: never the last here */
            return 0;
        }
    }
    return 0;
}

void mf_index_expect_pending(struct mf_index *x)
{
    mf_backfill_expect(x->backfill);
}

void mf_index_pause(struct mf_index *x, bool pause)
{
    x->is_paused = pause;
    mf_embed_pause(x->p.embed, pause);
    start_late_job(x);
}

void mf_index_stop(struct mf_index *x)
{
    x->is_stopped = true;
    mf_respace_stop(x->respace);
    mf_backfill_stop(x->backfill);
}

void mf_index_tick(struct mf_index *x, uint64_t now_ms)
{
    start_late_job(x);
    if (x->is_paused) {
        return;
    }
    mf_respace_tick(x->respace, now_ms);
    mf_backfill_tick(x->backfill, now_ms);
}

static void on_lane_closed(void *arg)
{
    struct mf_index *x = arg;

    mf_loop_assert(x->p.loop);
    while (!mf_list_is_empty(&x->late)) {
        struct late_round *r =
            mf_container_of(mf_list_pop_head(&x->late), struct late_round, link);

        mf_item_unref(r->item);
        mf_free(r);
    }
    mf_respace_free(x->respace);
    mf_backfill_free(x->backfill);
    mf_terms_pool_free(x->maker.terms);
    x->closed(x->closed_arg);
    mf_free(x);
}

void mf_index_close(struct mf_index *x, mf_index_closed_fn closed, void *arg)
{
    x->closed = closed;
    x->closed_arg = arg;
    mf_lane_close(x->late_lane, on_lane_closed, x);
}
