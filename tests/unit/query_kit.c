/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/query_kit.h"

#include "embed/model.h"

#include <stdio.h>
#include <sys/stat.h>

static const struct mf_library_config plain = {.weights = {.a1 = .2,
                                                           .a2 = .1,
                                                           .b1 = .5,
                                                           .b2 = .25,
                                                           .k1 = 1.2,
                                                           .b = .75,
                                                           .w = .7,
                                                           .speaker = .2,
                                                           .date = .2,
                                                           .time_word = .1,
                                                           .short_question = -.08,
                                                           .keyword_rows = 200},
                                               .max_bytes = 64 << 20,
                                               .max_resident = 100000,
                                               .store_timeout_ms = KIT_PATIENCE,
                                               .scan_permits = 2};

/* ---- the gate ---- */

static struct kit *kit_of(struct mf_store *gate)
{
    return mf_container_of(gate, struct kit, gate);
}

static struct kit_gated *find_gated(struct kit *k, const struct mf_store_req *req)
{
    for (size_t i = 0; i < k->n_gated; i++) {
        if (k->gated[i].req == req) {
            return &k->gated[i];
        }
    }
    fail_msg("a request that never came");
    return NULL;
}

static void give(struct kit *k, struct kit_gated *g)
{
    struct kit_gated copy = *g;

    *g = k->gated[--k->n_gated];
    copy.req->done(copy.req, copy.rc);
}

/* The store answered: `done` of the asker is called when the gate is open. */
static void on_answered(struct mf_store_req *req, int rc)
{
    struct kit *k = kit_of(req->store);
    struct kit_gated *g;

    mf_loop_assert(k->loop);
    g = find_gated(k, req);
    req->done = g->done;
    g->rc = k->fail_done != 0 ? k->fail_done : rc;
    g->is_read = true;
    kit_search_back(k, g);
    if (k->how != KIT_HOLD_AFTER) {
        give(k, g);
    }
}

static void on_inner_done(struct mf_store_req *req, int rc);

MF_LOOP static int pass(struct kit *k, struct mf_store_req *req)
{
    kit_search_out(k, find_gated(k, req));
    req->store = k->store;
    req->done = on_inner_done;
    return k->store->ops->submit(k->store, req);
}

static struct kit *the_kit; /* of this case: the store knows only itself */

static void on_inner_done(struct mf_store_req *req, int rc)
{
    req->store = &the_kit->gate;
    on_answered(req, rc);
}

MF_LOOP static int gate_submit(struct mf_store *gate, struct mf_store_req *req)
{
    struct kit *k = kit_of(gate);
    int rc = 0;

    if (k->is_mine) {
        req->store = k->store;
        return k->store->ops->submit(k->store, req);
    }
    if (k->fail_submit != 0) {
        return k->fail_submit;
    }
    MF_CHECK(k->n_gated < mf_countof(k->gated));
    k->gated[k->n_gated++] = (struct kit_gated){.req = req, .done = req->done};
    k->n_asked++;
    if (k->how != KIT_HOLD_BEFORE) {
        rc = pass(k, req);
        k->n_gated -= rc < 0;
    }
    return rc;
}

static const struct mf_store_ops gate_ops = {.name = "gate", .submit = gate_submit};

void kit_gate(struct kit *k, enum kit_gate how)
{
    struct kit_gated held[mf_countof(k->gated)];
    size_t n = k->n_gated;

    k->how = how;
    if (how != KIT_OPEN) {
        return;
    }
    memcpy(held, k->gated, n * sizeof(held[0]));
    for (size_t i = 0; i < n; i++) {
        if (held[i].is_read) {
            give(k, find_gated(k, held[i].req));
        } else if (held[i].req->done == held[i].done) { /* not passed yet */
            MF_CHECK_OK(pass(k, held[i].req));
        }
    }
}

void kit_let_one(struct kit *k)
{
    MF_CHECK(k->n_gated > 0 && k->gated[0].is_read);
    give(k, &k->gated[0]);
}

/* One turn that never sleeps, then a moment for the workers. */
MF_LOOP static void turn(struct kit *k)
{
    (void)uv_run(mf_loop_uv(k->loop), UV_RUN_NOWAIT);
    uv_sleep(1);
}

void kit_wait_gated(struct kit *k, size_t n)
{
    for (unsigned i = 0; i < KIT_PATIENCE; i++) {
        size_t n_there = 0;

        for (size_t g = 0; g < k->n_gated; g++) {
            n_there += k->how == KIT_HOLD_BEFORE || k->gated[g].is_read;
        }
        if (n_there >= n) {
            return;
        }
        turn(k);
    }
    fail_msg("nobody came to the gate");
}

void kit_turns(struct kit *k, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        turn(k);
    }
}

/* ---- the kit's own requests ---- */

struct own {
    int rc;
    bool is_done;
};

static struct own own; /* one at a time */

static void on_own_done(MF_UNUSED struct mf_store_req *req, int rc)
{
    own.rc = rc;
    own.is_done = true;
}

int kit_ask(struct kit *k, struct mf_store_req *req)
{
    own = (struct own){0};
    req->done = on_own_done;
    k->is_mine = true;
    MF_CHECK_OK(mf_store_submit(&k->gate, req));
    k->is_mine = false;
    MF_CHECK(mf_loop_run_until(k->loop, &own.is_done, KIT_PATIENCE));
    return own.rc;
}

MF_LOOP static void create(struct kit *k, enum mf_entity_kind kind,
                           const struct mf_entity *e)
{
    struct mf_store_entity r = {
        .req = {.op = MF_STORE_CREATE}, .kind = kind, .ins = e, .n_ins = 1};

    MF_CHECK_OK(kit_ask(k, &r.req));
    mf_store_req_fini(&r.req);
}

MF_LOOP static void create_agent(struct kit *k, const char *id)
{
    struct mf_entity e = {.id = mf_slice_str(id), .name = mf_slice_str(id)};

    create(k, MF_ENTITY_AGENT, &e);
}

void kit_add_user(struct kit *k, const char *user)
{
    struct mf_entity e = {.id = mf_slice_str(user), .name = mf_slice_str(user)};
    char id[64];

    create(k, MF_ENTITY_USER, &e);
    for (int i = 1; i <= 2; i++) {
        (void)snprintf(id, sizeof(id), "%s-s%d", user, i);
        e = (struct mf_entity){.id = mf_slice_str(id),
                               .name = mf_slice_str(id),
                               .user_id = mf_slice_str(user),
                               .agent_id = i == 1 ? MF_SLICE("a1") : MF_SLICE("a2")};
        create(k, MF_ENTITY_SESSION, &e);
    }
}

/* ---- open, close ---- */

/* A new one for each kit: a case may have several. */
static const char *new_dir(void)
{
    static char dir[512];
    static unsigned n_dirs;

    (void)snprintf(dir, sizeof(dir), "%s/%u", mf_test_tmpdir(), ++n_dirs);
    MF_CHECK_INT(mkdir(dir, 0700), 0);
    return dir;
}

void kit_open(struct kit *k)
{
    struct mf_loop_config loop_cfg = {.pool_threads = 8};
    struct mf_store_config store_cfg = {.backend = "sqlite",
                                        .dir = new_dir(),
                                        .readers = 2,
                                        .max_waiting = 4096,
                                        .cache_bytes = 4 << 20};
    struct mf_err err;

    memset(k, 0, sizeof(*k));
    the_kit = k;
    MF_CHECK_OK(mf_loop_open(&k->loop, &loop_cfg, &err));
    mf_loop_assert(k->loop);
    MF_CHECK_OK(mf_store_open(&k->store, k->loop, &store_cfg, &err));
    k->gate =
        (struct mf_store){.ops = &gate_ops, .info = k->store->info, .loop = k->loop};
    MF_CHECK_OK(mf_buffers_new(&k->buffers, 64 << 20));
    MF_CHECK_OK(mf_model_hash_open(&k->model, &err));
    k->terms = mf_terms_new();
    assert_non_null(k->terms);
    k->next_seq = 1;
    k->cfg = plain;
    mf_list_init(&k->queued);
    mf_list_init(&k->flying);
    create_agent(k, "a1");
    create_agent(k, "a2");
    kit_add_user(k, "u1");
    kit_open_library(k);
}

static void on_closed(void *arg)
{
    struct kit *k = arg;

    k->is_closed = true;
}

void kit_open_library(struct kit *k)
{
    MF_CHECK_OK(mf_library_open(&k->lib, k->loop, &k->gate, k->buffers, &k->cfg));
}

void kit_close_library(struct kit *k)
{
    kit_gate(k, KIT_OPEN);
    k->is_closed = false;
    mf_library_close(k->lib, on_closed, k);
    MF_CHECK(mf_loop_run_until(k->loop, &k->is_closed, KIT_PATIENCE));
    k->lib = NULL;
}

MF_LOOP static void land(struct kit *k)
{
    struct mf_link *f;

    while ((f = mf_list_head(&k->flying)) != NULL) {
        mf_entry_move(k->buffers, mf_container_of(f, struct mf_entry, in_place),
                      MF_PLACE_HYBRID, NULL);
    }
}

void kit_close(struct kit *k)
{
    if (k->lib != NULL) {
        kit_close_library(k);
    }
    kit_gate(k, KIT_OPEN);
    k->is_closed = false;
    mf_store_close(k->store, on_closed, k);
    MF_CHECK(mf_loop_run_until(k->loop, &k->is_closed, KIT_PATIENCE));
    MF_CHECK_INT(k->n_gated, 0);
    land(k);
    mf_buffers_free(k->buffers);
    mf_model_close(k->model);
    mf_terms_free(k->terms);
    MF_CHECK_OK(mf_loop_close(k->loop));
}

/* ---- messages ---- */

uint64_t kit_add(struct kit *k, const char *user, int session, const char *text)
{
    static const struct mf_wbuf_limits lim = {.max_rounds = 100000,
                                              .max_tokens = 1 << 30};
    char session_id[64], id[32];
    struct mf_msg msg = {.content = mf_slice_str(text),
                         .metadata = MF_SLICE("{\"a\":1}"),
                         .created_us = 1700000000000000,
                         .role = MF_MSG_USER};
    struct mf_item_spec spec = {.accepted_us = 1,
                                .user_id = mf_slice_str(user),
                                .agent_id =
                                    session == 1 ? MF_SLICE("a1") : MF_SLICE("a2"),
                                .round_id = MF_SLICE("r"),
                                .msgs = &msg,
                                .n_msgs = 1};
    struct mf_add_outcome out;
    struct mf_item *it;

    (void)snprintf(session_id, sizeof(session_id), "%s-s%d", user, session);
    (void)snprintf(id, sizeof(id), "m%llu", (unsigned long long)k->next_seq);
    spec.session_id = mf_slice_str(session_id);
    msg.id = mf_slice_str(id);
    it = mf_item_new(&spec);
    assert_non_null(it);
    mf_item_set_seq(it, k->next_seq);
    mf_buffers_reserve(k->buffers, it->bytes);
    MF_CHECK_OK(mf_buffers_add(k->buffers, it, &lim, 1, &out));
    mf_item_unref(it);
    return k->next_seq++;
}

struct mf_entry_msg *kit_msg(struct kit *k, const char *user, uint64_t seq)
{
    struct mf_userbuf *u = mf_userbuf_find(k->buffers, mf_slice_str(user));

    return u == NULL ? NULL : mf_userbuf_find_seq(u, seq);
}

void kit_build(struct kit *k, struct mf_buf *out, const struct mf_msg *msg,
               bool is_knowledge, bool has_vector)
{
    static float v[KIT_DIM_MAX];
    struct mf_search_input in = {.text = msg->content,
                                 .role = msg->role,
                                 .is_knowledge = is_knowledge,
                                 .created_us = msg->created_us,
                                 .vector = has_vector ? v : NULL,
                                 .dim = k->model->info.dim,
                                 .space = k->model->info.space_id};
    struct mf_text text = {.text = msg->content};
    struct mf_text_result res = {0};

    mf_buf_init(out);
    MF_CHECK_OK(k->model->ops->embed(k->model, &text, 1, v, &res));
    MF_CHECK_OK(res.rc);
    MF_CHECK_OK(mf_search_build(out, k->terms, &in));
}

void kit_index(struct kit *k, const char *user, uint64_t seq, bool has_vector)
{
    struct mf_entry_msg *m = kit_msg(k, user, seq);
    struct mf_buf rec;

    kit_build(k, &rec, mf_entry_msg_of(m), false, has_vector);
    if (k->lib != NULL) {
        mf_library_record_made(k->lib, mf_slice_str(user), seq,
                               mf_slice_of(rec.p, rec.n));
    }
    MF_CHECK_OK(mf_entry_set_record(k->buffers, m, &rec, NULL, has_vector));
}

void kit_move(struct kit *k, const char *user, uint64_t seq, enum mf_place to)
{
    struct mf_entry *e = kit_msg(k, user, seq)->entry;
    struct mf_list *list = to == MF_PLACE_QUEUED   ? &k->queued
                           : to == MF_PLACE_FLYING ? &k->flying
                                                   : NULL;

    mf_entry_move(k->buffers, e, to, list);
}

MF_LOOP static void fly(struct kit *k, const char *user, uint64_t seq)
{
    struct mf_entry_msg *m = kit_msg(k, user, seq);

    if (m->entry->place == MF_PLACE_FLYING) {
        return;
    }
    if (m->search.n == 0) {
        kit_index(k, user, seq, false);
    }
    if (m->entry->place == MF_PLACE_WRITE) {
        kit_move(k, user, seq, MF_PLACE_HYBRID);
    }
    if (m->entry->place == MF_PLACE_HYBRID) {
        kit_move(k, user, seq, MF_PLACE_QUEUED);
    }
    kit_move(k, user, seq, MF_PLACE_FLYING);
}

void kit_commit(struct kit *k, const char *user, uint64_t seq)
{
    struct mf_entry_msg *m = kit_msg(k, user, seq);
    const struct mf_item *it = m->entry->item;
    struct mf_store_row row = {.seq = seq,
                               .user_id = it->user_id,
                               .session_id = it->session_id,
                               .round_id = it->round_id,
                               .msg = *mf_entry_msg_of(m)};
    struct mf_store_write w = {
        .req = {.op = MF_STORE_WRITE_ROUNDS}, .rows = &row, .n_rows = 1};

    fly(k, user, seq);
    row.search = mf_slice_of(m->search.p, m->search.n);
    row.passages = mf_slice_of(m->passages.p, m->passages.n);
    row.is_pending = !m->has_vector;
    MF_CHECK_OK(kit_ask(k, &w.req));
    mf_store_req_fini(&w.req);
    kit_wrote(k, seq);
}

void kit_confirm(struct kit *k, const char *user, uint64_t seq)
{
    struct mf_entry *e = kit_msg(k, user, seq)->entry;

    if (k->lib != NULL) {
        mf_library_stored(k->lib, e);
    }
    mf_entry_stored(k->buffers, e);
    mf_entry_free(k->buffers, e);
}

void kit_store(struct kit *k, const char *user, uint64_t seq)
{
    kit_commit(k, user, seq);
    kit_confirm(k, user, seq);
}

uint64_t kit_add_knowledge(struct kit *k, const char *user, const char *text)
{
    struct mf_msg msg = {.content = mf_slice_str(text), .created_us = 1};
    char id[32];
    struct mf_entity e = {.user_id = mf_slice_str(user),
                          .text = msg.content,
                          .has_text = true,
                          .seq = k->next_seq};
    struct mf_buf rec;

    (void)snprintf(id, sizeof(id), "k%llu", (unsigned long long)k->next_seq);
    e.id = mf_slice_str(id);
    kit_build(k, &rec, &msg, true, true);
    e.search = mf_slice_of(rec.p, rec.n);
    create(k, MF_ENTITY_KNOWLEDGE, &e);
    kit_wrote(k, e.seq);
    mf_library_put(k->lib, e.user_id, e.seq, mf_slice_of(NULL, 0), mf_slice_of(NULL, 0),
                   e.search);
    mf_buf_fini(&rec);
    return k->next_seq++;
}

void kit_delete(struct kit *k, const char *user, uint64_t seq)
{
    kit_other_delete(k, user, seq);
    mf_library_removed(k->lib, mf_slice_str(user), seq);
}

void kit_delete_session(struct kit *k, const char *user, int session)
{
    char id[64];
    struct mf_store_entity e = {.req = {.op = MF_STORE_DELETE},
                                .kind = MF_ENTITY_SESSION};

    (void)snprintf(id, sizeof(id), "%s-s%d", user, session);
    e.in.id = mf_slice_str(id);
    MF_CHECK_OK(kit_ask(k, &e.req));
    mf_store_req_fini(&e.req);
    mf_library_session_gone(k->lib, mf_slice_str(user), mf_slice_str(id));
}
