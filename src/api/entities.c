/* SPDX-License-Identifier: Apache-2.0 */
/* Users, agents, sessions: the same five verbs with other words. */
#include "api/entity_out.h"
#include "api/handlers.h"
#include "api/idem.h"
#include "api/json_out.h"
#include "api/message_in.h"

#include <stdio.h>

static const struct words {
    const char *title, *one, *many, *id;
} all_words[] = {
    [MF_ENTITY_USER] = {"User", "user", "users", "user_id"},
    [MF_ENTITY_AGENT] = {"Agent", "agent", "agents", "agent_id"},
    [MF_ENTITY_SESSION] = {"Session", "session", "sessions", "session_id"},
};

static const struct words *words_of(const struct mf_api_req *r)
{
    return &all_words[r->route->kind];
}

MF_LOOP static void prepare(struct mf_api_req *r, void (*format)(struct mf_api_req *r))
{
    mf_api_call(r, format);
    r->u.entity.kind = r->route->kind;
    r->u.entity.in.id = r->ids[0];
}

/* "User created successfully" */
MF_LOOP static void finish(struct mf_api_req *r, const char *what, const char *verb)
{
    char message[64];

    (void)snprintf(message, sizeof(message), "%s%s %s successfully", words_of(r)->title,
                   what, verb);
    mf_api_finish(r, 200, message);
}

/* ---- list, get ---- */

MF_LOOP static void format_list(struct mf_api_req *r)
{
    const struct mf_entity_call *c = &r->u.entity;
    bool is_one = c->in.name.n > 0;
    struct mf_buf *out = mf_api_begin(r, 200);

    mf_buf_addf(out, "{\"%s\":", words_of(r)->many);
    mf_entity_put_list(out, c->kind, c->rows, c->n_rows);
    mf_buf_add_char(out, '}');
    finish(r, is_one ? "" : "s", "retrieved");
}

/* An absent or empty value does not filter. */
MF_LOOP static int take_filter(struct mf_api_req *r, const char *name,
                               struct mf_slice *out)
{
    int rc = mf_http_query_get(&r->http->arena, r->http->query, name, out);

    if (rc == MF_ENOTFOUND) {
        *out = mf_slice_of(NULL, 0);
        return 0;
    }
    if (rc == MF_EINVAL || (rc == 0 && !mf_json_is_utf8(*out))) {
        return mf_fault_add(&r->faults, MF_EINVAL, "value_error", name,
                            "the query must be percent-encoded UTF-8");
    }
    return rc;
}

int mf_handle_entity_list(struct mf_api_req *r)
{
    struct mf_entity_call *c = &r->u.entity;
    int rc;

    prepare(r, format_list);
    rc = take_filter(r, "name", &c->in.name);
    if (rc == 0 && c->kind == MF_ENTITY_SESSION) {
        rc = take_filter(r, "user_id", &c->in.user_id);
    }
    if (rc == 0 && c->kind == MF_ENTITY_SESSION && c->in.name.n == 0) {
        rc = take_filter(r, "agent_id", &c->in.agent_id);
    }
    if (rc < 0) {
        return rc;
    }
    return c->in.name.n > 0 ? mf_engine_entity_find(r->api->engine, c)
                            : mf_engine_entity_list(r->api->engine, c);
}

/* {"user":{..}} */
MF_LOOP static void put_one(struct mf_api_req *r, struct mf_buf *out,
                            const struct mf_entity *row)
{
    mf_buf_addf(out, "{\"%s\":", words_of(r)->one);
    mf_entity_put(out, r->route->kind, row, mf_slice_of(NULL, 0));
    mf_buf_add_char(out, '}');
}

MF_LOOP static void format_one(struct mf_api_req *r)
{
    const struct mf_entity_call *c = &r->u.entity;

    if (c->n_rows == 0) { /* it went while it was changed */
        mf_api_fail(r, MF_ENOTFOUND);
        return;
    }
    put_one(r, mf_api_begin(r, 200), &c->rows[0]);
    finish(r, "", r->http->method == MF_HTTP_PUT ? "updated" : "retrieved");
}

int mf_handle_entity_get(struct mf_api_req *r)
{
    prepare(r, format_one);
    return mf_engine_entity_get(r->api->engine, &r->u.entity);
}

/* ---- create, update ---- */

static void take_description(struct mf_api_req *r, const struct mf_json_at *at,
                             struct mf_entity *e)
{
    uint64_t max = r->api->conf->limits_text_bytes;

    e->has_text = mf_json_text(at, "description", MF_JSON_OPTIONAL, &e->text);
    if (e->has_text && e->text.n > max) {
        (void)mf_json_fault(
            at, "description", MF_EUNPROCESSABLE, "string_too_long",
            "%zu bytes; a description has at most %llu (limits.text_bytes)", e->text.n,
            (unsigned long long)max);
    }
}

static struct mf_entity *new_row(struct mf_api_req *r)
{
    struct mf_entity *row = mf_arena_alloc(&r->http->arena, sizeof(*row));

    if (row == NULL) {
        r->faults.code = MF_ENOMEM;
        return NULL;
    }
    memset(row, 0, sizeof(*row));
    r->u.entity.ins = row;
    r->u.entity.n_ins = 1;
    return row;
}

MF_LOOP static void take_new(struct mf_api_req *r, const struct mf_json_at *at)
{
    struct mf_entity *row = new_row(r);
    bool is_session = r->route->kind == MF_ENTITY_SESSION;

    if (row == NULL) {
        return;
    }
    if (mf_json_text(at, "name", is_session ? MF_JSON_OPTIONAL : MF_JSON_REQUIRED,
                     &row->name)) {
        mf_name_check(r->api->conf, at, "name", row->name);
    }
    if (is_session) {
        (void)mf_json_text(at, "user_id", MF_JSON_REQUIRED, &row->user_id);
        (void)mf_json_text(at, "agent_id", MF_JSON_REQUIRED, &row->agent_id);
    } else {
        take_description(r, at, row);
    }
}

/* For the record of an Idempotency-Key and for the answer alike. */
static int write_created(struct mf_entity_call *c, const struct mf_entity *rows,
                         MF_UNUSED size_t n, struct mf_buf *out)
{
    struct mf_api_req *r = mf_container_of(c, struct mf_api_req, u.entity);
    char message[64];

    mf_loop_assert(r->api->loop);
    mf_envelope_begin(out, 201);
    put_one(r, out, &rows[0]);
    (void)snprintf(message, sizeof(message), "%s created successfully",
                   words_of(r)->title);
    mf_envelope_end(out, message);
    return 201;
}

MF_LOOP static void format_created(struct mf_api_req *r)
{
    struct mf_entity_call *c = &r->u.entity;

    mf_buf_reset(&r->api->out);
    (void)write_created(c, c->rows, c->n_rows, &r->api->out);
    mf_api_send_out(r, 201, NULL);
}

int mf_handle_entity_create(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_created);
    rc = mf_api_body(r, take_new);
    if (rc < 0) {
        return rc;
    }
    r->u.entity.format = write_created;
    mf_api_idem_fill(r, &r->u.entity.idem_key, r->u.entity.idem_hash);
    return mf_engine_entity_create(r->api->engine, &r->u.entity);
}

MF_LOOP static void take_changes(struct mf_api_req *r, const struct mf_json_at *at)
{
    struct mf_entity_call *c = &r->u.entity;

    c->set_name = mf_json_text(at, "name", MF_JSON_OPTIONAL, &c->in.name);
    if (c->set_name) {
        mf_name_check(r->api->conf, at, "name", c->in.name);
    }
    if (c->kind != MF_ENTITY_SESSION) {
        take_description(r, at, &c->in);
        c->set_text = c->in.has_text;
    }
}

int mf_handle_entity_update(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_one);
    rc = mf_api_body(r, take_changes);
    if (rc < 0) {
        return rc;
    }
    /* Nothing to change is no change: not even the time of it. */
    return r->u.entity.set_name || r->u.entity.set_text
               ? mf_engine_entity_update(r->api->engine, &r->u.entity)
               : mf_engine_entity_get(r->api->engine, &r->u.entity);
}

/* ---- delete ---- */

MF_LOOP static void format_deleted(struct mf_api_req *r)
{
    struct mf_buf *out;

    if (r->route->kind == MF_ENTITY_USER) {
        mf_auth_forget(r->api->auth); /* the user's keys went too */
        if (r->api->conf->server_delete_user_status == 204) {
            mf_api_send(r, 204, mf_slice_of(NULL, 0), NULL);
            return;
        }
    }
    out = mf_api_begin(r, 200);
    mf_buf_addf(out, "{\"%s\":", words_of(r)->id);
    mf_json_put_text(out, r->ids[0]);
    mf_buf_add_char(out, '}');
    finish(r, "", "deleted");
}

int mf_handle_entity_delete(struct mf_api_req *r)
{
    prepare(r, format_deleted);
    return mf_engine_entity_delete(r->api->engine, &r->u.entity);
}
