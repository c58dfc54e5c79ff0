/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updating and deleting messages: their session's rounds are first brought into the
 * store (settle), then the store changes them in one transaction, then the shelf
 * follows.
 */
#include "engine/resolve.h"

#include "base/wallclock.h"

#include <string.h>

struct change {
    struct mf_resolve resolve;
    struct mf_settle settle;
    struct mf_messages_call *c;
    struct mf_engine *e;
    struct mf_store_messages reading; /* the rows as they are; or the deletion */
    struct mf_store_write writing;
    struct mf_store_row *rows;
    struct mf_index_text *texts;
    struct mf_index_job job;
    struct mf_idset set;             /* of c->ids */
    const struct mf_store_row **old; /* the rows of c->ids, in their order; or NULL */
    bool is_update, has_reading, has_writing, has_settle;
    size_t n_texts;
};

MF_LOOP static void finish(struct change *ch, int rc)
{
    struct mf_messages_call *c = ch->c;

    if (ch->has_settle) {
        mf_settle_end(&ch->settle);
    }
    mf_call_finish(&c->call, rc);
    if (ch->has_reading) {
        mf_store_req_fini(&ch->reading.req);
    }
    if (ch->has_writing) {
        mf_store_req_fini(&ch->writing.req);
    }
    for (size_t i = 0; i < ch->n_texts; i++) {
        mf_buf_fini(&ch->texts[i].search);
        mf_buf_fini(&ch->texts[i].passages);
    }
    mf_free(ch->texts);
    mf_free(ch->rows);
    mf_free(ch);
}

static int find_rows(struct change *ch)
{
    size_t n = (ch->c->n_ids + 1) * sizeof(struct mf_store_row *);

    ch->old = mf_arena_alloc(ch->c->call.arena, n);
    if (ch->old == NULL) {
        return MF_ENOMEM;
    }
    memset(ch->old, 0, n);
    for (size_t i = 0; i < ch->reading.n_rows; i++) {
        size_t at = mf_idset_find(&ch->set, ch->reading.rows[i].msg.id);

        if (at != MF_IDSET_NONE) {
            ch->old[at] = &ch->reading.rows[i];
        }
    }
    return 0;
}

/* All or none: which of the ids are not there? */
MF_LOOP static int name_missing(struct change *ch)
{
    struct mf_messages_call *c = ch->c;
    struct mf_slice *missing =
        mf_arena_alloc(c->call.arena, (c->n_ids + 1) * sizeof(*missing));

    if (missing == NULL || find_rows(ch) < 0) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < c->n_ids; i++) {
        if (ch->old[i] == NULL) {
            missing[c->n_missing++] = c->ids[i];
        }
    }
    c->missing = missing;
    return c->n_missing == 0 ? 0
                             : mf_call_fail(&c->call, MF_ENOTFOUND, "message_ids",
                                            "Some message IDs were not found");
}

MF_LOOP static int ask_messages(struct change *ch, enum mf_store_op op,
                                void (*done)(struct mf_store_req *req, int rc))
{
    if (ch->has_reading) {
        mf_store_req_fini(&ch->reading.req);
    }
    memset(&ch->reading, 0, sizeof(ch->reading));
    ch->has_reading = true;
    ch->reading.req.op = op;
    ch->reading.req.done = done;
    ch->reading.req.urgency = MF_URGENT;
    ch->reading.user_id = ch->resolve.got[0].user_id;
    ch->reading.session_id = ch->resolve.got[0].id;
    ch->reading.ids = ch->c->ids;
    ch->reading.n = ch->c->n_ids;
    return ch->e->state == MF_ENGINE_CLOSING
               ? MF_ECLOSED
               : mf_store_submit(ch->e->store, &ch->reading.req);
}

/* ---- delete ---- */

static void on_deleted(struct mf_store_req *req, int rc)
{
    struct change *ch = mf_container_of(req, struct change, reading.req);

    mf_loop_assert(ch->e->loop);
    if (rc < 0) {
        finish(ch, mf_call_blame(&ch->c->call, rc, &req->err));
        return;
    }
    for (size_t i = 0; ch->e->state != MF_ENGINE_CLOSING && i < ch->reading.n_rows;
         i++) {
        mf_library_removed(ch->e->library, ch->resolve.got[0].user_id,
                           ch->reading.rows[i].seq);
    }
    finish(ch, 0);
}

/* ---- update ---- */

static void on_updated(struct mf_store_req *req, int rc)
{
    struct change *ch = mf_container_of(req, struct change, writing.req);

    mf_loop_assert(ch->e->loop);
    if (rc < 0) {
        finish(ch, mf_call_blame(&ch->c->call, rc, &req->err));
        return;
    }
    for (size_t i = 0; ch->e->state != MF_ENGINE_CLOSING && i < ch->n_texts; i++) {
        mf_library_replaced(ch->e->library, ch->rows[i].user_id, ch->rows[i].seq,
                            ch->rows[i].search);
        if (ch->rows[i].is_pending) {
            mf_index_expect_pending(ch->e->index);
        }
    }
    finish(ch, 0);
}

MF_LOOP static void on_texts_made(struct mf_index_job *j, int rc)
{
    struct change *ch = mf_container_of(j, struct change, job);
    int64_t now = mf_wallclock_us();

    for (size_t i = 0; i < ch->n_texts; i++) {
        struct mf_store_row *r = &ch->rows[i];
        const struct mf_msg *m = &ch->c->news[i];

        r->msg.role = m->role;
        r->msg.content = m->content;
        if (m->metadata.n > 0) {
            r->msg.metadata = m->metadata;
        }
        /* Later than before, also when two updates meet in one microsecond. */
        r->msg.updated_us = mf_max(now, r->msg.updated_us + 1);
        r->search = mf_slice_of(ch->texts[i].search.p, ch->texts[i].search.n);
        r->passages = mf_slice_of(ch->texts[i].passages.p, ch->texts[i].passages.n);
        r->is_pending = !ch->texts[i].has_vector;
    }
    if (rc == 0 && ch->e->state == MF_ENGINE_CLOSING) {
        rc = MF_ECLOSED;
    }
    if (rc == 0) {
        ch->writing.req.op = MF_STORE_UPDATE_MESSAGES;
        ch->writing.req.done = on_updated;
        ch->writing.req.urgency = MF_URGENT;
        ch->writing.rows = ch->rows;
        ch->writing.n_rows = ch->n_texts;
        ch->has_writing = true;
        rc = mf_store_submit(ch->e->store, &ch->writing.req);
    }
    if (rc < 0) {
        finish(ch, rc);
    }
}

MF_LOOP static int make_texts(struct change *ch)
{
    size_t n = ch->c->n_ids;

    ch->rows = mf_calloc(n, sizeof(*ch->rows));
    ch->texts = mf_calloc(n, sizeof(*ch->texts));
    if (ch->rows == NULL || ch->texts == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const struct mf_msg *m = &ch->c->news[i];

        ch->rows[i] = *ch->old[i];
        ch->texts[i] = (struct mf_index_text){.text = m->content,
                                              .role = m->role,
                                              .created_us = ch->rows[i].msg.created_us};
    }
    ch->n_texts = n;
    ch->job.texts = ch->texts;
    ch->job.n = n;
    ch->job.done = on_texts_made;
    return mf_index_texts(ch->e->index, &ch->job);
}

/* ---- both ---- */

static void on_rows_read(struct mf_store_req *req, int rc)
{
    struct change *ch = mf_container_of(req, struct change, reading.req);

    mf_loop_assert(ch->e->loop);
    if (rc < 0 && rc != MF_ENOTFOUND) {
        finish(ch, mf_call_blame(&ch->c->call, rc, &req->err));
        return;
    }
    rc = name_missing(ch);
    if (rc == 0) {
        rc = ch->is_update ? make_texts(ch)
                           : ask_messages(ch, MF_STORE_DELETE_MESSAGES, on_deleted);
    }
    if (rc < 0) {
        finish(ch, rc);
    }
}

MF_LOOP static int settle_failed(struct change *ch, int rc)
{
    if (rc == MF_ECONFLICT) {
        return mf_call_fail(&ch->c->call, rc, "message_ids",
                            "the session has a round that the store refuses (a dead "
                            "letter): delete the session, or mend the store and POST "
                            "/api/v1/buffer/requeue");
    }
    if (rc == MF_ETIMEOUT) {
        return mf_call_fail(&ch->c->call, rc, NULL,
                            "the store did not take the session's rounds in time "
                            "(buffer.performance.flush_timeout): nothing was changed, "
                            "try again later");
    }
    return rc;
}

MF_LOOP static void on_settled(struct mf_settle *s, int rc)
{
    struct change *ch = mf_container_of(s, struct change, settle);

    rc = rc < 0 ? settle_failed(ch, rc)
                : ask_messages(ch, MF_STORE_GET_MESSAGES, on_rows_read);
    if (rc < 0) {
        finish(ch, rc);
    }
}

MF_LOOP static void on_resolved(struct mf_resolve *r, int rc)
{
    struct change *ch = mf_container_of(r, struct change, resolve);

    if (rc < 0 || ch->c->n_ids == 0) {
        finish(ch, rc);
        return;
    }
    ch->settle.user_id = r->got[0].user_id;
    ch->settle.session_id = r->got[0].id;
    ch->settle.done = on_settled;
    ch->has_settle = true;
    mf_settle_begin(ch->e, &ch->settle);
}

MF_LOOP static int start(struct mf_engine *e, struct mf_messages_call *c,
                         bool is_update)
{
    struct change *ch;

    struct mf_idset set;
    int rc = mf_call_check(e, &c->call, true);

    if (rc < 0) {
        return rc;
    }
    if (mf_idset_build(&set, c->call.arena, c->ids, c->n_ids) < 0) {
        return mf_call_fail(&c->call, MF_ENOMEM, NULL, "out of memory");
    }
    if (set.twice != MF_IDSET_NONE) {
        return mf_call_fail(&c->call, MF_EUNPROCESSABLE, "message_ids",
                            "an ID stands twice in message_ids");
    }
    ch = mf_calloc(1, sizeof(*ch));
    if (ch == NULL) {
        return mf_call_fail(&c->call, MF_ENOMEM, NULL, "out of memory");
    }
    c->missing = NULL;
    c->n_missing = 0;
    ch->e = e;
    ch->c = c;
    ch->is_update = is_update;
    ch->set = set;
    mf_call_begin(e, &c->call);
    mf_resolve_want(&ch->resolve, MF_ENTITY_SESSION, c->session_id);
    mf_resolve_start(&ch->resolve, &c->call, on_resolved);
    return 0;
}

int mf_engine_update(struct mf_engine *e, struct mf_messages_call *c)
{
    return start(e, c, true);
}

int mf_engine_delete(struct mf_engine *e, struct mf_messages_call *c)
{
    return start(e, c, false);
}
