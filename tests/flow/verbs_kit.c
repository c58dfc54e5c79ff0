/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/verbs_kit.h"

#include <stdio.h>
#include <string.h>

const char *const quick[] = {"buffer.performance.flush_interval=0.02",
                             "buffer.performance.force_flush_timeout=0.02",
                             "buffer.performance.flush_timeout=5",
                             "flush.batch_age=0",
                             "flush.retry_first=0.01",
                             "flush.retry_max=0.05",
                             NULL};
const char *const still[] = {"buffer.performance.flush_interval=3600",
                             "buffer.performance.force_flush_timeout=3600",
                             "buffer.hybrid_buffer.max_size=10000",
                             "flush.vector_wait=3600",
                             "flush.batch_age=0",
                             "drain.timeout=0",
                             NULL};

void on_run_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->rc = rc;
    r->n_done++;
    r->is_done = true;
}

void on_entity_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->n_rows = r->c.entity.n_rows;
    if (rc == 0 && r->n_rows > 0) {
        (void)snprintf(r->made.s, sizeof(r->made.s), "%.*s",
                       (int)r->c.entity.rows[0].id.n, r->c.entity.rows[0].id.p);
    }
    on_run_done(c, rc);
}

static void on_messages_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->n_rows = r->c.messages.n_rows;
    if (rc == 0 && r->n_rows > 0) {
        (void)snprintf(r->text, sizeof(r->text), "%.*s",
                       (int)r->c.messages.rows[0].content.n,
                       r->c.messages.rows[0].content.p);
    }
    on_run_done(c, rc);
}

void on_ask_done(struct mf_call *c, int rc)
{
    struct run *r = mf_container_of(c, struct run, c.call);

    r->n_rows = r->c.ask.n_found;
    on_run_done(c, rc);
}

void run_init(struct run *r, const struct mf_scope *scope,
              void (*done)(struct mf_call *c, int rc))
{
    memset(r, 0, sizeof(*r));
    mf_arena_init(&r->arena, 4096);
    r->c.call.scope = scope;
    r->c.call.arena = &r->arena;
    r->c.call.done = done;
}

void began(struct run *r, int rc)
{
    MF_CHECK_INT(r->n_done, 0); /* never before the verb returned */
    if (rc < 0) {
        r->rc = rc;
        r->is_done = true;
    }
}

int run_end(struct kit *k, struct run *r)
{
    mf_loop_fixture_wait(k->loop, &r->is_done);
    mf_arena_fini(&r->arena);
    MF_CHECK(r->n_done <= 1);
    return r->rc;
}

/* ---- beginnings of verbs ---- */

void begin_add(struct kit *k, struct run *r, const struct mf_scope *s, const char *id,
               const char *text)
{
    run_init(r, s, on_run_done);
    (void)snprintf(r->text, sizeof(r->text), "%s", text);
    r->news[0].content = mf_slice_str(r->text);
    r->news[0].id = id == NULL ? mf_slice_of(NULL, 0) : mf_slice_str(id);
    r->c.add.session_id = mf_slice_str(k->session.s);
    r->c.add.msgs = r->news;
    r->c.add.n_msgs = 1;
    began(r, mf_engine_add(k->e, &r->c.add));
}

void fill_messages(struct kit *k, struct run *r, const struct mf_scope *s,
                   const char *id)
{
    run_init(r, s, on_messages_done);
    r->ids[0] = mf_slice_str(id);
    r->news[0].content = mf_slice_str("another text");
    r->c.messages.session_id = mf_slice_str(k->session.s);
    r->c.messages.ids = r->ids;
    r->c.messages.n_ids = 1;
    r->c.messages.news = r->news;
    r->c.messages.limit = 10;
}

void begin_update(struct kit *k, struct run *r, const struct mf_scope *s,
                  const char *id)
{
    fill_messages(k, r, s, id);
    began(r, mf_engine_update(k->e, &r->c.messages));
}

void begin_delete(struct kit *k, struct run *r, const struct mf_scope *s,
                  const char *id)
{
    fill_messages(k, r, s, id);
    began(r, mf_engine_delete(k->e, &r->c.messages));
}

void begin_list(struct kit *k, struct run *r, const struct mf_scope *s)
{
    fill_messages(k, r, s, "x");
    began(r, mf_engine_list(k->e, &r->c.messages));
}

void begin_read(struct kit *k, struct run *r, const struct mf_scope *s, const char *id)
{
    fill_messages(k, r, s, id);
    began(r, mf_engine_read(k->e, &r->c.messages));
}

void begin_ask(struct kit *k, struct run *r, const struct mf_scope *s,
               const char *user_id, const char *session_id)
{
    run_init(r, s, on_ask_done);
    r->c.ask.user_id = mf_slice_str(user_id);
    r->c.ask.text = mf_slice_str("text");
    r->c.ask.top_k = 5;
    if (session_id != NULL) {
        r->c.ask.session_id = mf_slice_str(session_id);
    }
    began(r, mf_engine_ask(k->e, &r->c.ask));
}

void begin_entity_delete(struct kit *k, struct run *r, const struct mf_scope *s,
                         enum mf_entity_kind kind, const char *id)
{
    run_init(r, s, on_entity_done);
    r->c.entity.kind = kind;
    r->c.entity.in.id = mf_slice_str(id);
    began(r, mf_engine_entity_delete(k->e, &r->c.entity));
}

void begin_create(struct kit *k, struct run *r, const struct mf_scope *s,
                  enum mf_entity_kind kind, struct mf_entity in)
{
    run_init(r, s, on_entity_done);
    r->in = in;
    r->c.entity.kind = kind;
    r->c.entity.in.user_id = in.user_id;
    r->c.entity.ins = &r->in;
    r->c.entity.n_ins = 1;
    began(r, mf_engine_entity_create(k->e, &r->c.entity));
}

void create(struct kit *k, enum mf_entity_kind kind, struct mf_entity in,
            struct kit_id *out)
{
    struct run r;

    begin_create(k, &r, &k->scope, kind, in);
    MF_CHECK_OK(run_end(k, &r));
    *out = r.made;
}

long n_stored(struct kit *k)
{
    return kit_number(k, "SELECT count(*) FROM messages");
}

size_t n_parked(struct kit *k)
{
    struct mf_engine_figures f;

    mf_loop_assert(k->loop);
    mf_engine_figures(k->e, &f);
    return f.n_parked;
}
