/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the buffers: gathered in order, their records made where they have none,
 * put on the shelf before a scan that has to see them.
 *
 * What is put is looked up again at that moment: a record that was made meanwhile is
 * the better one, and a message that is no longer in the buffers was stored, so that
 * mf_library_stored has put it, and it may be deleted by now.
 */
#include "query/library_priv.h"

#include "recall/grow.h"

/* A part of what is new to a shelf. */
struct mf_fresh {
    struct mf_job job;
    struct mf_library *lib;
    struct mf_holder *h; /* NULL: abandoned */
    struct mf_pending rows;
    size_t at;     /* rows before are put */
    uint64_t upto; /* the shelf's mark afterwards */
    bool as_f32, is_building;
    int rc;
};

/* ---- gathering ---- */

MF_LOOP static struct mf_entry *entry_of(struct mf_link *in_user)
{
    return mf_container_of(in_user, struct mf_entry, in_user);
}

static uint64_t last_seq(const struct mf_entry *e)
{
    return e->item->seq + e->item->n_msgs - 1;
}

uint64_t mf_pending_tail(struct mf_library *lib, struct mf_slice user)
{
    struct mf_userbuf *u = mf_userbuf_find(lib->buffers, user);
    struct mf_link *k = u == NULL ? NULL : mf_list_tail(&u->all);

    return k == NULL ? 0 : last_seq(entry_of(k));
}

/* The first round behind `after`. Usually the one that ends there is still listed, or
 * the place is near one of the ends. */
MF_LOOP static struct mf_link *first_behind(struct mf_userbuf *u, uint64_t after)
{
    struct mf_entry_msg *m = mf_userbuf_find_seq(u, after);
    struct mf_link *front = u->all.head.next;
    struct mf_link *back = &u->all.head;

    if (m != NULL) {
        return m->entry->in_user.next;
    }
    while (front != back) {
        if (last_seq(entry_of(front)) > after) {
            return front;
        }
        front = front->next;
        if (front == back || last_seq(entry_of(back->prev)) <= after) {
            break;
        }
        back = back->prev;
    }
    return back;
}

MF_LOOP static int gather_round(struct mf_pending *p, struct mf_entry *e,
                                uint64_t after)
{
    uint32_t n = e->item->n_msgs;

    if (mf_grow_array(&p->rows, &p->cap, p->n + n, sizeof(*p->rows)) < 0) {
        return MF_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct mf_pending_row *row = &p->rows[p->n];

        if (e->msgs[i].seq <= after) {
            continue;
        }
        *row = (struct mf_pending_row){.seq = e->msgs[i].seq,
                                       .item = mf_item_ref(e->item),
                                       .i = i,
                                       .has_record = e->msgs[i].search.n > 0};
        p->lacks_records = p->lacks_records || !row->has_record;
        p->n++;
    }
    return 0;
}

int mf_pending_gather(struct mf_pending *p, struct mf_userbuf *u, uint64_t after,
                      uint64_t upto, size_t max)
{
    int rc = 0;

    for (struct mf_link *k = first_behind(u, after);
         k != &u->all.head && rc == 0 && p->n < max; k = k->next) {
        struct mf_entry *e = entry_of(k);

        if (e->item->seq > upto) {
            break;
        }
        rc = gather_round(p, e, after);
    }
    return rc;
}

int mf_pending_copy_records(struct mf_pending *p, struct mf_userbuf *u, size_t from)
{
    for (size_t i = from; i < p->n; i++) {
        struct mf_pending_row *row = &p->rows[i];
        struct mf_entry_msg *m = mf_userbuf_find_seq(u, row->seq);

        if (!row->has_record || m == NULL) {
            continue;
        }
        mf_buf_add(&row->rec, m->search.p, m->search.n);
        if (mf_buf_status(&row->rec) < 0) {
            return MF_ENOMEM;
        }
    }
    return 0;
}

void mf_pending_fini(struct mf_pending *p)
{
    for (size_t i = 0; i < p->n; i++) {
        mf_buf_fini(&p->rows[i].rec);
        mf_item_unref(p->rows[i].item);
    }
    mf_free(p->rows);
    *p = (struct mf_pending){0};
}

MF_WORKER static int build_row(struct mf_pending_row *row, struct mf_terms *terms,
                               bool as_f32)
{
    const struct mf_msg *msg = &row->item->msgs[row->i];
    struct mf_search_input in = {.text = msg->content,
                                 .role = msg->role,
                                 .created_us = msg->created_us,
                                 .as_f32 = as_f32};

    return mf_search_build(&row->rec, terms, &in);
}

int mf_pending_build(struct mf_pending *p, bool as_f32)
{
    struct mf_terms *terms;
    int rc = 0;

    if (!p->lacks_records) {
        return 0;
    }
    terms = mf_terms_new();
    if (terms == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < p->n && rc == 0; i++) {
        if (!p->rows[i].has_record) {
            rc = build_row(&p->rows[i], terms, as_f32);
        }
    }
    mf_terms_free(terms);
    return rc;
}

/* ---- putting ---- */

MF_LOOP static void free_fresh(struct mf_fresh *f)
{
    mf_pending_fini(&f->rows);
    mf_free(f);
}

void mf_fresh_abandon(struct mf_holder *h)
{
    struct mf_fresh *f = h->fresh;

    h->fresh = NULL;
    if (f != NULL && f->is_building) {
        f->h = NULL;
    } else if (f != NULL) {
        free_fresh(f);
    }
}

MF_WORKER static void work_build(struct mf_job *job)
{
    struct mf_fresh *f = mf_container_of(job, struct mf_fresh, job);

    f->rc = mf_pending_build(&f->rows, f->as_f32);
}

static void on_built(struct mf_job *job, int status)
{
    struct mf_fresh *f = mf_container_of(job, struct mf_fresh, job);
    struct mf_holder *h = f->h;

    mf_loop_assert(f->lib->loop);
    f->is_building = false;
    if (h == NULL || status < 0) {
        if (h != NULL) {
            h->fresh = NULL;
        }
        free_fresh(f);
        return;
    }
    if (f->rc < 0) {
        mf_fresh_abandon(h);
        mf_holder_fail_waiting(h, MF_ENOMEM);
    }
    mf_holder_want_turn(h);
}

MF_LOOP static int put_row(struct mf_holder *h, size_t i, struct mf_userbuf *u)
{
    const struct mf_pending_row *row = &h->fresh->rows.rows[i];
    struct mf_entry_msg *m = u == NULL ? NULL : mf_userbuf_find_seq(u, row->seq);
    const struct mf_item *it = row->item;
    const struct mf_buf *rec;

    if (m == NULL) {
        return 0;
    }
    rec = m->search.n > 0 ? &m->search : &row->rec;
    return mf_holder_judge_put(row->seq,
                               mf_shelf_put(h->shelf, row->seq, it->session_id,
                                            it->agent_id, mf_slice_of(rec->p, rec->n)));
}

/* Whether all are put. */
MF_LOOP static bool put_part(struct mf_holder *h)
{
    struct mf_fresh *f = h->fresh;

    if (f->is_building || !mf_holder_put_part(h, put_row, &f->at, f->rows.n)) {
        return false; /* the job's end wants a turn */
    }
    h->mark = f->upto;
    mf_fresh_abandon(h);
    return true;
}

MF_LOOP static uint64_t wanted(struct mf_holder *h)
{
    uint64_t upto = 0;

    mf_list_each (&h->waiting, k) {
        upto = mf_max(upto, mf_container_of(k, struct mf_run, link)->upto);
    }
    return upto;
}

MF_LOOP static int begin(struct mf_holder *h, uint64_t upto)
{
    struct mf_library *lib = h->lib;
    struct mf_userbuf *u = mf_userbuf_find(lib->buffers, mf_id_slice(&h->user_id));
    struct mf_fresh *f;
    int rc;

    if (u == NULL) { /* all are stored, so all are there */
        h->mark = upto;
        return 0;
    }
    f = mf_calloc(1, sizeof(*f));
    if (f == NULL) {
        return MF_ENOMEM;
    }
    f->lib = lib;
    f->h = h;
    f->as_f32 = lib->cfg.as_f32;
    h->fresh = f;
    rc = mf_pending_gather(&f->rows, u, h->mark, upto, MF_FRESH_ROWS);
    f->upto = f->rows.n < MF_FRESH_ROWS ? upto : f->rows.rows[f->rows.n - 1].seq;
    if (rc == 0 && f->rows.lacks_records) {
        f->job.work = work_build;
        f->job.done = on_built;
        rc = mf_lane_submit(lib->lane, &f->job, MF_URGENT);
        f->is_building = rc == 0;
    }
    return rc;
}

void mf_fresh_step(struct mf_holder *h)
{
    for (;;) {
        uint64_t upto = wanted(h);
        int rc = 0;

        if (h->fresh != NULL && !put_part(h)) {
            return;
        }
        if (upto <= h->mark) {
            return;
        }
        rc = begin(h, upto);
        if (rc < 0) {
            mf_fresh_abandon(h);
            mf_holder_fail_waiting(h, rc);
            return;
        }
    }
}
