/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "store/sqlite_priv.h"

#define PIECE_ROWS  1000
#define PIECE_BLOCK (1024UL * 1024) /* a piece of usual records fits one block */

struct session_node {
    struct mf_map_node node;
    struct mf_slice id, agent_id;
};

/* One load: messages and knowledge are two streams by ascending seq, merged here. */
struct load {
    struct mf_sq_conn *conn;
    struct mf_store_search *s;
    struct mf_arena *records; /* the piece's own, or the request's without feed */
    struct mf_arena piece;
    struct mf_sq_vec rows;
    struct mf_map sessions; /* ids repeat: each is asked for once */
    struct session_node *last;
    size_t n_read;
};

static struct mf_slice session_key(const struct mf_map_node *node)
{
    const struct session_node *s =
        (const struct session_node *)((const char *)node -
                                      offsetof(struct session_node, node));

    return s->id;
}

static int no_memory(struct load *l)
{
    return mf_err_set(&l->s->req.err, MF_ENOMEM, "no memory for the search records");
}

static int ask_agent(struct load *l, struct session_node *node)
{
    struct mf_sq q = mf_sq_begin(l->conn, MF_SQ_SESSION_AGENT, &l->s->req.err);
    int rc;

    mf_sq_bind_text(&q, 1, l->s->user_id);
    mf_sq_bind_text(&q, 2, node->id);
    rc = mf_sq_step(&q);
    if (rc == 1) {
        rc = mf_sq_read(&q, 0, &l->s->req.arena, &node->agent_id);
    }
    mf_sq_end(&q);
    return rc; /* a session that is gone leaves the agent empty */
}

static int learn_session(struct load *l, struct mf_slice id)
{
    struct mf_arena *a = &l->s->req.arena;
    struct session_node *node = mf_arena_alloc(a, sizeof(*node));
    int rc;

    if (node == NULL) {
        return no_memory(l);
    }
    *node = (struct session_node){.id = {mf_arena_strndup(a, id.p, id.n), id.n}};
    if (node->id.p == NULL) {
        return no_memory(l);
    }
    rc = ask_agent(l, node);
    if (rc < 0) {
        return rc;
    }
    if (mf_map_insert(&l->sessions, &node->node) < 0) {
        return no_memory(l);
    }
    l->last = node;
    return 0;
}

/* Afterwards l->last is the session `id`. */
static int find_session(struct load *l, struct mf_slice id)
{
    struct mf_map_node *found;

    if (l->last != NULL && mf_slice_eq(l->last->id, id)) {
        return 0;
    }
    found = mf_map_find(&l->sessions, id);
    if (found == NULL) {
        return learn_session(l, id);
    }
    l->last = mf_container_of(found, struct session_node, node);
    return 0;
}

static int take_row(struct load *l, struct mf_sq *q, bool is_message)
{
    struct mf_store_search_row *row = mf_sq_push(&l->rows, l->records, sizeof(*row));
    int rc;

    if (row == NULL) {
        return no_memory(l);
    }
    row->seq = (uint64_t)mf_sq_read_int(q, 0);
    if (is_message) {
        rc = find_session(l, mf_sq_peek(q, 1));
        if (rc < 0) {
            return rc;
        }
        row->session_id = l->last->id;
        row->agent_id = l->last->agent_id;
    }
    l->n_read++;
    return mf_sq_read(q, 2, l->records, &row->search);
}

/* 0: go on; positive: the taker has enough; negative: its error. */
static int feed_piece(struct load *l)
{
    int rc;

    if (l->s->feed == NULL || l->rows.n == 0) {
        return 0;
    }
    rc = l->s->feed(l->s, l->rows.p, l->rows.n);
    l->rows = (struct mf_sq_vec){0};
    mf_arena_reset(&l->piece);
    return rc;
}

/* Both statements stand on their first row or at their end (0). */
static int merge(struct load *l, struct mf_sq *messages, struct mf_sq *knowledge)
{
    struct mf_store_search *s = l->s;
    int m = mf_sq_step(messages);
    int k = mf_sq_step(knowledge);
    int rc = 0;

    while (rc == 0 && m >= 0 && k >= 0 && (m == 1 || k == 1)) {
        bool is_message = m == 1 && (k == 0 || mf_sq_read_int(messages, 0) <
                                                   mf_sq_read_int(knowledge, 0));

        if (s->max_rows > 0 && l->n_read == s->max_rows) {
            s->has_more = true;
            break;
        }
        rc = take_row(l, is_message ? messages : knowledge, is_message);
        if (is_message) {
            m = rc < 0 ? m : mf_sq_step(messages);
        } else {
            k = rc < 0 ? k : mf_sq_step(knowledge);
        }
        if (rc == 0 && l->rows.n == PIECE_ROWS) {
            rc = feed_piece(l);
        }
    }
    if (m < 0 || k < 0) {
        return mf_min(m, k);
    }
    return rc == 0 ? feed_piece(l) : rc;
}

static struct mf_sq begin_stream(struct load *l, enum mf_sq_stmt id)
{
    struct mf_sq q = mf_sq_begin(l->conn, id, &l->s->req.err);

    mf_sq_bind_text(&q, 1, l->s->user_id);
    mf_sq_bind_int(&q, 2, (int64_t)mf_min(l->s->after_seq, (uint64_t)INT64_MAX));
    return q;
}

int mf_sq_load_search(struct mf_sq_conn *c, struct mf_store_req *req)
{
    struct mf_store_search *s = mf_container_of(req, struct mf_store_search, req);
    struct load l = {.conn = c, .s = s};
    struct mf_sq messages, knowledge;
    int rc;

    s->has_more = false;
    mf_arena_init(&l.piece, PIECE_BLOCK);
    l.records = s->feed == NULL ? &req->arena : &l.piece;
    mf_map_init(&l.sessions, session_key);
    messages = begin_stream(&l, MF_SQ_SEARCH_MESSAGES);
    knowledge = begin_stream(&l, MF_SQ_SEARCH_KNOWLEDGE);
    rc = merge(&l, &messages, &knowledge);
    mf_sq_end(&knowledge);
    mf_sq_end(&messages);
    mf_map_fini(&l.sessions);
    mf_arena_fini(&l.piece);
    s->rows = s->feed == NULL ? l.rows.p : NULL;
    s->n_rows = l.n_read;
    return mf_min(rc, 0);
}
