/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/index.h"

#include "engine/backfill.h"
#include "engine/record_task.h"
#include "engine/respace.h"

#include <string.h>

#define MAX_MAKING 16 /* batches: as many as there may be flush workers */

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

/* Records without vectors, for rows that are about to be written. */
struct make_row {
    struct mf_item *item;
    uint32_t i;
    struct mf_buf record;
};

struct make_job {
    struct mf_job job;
    struct mf_index *x;
    struct mf_flush_make *made;
    size_t n;
    struct make_row rows[];
};

struct mf_index {
    struct mf_index_parts p;
    struct mf_record_maker maker;
    struct mf_lane *late_lane;
    bool is_paused, is_stopped;
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
    rc = mf_lane_open(&x->late_lane, p->loop, "late", 1, MAX_MAKING);
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

/* ---- rows about to be written ---- */

MF_WORKER static void work_make(struct mf_job *job)
{
    struct make_job *mj = mf_container_of(job, struct make_job, job);
    int rc = 0;

    for (size_t i = 0; i < mj->n && rc == 0; i++) {
        struct make_row *row = &mj->rows[i];

        rc = mf_record_build(&row->record, &mj->x->maker, &row->item->msgs[row->i]);
        if (rc < 0) { /* no half records: the flush tries again, row by row */
            mf_buf_reset(&row->record);
        }
    }
}

/* Unless a vector came meanwhile. Without memory for it the flush makes it once more.
 */
MF_LOOP static void take_made(struct mf_index *x, struct make_row *row)
{
    struct mf_entry_msg *m = find_message(x, row->item, row->i);
    int rc;

    if (row->record.n > 0 && m != NULL && m->search.n == 0) {
        rc = mf_entry_set_record(x->p.buffers, m, &row->record, NULL, false);
        /* It neither flies nor is it stored: its batch waits. */
        MF_ASSERT(rc == 0 || rc == MF_ENOMEM);
    }
}

MF_LOOP static void free_make_job(struct make_job *mj)
{
    for (size_t i = 0; i < mj->n; i++) {
        mf_buf_fini(&mj->rows[i].record);
        mf_item_unref(mj->rows[i].item);
    }
    mf_free(mj);
}

static void on_make_done(struct mf_job *job, int status)
{
    struct make_job *mj = mf_container_of(job, struct make_job, job);
    struct mf_flush_make *made = mj->made;

    mf_loop_assert(mj->x->p.loop);
    for (size_t i = 0; i < mj->n && status == 0; i++) {
        take_made(mj->x, &mj->rows[i]);
    }
    free_make_job(mj);
    made->done(made);
}

MF_LOOP static struct mf_entry *entry_at(struct mf_link *in_place)
{
    return mf_container_of(in_place, struct mf_entry, in_place);
}

MF_LOOP static size_t count_bare(const struct mf_list *entries)
{
    size_t n = 0;

    mf_list_each (entries, k) {
        const struct mf_entry *e = entry_at(k);

        for (uint32_t i = 0; i < e->item->n_msgs; i++) {
            n += e->msgs[i].search.n == 0;
        }
    }
    return n;
}

MF_LOOP static void list_bare(struct make_job *mj, const struct mf_entry *e)
{
    for (uint32_t i = 0; i < e->item->n_msgs; i++) {
        if (e->msgs[i].search.n == 0) {
            mj->rows[mj->n++] = (struct make_row){.item = mf_item_ref(e->item), .i = i};
        }
    }
}

bool mf_index_make(struct mf_index *x, const struct mf_list *entries,
                   struct mf_flush_make *made)
{
    size_t n = x->is_stopped ? 0 : count_bare(entries);
    struct make_job *mj =
        n == 0 ? NULL : mf_calloc(1, sizeof(*mj) + n * sizeof(mj->rows[0]));

    if (mj == NULL) {
        return false;
    }
    mj->x = x;
    mj->made = made;
    mf_list_each (entries, k) {
        list_bare(mj, entry_at(k));
    }
    mj->job.work = work_make;
    mj->job.done = on_make_done;
    if (mf_lane_submit(x->late_lane, &mj->job, MF_ORDINARY) < 0) {
        free_make_job(mj);
        return false;
    }
    return true;
}

/* Beyond the backlog: the record without a vector is made when it is asked for, by the
 * flush or by a shelf, so that a long backlog holds texts and nothing else. */
MF_LOOP static void give_up_vectors(struct mf_entry *e)
{
    for (uint32_t i = 0; i < e->item->n_msgs; i++) {
        mf_entry_vector_failed(&e->msgs[i]);
    }
}

bool mf_index_is_late(const struct mf_index *x)
{
    return mf_embed_backlog(x->p.embed) >= x->p.conf->embed_max_backlog;
}

void mf_index_entry(struct mf_index *x, struct mf_entry *e)
{
    struct mf_item *it = e->item;

    if (mf_embed_backlog(x->p.embed) + it->n_msgs > x->p.conf->embed_max_backlog) {
        give_up_vectors(e);
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
}

void mf_index_stop(struct mf_index *x)
{
    x->is_stopped = true;
    mf_respace_stop(x->respace);
    mf_backfill_stop(x->backfill);
}

void mf_index_tick(struct mf_index *x, uint64_t now_ms)
{
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
