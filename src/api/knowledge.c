/* SPDX-License-Identifier: Apache-2.0 */
/* Knowledge: texts that belong to a user. */
#include "api/entity_out.h"
#include "api/handlers.h"
#include "api/idem.h"

MF_LOOP static void prepare(struct mf_api_req *r, void (*format)(struct mf_api_req *r))
{
    mf_api_call(r, format);
    r->u.entity.kind = MF_ENTITY_KNOWLEDGE;
    r->u.entity.in.user_id = r->ids[0];
}

MF_LOOP static void format_items(struct mf_api_req *r)
{
    const struct mf_entity_call *c = &r->u.entity;
    struct mf_buf *out = mf_api_begin(r, 200);

    mf_buf_add_str(out, "{\"knowledge\":");
    mf_entity_put_list(out, MF_ENTITY_KNOWLEDGE, c->rows, c->n_rows);
    mf_buf_add_char(out, '}');
    mf_api_finish(r, 200,
                  r->http->method == MF_HTTP_POST
                      ? "Knowledge items read successfully"
                      : "Knowledge items retrieved successfully");
}

int mf_handle_knowledge_list(struct mf_api_req *r)
{
    prepare(r, format_items);
    return mf_engine_entity_list(r->api->engine, &r->u.entity);
}

/* ---- what comes in ---- */

static void check_texts(struct mf_api_req *r, const char *list,
                        const struct mf_slice *texts, size_t n)
{
    uint64_t max = r->api->conf->limits_text_bytes;
    struct mf_json_at at = {.faults = &r->faults, .list = list};

    for (; at.i < n; at.i++) {
        if (texts[at.i].n == 0) {
            (void)mf_json_fault(&at, NULL, MF_EUNPROCESSABLE, "string_too_short",
                                "String should have at least 1 character");
        } else if (texts[at.i].n > max) {
            (void)mf_json_fault(
                &at, NULL, MF_EUNPROCESSABLE, "string_too_long",
                "%zu bytes; a knowledge item has at most %llu (limits.text_bytes)",
                texts[at.i].n, (unsigned long long)max);
        }
    }
}

static void take_texts(struct mf_api_req *r, const struct mf_json_at *at,
                       const char *list)
{
    struct mf_entity_call *c = &r->u.entity;
    struct mf_entity *rows;
    struct mf_slice *texts;
    size_t n;

    if (!mf_json_texts(at, list, r->api->conf->limits_ids_per_request,
                       "limits.ids_per_request", &texts, &n)) {
        return;
    }
    check_texts(r, list, texts, n);
    rows = mf_arena_alloc(&r->http->arena, (n + 1) * sizeof(*rows));
    if (rows == NULL) {
        r->faults.code = MF_ENOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct mf_entity){
            .user_id = r->ids[0], .text = texts[i], .has_text = true};
    }
    c->ins = rows;
    c->n_ins = n;
}

static void take_ids(struct mf_api_req *r, const struct mf_json_at *at)
{
    struct mf_entity_call *c = &r->u.entity;
    struct mf_slice *ids;

    if (mf_json_texts(at, "knowledge_ids", r->api->conf->limits_ids_per_request,
                      "limits.ids_per_request", &ids, &c->n_ids)) {
        c->ids = ids;
    }
}

/* ---- add ---- */

MF_LOOP static void take_new(struct mf_api_req *r, const struct mf_json_at *at)
{
    take_texts(r, at, "knowledge");
}

static int write_added(MF_UNUSED struct mf_entity_call *c, const struct mf_entity *rows,
                       size_t n, struct mf_buf *out)
{
    mf_envelope_begin(out, 201);
    mf_entity_put_ids(out, "knowledge_ids", rows, n);
    mf_envelope_end(out, "Knowledge items added successfully");
    return 201;
}

MF_LOOP static void format_added(struct mf_api_req *r)
{
    struct mf_entity_call *c = &r->u.entity;

    mf_buf_reset(&r->api->out);
    (void)write_added(c, c->rows, c->n_rows, &r->api->out);
    mf_api_send_out(r, 201, NULL);
}

int mf_handle_knowledge_add(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_added);
    rc = mf_api_body(r, take_new);
    if (rc < 0) {
        return rc;
    }
    r->u.entity.format = write_added;
    mf_api_idem_fill(r, &r->u.entity.idem_key, r->u.entity.idem_hash);
    return mf_engine_entity_create(r->api->engine, &r->u.entity);
}

/* ---- read ---- */

MF_LOOP static void format_none(struct mf_api_req *r)
{
    r->u.entity.n_rows = 0;
    format_items(r);
}

/* There is nothing to tell: but is there such a user at all? */
MF_LOOP static int ask_user(struct mf_api_req *r, void (*format)(struct mf_api_req *r))
{
    memset(&r->u, 0, sizeof(r->u));
    mf_api_call(r, format);
    r->u.entity.kind = MF_ENTITY_USER;
    r->u.entity.in.id = r->ids[0];
    return mf_engine_entity_get(r->api->engine, &r->u.entity);
}

MF_LOOP static void format_read(struct mf_api_req *r)
{
    int rc = r->u.entity.n_rows == 0 ? ask_user(r, format_none) : 1;

    if (rc < 0) {
        mf_api_fail(r, rc);
    } else if (rc > 0) {
        format_items(r);
    }
}

int mf_handle_knowledge_read(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_read);
    rc = mf_api_body(r, take_ids);
    if (rc < 0) {
        return rc;
    }
    return r->u.entity.n_ids == 0 ? ask_user(r, format_none)
                                  : mf_engine_entity_get(r->api->engine, &r->u.entity);
}

/* ---- update, delete ---- */

MF_LOOP static void take_changes(struct mf_api_req *r, const struct mf_json_at *at)
{
    struct mf_entity_call *c = &r->u.entity;

    take_ids(r, at);
    take_texts(r, at, "new_knowledge");
    if (r->faults.n == 0 && c->n_ins < c->n_ids) {
        (void)mf_json_fault(at, "new_knowledge", MF_EUNPROCESSABLE, "too_short",
                            "%zu texts for %zu knowledge_ids: one each", c->n_ins,
                            c->n_ids);
    }
    c->n_ins = mf_min(c->n_ins, c->n_ids);
}

MF_LOOP static void format_changed(struct mf_api_req *r)
{
    const struct mf_entity_call *c = &r->u.entity;

    mf_entity_put_ids(mf_api_begin(r, 200), "knowledge_ids", c->rows, c->n_rows);
    mf_api_finish(r, 200,
                  r->http->method == MF_HTTP_PUT
                      ? "Knowledge items updated successfully"
                      : "Knowledge items deleted successfully");
}

int mf_handle_knowledge_update(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_changed);
    rc = mf_api_body(r, take_changes);
    return rc < 0 ? rc : mf_engine_entity_update(r->api->engine, &r->u.entity);
}

MF_LOOP static void format_unchanged(struct mf_api_req *r)
{
    r->u.entity.n_rows = 0;
    format_changed(r);
}

int mf_handle_knowledge_delete(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_changed);
    rc = mf_api_body(r, take_ids);
    if (rc < 0) {
        return rc;
    }
    return r->u.entity.n_ids == 0
               ? ask_user(r, format_unchanged)
               : mf_engine_entity_delete(r->api->engine, &r->u.entity);
}
