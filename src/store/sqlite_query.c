/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_priv.h"

#define FIRST_VEC_CAP 8

struct mf_sq mf_sq_begin(struct mf_sq_conn *c, enum mf_sq_stmt id, struct mf_err *err)
{
    MF_ASSERT(c->stmts[id] != NULL);
    return (struct mf_sq){.conn = c, .st = c->stmts[id], .err = err};
}

static void note(struct mf_sq *q, int rc)
{
    if (q->rc == SQLITE_OK) {
        q->rc = rc;
    }
}

void mf_sq_bind_int(struct mf_sq *q, int at, int64_t v)
{
    note(q, sqlite3_bind_int64(q->st, at, v));
}

void mf_sq_bind_text(struct mf_sq *q, int at, struct mf_slice v)
{
    if (v.n == 0) {
        note(q, sqlite3_bind_null(q->st, at));
        return;
    }
    note(q, sqlite3_bind_text64(q->st, at, v.p, v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void mf_sq_bind_empty(struct mf_sq *q, int at)
{
    note(q, sqlite3_bind_text(q->st, at, "", 0, SQLITE_STATIC));
}

void mf_sq_bind_blob(struct mf_sq *q, int at, struct mf_slice v)
{
    if (v.n == 0) {
        note(q, sqlite3_bind_null(q->st, at));
        return;
    }
    note(q, sqlite3_bind_blob64(q->st, at, v.p, v.n, SQLITE_STATIC));
}

void mf_sq_bind_limit(struct mf_sq *q, int at, size_t limit)
{
    mf_sq_bind_int(q, at, limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit);
}

int mf_sq_step(struct mf_sq *q)
{
    int rc;

    if (q->rc != SQLITE_OK) {
        return mf_err_set(q->err, mf_sq_code(q->rc), "a value could not be bound: %s",
                          sqlite3_errstr(q->rc));
    }
    rc = sqlite3_step(q->st);
    if (rc == SQLITE_ROW) {
        return 1;
    }
    return rc == SQLITE_DONE ? 0 : mf_sq_fail(q->conn, q->err);
}

void mf_sq_end(struct mf_sq *q)
{
    (void)sqlite3_reset(q->st); /* repeats the error that step has told */
    (void)sqlite3_clear_bindings(q->st);
}

int mf_sq_run(struct mf_sq *q, size_t *n_changed)
{
    int rc = mf_sq_step(q);

    if (rc == 0 && n_changed != NULL) {
        *n_changed = (size_t)sqlite3_changes64(q->conn->db);
    }
    mf_sq_end(q);
    return rc;
}

struct mf_slice mf_sq_peek(struct mf_sq *q, int at)
{
    /* The bytes first: asking for them may convert the value. */
    const char *p = sqlite3_column_blob(q->st, at);

    return mf_slice_of(p, (size_t)sqlite3_column_bytes(q->st, at));
}

int64_t mf_sq_read_int(struct mf_sq *q, int at)
{
    return sqlite3_column_int64(q->st, at);
}

int mf_sq_read(struct mf_sq *q, int at, struct mf_arena *a, struct mf_slice *out)
{
    struct mf_slice v = mf_sq_peek(q, at);

    *out = (struct mf_slice){NULL, 0};
    if (v.p == NULL || v.n == 0) {
        /* No bytes mean NULL, an empty value, or no memory to load a large one. */
        return sqlite3_errcode(q->conn->db) == SQLITE_NOMEM
                   ? mf_err_set(q->err, MF_ENOMEM, "no memory for a value of the store")
                   : 0;
    }
    out->p = mf_arena_strndup(a, v.p, v.n);
    if (out->p == NULL) {
        return mf_err_set(q->err, MF_ENOMEM, "no memory for %zu bytes of the store",
                          v.n);
    }
    out->n = v.n;
    return 0;
}

struct text_column {
    int at;
    struct mf_slice *to;
};

static int read_texts(struct mf_sq *q, struct mf_arena *a,
                      const struct text_column *cols, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = mf_sq_read(q, cols[i].at, a, cols[i].to);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int mf_sq_read_row(struct mf_sq *q, struct mf_arena *a, struct mf_store_row *out)
{
    const struct text_column cols[] = {
        {1, &out->user_id}, {2, &out->session_id},  {3, &out->round_id},
        {4, &out->msg.id},  {5, &out->msg.content}, {6, &out->msg.metadata},
        {10, &out->search}, {11, &out->passages},
    };

    out->seq = (uint64_t)mf_sq_read_int(q, 0);
    out->msg.created_us = mf_sq_read_int(q, 7);
    out->msg.updated_us = mf_sq_read_int(q, 8);
    out->msg.role = (enum mf_msg_role)mf_sq_read_int(q, 9);
    out->is_pending = mf_sq_read_int(q, 12) != 0;
    return read_texts(q, a, cols, mf_countof(cols));
}

int mf_sq_read_entity(struct mf_sq *q, struct mf_arena *a, struct mf_entity *out)
{
    const struct text_column cols[] = {
        {0, &out->id},   {1, &out->user_id},  {2, &out->agent_id}, {3, &out->name},
        {4, &out->text}, {5, &out->key_hash}, {10, &out->search},
    };

    out->has_text = sqlite3_column_type(q->st, 4) != SQLITE_NULL;
    out->created_us = mf_sq_read_int(q, 6);
    out->updated_us = mf_sq_read_int(q, 7);
    out->expires_us = mf_sq_read_int(q, 8);
    out->seq = (uint64_t)mf_sq_read_int(q, 9);
    out->is_pending = mf_sq_read_int(q, 11) != 0;
    return read_texts(q, a, cols, mf_countof(cols));
}

void *mf_sq_push(struct mf_sq_vec *v, struct mf_arena *a, size_t size)
{
    char *slot;

    if (v->n == v->cap) {
        size_t cap = v->cap == 0 ? FIRST_VEC_CAP : v->cap * 2;
        size_t bytes;
        void *p;

        if (__builtin_mul_overflow(cap, size, &bytes)) {
            return NULL;
        }
        p = mf_arena_alloc(a, bytes);
        if (p == NULL) {
            return NULL;
        }
        if (v->n > 0) {
            memcpy(p, v->p, v->n * size);
        }
        v->p = p;
        v->cap = cap;
    }
    slot = (char *)v->p + v->n++ * size;
    memset(slot, 0, size);
    return slot;
}
