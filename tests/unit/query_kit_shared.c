/* SPDX-License-Identifier: Apache-2.0 */
/* The gate as a store that other processes write to, too: marks kept beside SQLite. */
#include "unit/query_kit.h"

#include <stdio.h>

void kit_share(struct kit *k)
{
    k->gate.info.is_shared = true;
}

void kit_open_shared(struct kit *k)
{
    struct kit_scan q;

    kit_open(k);
    kit_share(k);
    kit_store(k, "u1", kit_add(k, "u1", 1, "an old zebra"));
    kit_scan(k, &q, "u1", "zebra");
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK_INT(k->n_asked, 1); /* the load is all it needs */
    kit_forget(&q);
}

void kit_wrote(struct kit *k, uint64_t seq)
{
    MF_CHECK(seq < KIT_SEQS);
    k->marks[seq] = ++k->mark;
}

static struct mf_store_search *search_of(const struct kit *k, struct mf_store_req *req)
{
    bool is_search = k->gate.info.is_shared && req->op == MF_STORE_LOAD_SEARCH;

    return is_search ? mf_container_of(req, struct mf_store_search, req) : NULL;
}

/* What is written from now on may or may not be in the answer. */
void kit_search_out(struct kit *k, struct kit_gated *g)
{
    struct mf_store_search *s = search_of(k, g->req);

    if (s != NULL) {
        s->mark = k->mark;
        g->max_rows = s->max_rows;
        s->max_rows = 0;
    }
}

void kit_search_back(struct kit *k, const struct kit_gated *g)
{
    struct mf_store_search *s = search_of(k, g->req);
    size_t n = 0;

    if (s == NULL) {
        return;
    }
    s->max_rows = g->max_rows;
    if (s->feed != NULL) {
        MF_CHECK_INT(s->after_mark, 0);
        return;
    }
    for (size_t i = 0; i < s->n_rows; i++) {
        if (s->after_mark == 0 || k->marks[s->rows[i].seq] > s->after_mark) {
            s->rows[n++] = s->rows[i];
        }
    }
    s->has_more = s->max_rows > 0 && n > s->max_rows;
    s->n_rows = s->has_more ? s->max_rows : n;
}

MF_LOOP static void write_rows(struct kit *k, const struct mf_store_row *rows, size_t n)
{
    struct mf_store_write w = {
        .req = {.op = MF_STORE_WRITE_ROUNDS}, .rows = rows, .n_rows = n};

    MF_CHECK_OK(kit_ask(k, &w.req));
    MF_CHECK_INT(w.n_changed, n);
    mf_store_req_fini(&w.req);
    for (size_t i = 0; i < n; i++) {
        kit_wrote(k, rows[i].seq);
    }
}

MF_LOOP static uint64_t add_row(struct kit *k, const char *user, const char *session_id,
                                const char *id, const struct mf_slice *text)
{
    struct mf_store_row row = {.seq = k->next_seq++,
                               .user_id = mf_slice_str(user),
                               .session_id = mf_slice_str(session_id),
                               .round_id = MF_SLICE("r"),
                               .msg = {.id = mf_slice_str(id),
                                       .content = *text,
                                       .created_us = 1700000000000000,
                                       .role = MF_MSG_USER}};
    struct mf_buf rec;

    kit_build(k, &rec, &row.msg, false, true);
    row.search = mf_slice_of(rec.p, rec.n);
    write_rows(k, &row, 1);
    mf_buf_fini(&rec);
    return row.seq;
}

uint64_t kit_other_add(struct kit *k, const char *user, int session, const char *text)
{
    char id[32], session_id[64];
    struct mf_slice slice = mf_slice_str(text);

    (void)snprintf(id, sizeof(id), "m%llu", (unsigned long long)k->next_seq);
    (void)snprintf(session_id, sizeof(session_id), "%s-s%d", user, session);
    return add_row(k, user, session_id, id, &slice);
}

uint64_t kit_other_retry(struct kit *k, const char *user, uint64_t seq)
{
    char id[32], session_id[64];
    const struct mf_entry_msg *m = kit_msg(k, user, seq);

    (void)snprintf(id, sizeof(id), "m%llu", (unsigned long long)seq);
    (void)snprintf(session_id, sizeof(session_id), "%.*s",
                   (int)m->entry->item->session_id.n, m->entry->item->session_id.p);
    return add_row(k, user, session_id, id, &mf_entry_msg_of(m)->content);
}

void kit_other_add_many(struct kit *k, const char *user, size_t n, const char *text)
{
    enum { MAX = 1024 };

    static struct mf_store_row rows[MAX];
    static char ids[MAX][32];
    char session_id[64];
    struct mf_buf rec;

    MF_CHECK(n <= MAX);
    (void)snprintf(session_id, sizeof(session_id), "%s-s1", user);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct mf_store_row){.seq = k->next_seq++,
                                        .user_id = mf_slice_str(user),
                                        .session_id = mf_slice_str(session_id),
                                        .msg = {.content = mf_slice_str(text),
                                                .created_us = 1700000000000000,
                                                .role = MF_MSG_USER}};
        (void)snprintf(ids[i], sizeof(ids[i]), "m%llu",
                       (unsigned long long)rows[i].seq);
        rows[i].round_id = MF_SLICE("r");
        rows[i].msg.id = mf_slice_str(ids[i]);
    }
    kit_build(k, &rec, &rows[0].msg, false, true);
    for (size_t i = 0; i < n; i++) {
        rows[i].search = mf_slice_of(rec.p, rec.n);
    }
    write_rows(k, rows, n);
    mf_buf_fini(&rec);
}

/* The row as it is. */
MF_LOOP static void get_row(struct kit *k, struct mf_store_messages *m,
                            const char *user, const uint64_t *seq)
{
    *m = (struct mf_store_messages){.req = {.op = MF_STORE_GET_MESSAGES},
                                    .user_id = mf_slice_str(user),
                                    .seqs = seq,
                                    .n = 1};
    MF_CHECK_OK(kit_ask(k, &m->req));
    MF_CHECK_INT(m->n_rows, 1);
}

MF_LOOP static void change_knowledge(struct kit *k, const struct mf_store_row *row,
                                     struct mf_slice rec)
{
    struct mf_entity e = {.id = row->msg.id,
                          .user_id = row->user_id,
                          .text = row->msg.content,
                          .has_text = true,
                          .search = rec,
                          .updated_us = 2};
    struct mf_store_entity w = {.req = {.op = MF_STORE_UPDATE},
                                .kind = MF_ENTITY_KNOWLEDGE,
                                .ins = &e,
                                .n_ins = 1,
                                .set_text = true};

    MF_CHECK_OK(kit_ask(k, &w.req));
    MF_CHECK_INT(w.n_rows, 1);
    mf_store_req_fini(&w.req);
}

MF_LOOP static void change_message(struct kit *k, const struct mf_store_row *row)
{
    struct mf_store_write w = {
        .req = {.op = MF_STORE_UPDATE_MESSAGES}, .rows = row, .n_rows = 1};

    MF_CHECK_OK(kit_ask(k, &w.req));
    mf_store_req_fini(&w.req);
}

void kit_other_change(struct kit *k, const char *user, uint64_t seq, const char *text)
{
    struct mf_store_messages m;
    struct mf_store_row *row;
    struct mf_buf rec;
    bool is_knowledge;

    get_row(k, &m, user, &seq);
    row = &m.rows[0];
    is_knowledge = row->session_id.n == 0;
    row->msg.content = mf_slice_str(text);
    kit_build(k, &rec, &row->msg, is_knowledge, true);
    row->search = mf_slice_of(rec.p, rec.n);
    row->is_pending = false;
    if (is_knowledge) {
        change_knowledge(k, row, row->search);
    } else {
        change_message(k, row);
    }
    mf_store_req_fini(&m.req);
    mf_buf_fini(&rec);
    kit_wrote(k, seq);
}

void kit_other_delete(struct kit *k, const char *user, uint64_t seq)
{
    char id[32];
    struct mf_slice ids[1];
    struct mf_store_messages m = {.req = {.op = MF_STORE_DELETE_MESSAGES},
                                  .user_id = mf_slice_str(user),
                                  .ids = ids,
                                  .n = 1};

    (void)snprintf(id, sizeof(id), "m%llu", (unsigned long long)seq);
    ids[0] = mf_slice_str(id);
    MF_CHECK_OK(kit_ask(k, &m.req));
    MF_CHECK_INT(m.n_rows, 1);
    mf_store_req_fini(&m.req);
}
