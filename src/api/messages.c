/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a session: add, list, read, update, delete. */
#include "api/entity_out.h"
#include "api/handlers.h"
#include "api/idem.h"
#include "api/json_out.h"
#include "api/message_in.h"

#include <strings.h>

/* ---- add: the hot path ---- */

static void put_added(struct mf_buf *out, const struct mf_slice *ids, size_t n)
{
    mf_envelope_begin(out, 201);
    MF_JSON_PUT(out, "{\"message_ids\":");
    mf_slices_put(out, ids, n);
}

static void put_buffered(struct mf_buf *out, bool transfer_triggered, size_t total)
{
    MF_JSON_PUT(out, ",\"transfer_triggered\":");
    mf_json_put_bool(out, transfer_triggered);
    MF_JSON_PUT(out, ",\"total_messages\":");
    mf_buf_add_u64(out, total);
    MF_JSON_PUT(out, ",\"buffer_status\":\"success\"");
}

static void end_added(struct mf_buf *out)
{
    mf_buf_add_char(out, '}');
    mf_envelope_end(out, "Messages added successfully");
}

MF_LOOP static void format_added(struct mf_api_req *r)
{
    const struct mf_add_call *c = &r->u.add;
    struct mf_buf *out = &r->api->out;

    mf_buf_reset(out);
    put_added(out, c->ids, c->n_msgs);
    if (!c->is_bypass) {
        put_buffered(out, c->transfer_triggered, c->total_messages);
    }
    end_added(out);
    mf_api_send_out(r, 201, NULL);
}

/* What a restart found in the journal: the buffers are new. */
void mf_api_format_add(const struct mf_item *it, struct mf_buf *out,
                       MF_UNUSED void *arg)
{
    mf_envelope_begin(out, 201);
    MF_JSON_PUT(out, "{\"message_ids\":[");
    for (uint32_t i = 0; i < it->n_msgs; i++) {
        mf_buf_add_str(out, i == 0 ? "" : ",");
        mf_json_put_text(out, it->msgs[i].id);
    }
    mf_buf_add_char(out, ']');
    put_buffered(out, false, it->n_msgs);
    end_added(out);
}

MF_LOOP static void take_added(struct mf_api_req *r, const struct mf_json_at *at)
{
    size_t n;

    r->u.add.msgs = mf_messages_take(r->api->conf, at, "messages",
                                     r->api->conf->limits_messages_per_add, &n);
    r->u.add.n_msgs = (uint32_t)n;
}

MF_LOOP static void format_none_added(struct mf_api_req *r)
{
    struct mf_buf *out = &r->api->out;

    mf_buf_reset(out);
    put_added(out, NULL, 0);
    put_buffered(out, false, 0);
    end_added(out);
    mf_api_send_out(r, 201, NULL);
}

/* No messages: but is there such a session at all? */
MF_LOOP static int ask_session(struct mf_api_req *r)
{
    memset(&r->u, 0, sizeof(r->u));
    mf_api_call(r, format_none_added);
    r->u.entity.kind = MF_ENTITY_SESSION;
    r->u.entity.in.id = r->ids[0];
    return mf_engine_entity_get(r->api->engine, &r->u.entity);
}

int mf_handle_messages_add(struct mf_api_req *r)
{
    int rc;

    mf_api_call(r, format_added);
    rc = mf_api_body(r, take_added);
    if (rc < 0) {
        return rc;
    }
    if (r->u.add.n_msgs == 0) {
        return ask_session(r);
    }
    r->u.add.session_id = r->ids[0];
    mf_api_idem_fill(r, &r->u.add.idem_key, r->u.add.idem_hash);
    return mf_engine_add(r->api->engine, &r->u.add);
}

/* ---- list ---- */

#define DEFAULT_LIMIT 20U
#define MAX_LIMIT     100U

struct param { /* sentences of upstream, word for word */
    const char *name, *message, *sentence;
};

static const struct param limit_int = {"limit", "Invalid limit parameter",
                                       "Limit must be an integer"};
static const struct param limit_small = {"limit", "Invalid limit parameter",
                                         "Limit must be greater than 0"};
static const struct param sort_by = {"sort_by", "Invalid sort_by parameter",
                                     "sort_by must be one of: timestamp, id"};
static const struct param order = {"order", "Invalid order parameter",
                                   "order must be one of: asc, desc"};
static const struct param buffer_only = {"buffer_only", "Invalid buffer_only parameter",
                                         "buffer_only must be 'true' or 'false'"};

/* True: the parameter is fine (its value in `out`, or absent: p NULL). */
MF_LOOP static const struct param *
take_param(struct mf_api_req *r, const struct param *p, struct mf_slice *out)
{
    int rc = mf_http_query_get(&r->http->arena, r->http->query, p->name, out);

    if (rc == MF_ENOTFOUND) {
        *out = mf_slice_of(NULL, 0);
        return NULL;
    }
    return rc < 0 ? p : NULL;
}

/* Blanks and a sign are fine, as in Python's int(). */
static const struct param *parse_limit(struct mf_slice text, size_t *limit)
{
    bool is_negative = false;
    size_t value = 0;

    text = mf_slice_trim(text);
    if (text.n > 0 && (text.p[0] == '+' || text.p[0] == '-')) {
        is_negative = text.p[0] == '-';
        text = mf_slice_of(text.p + 1, text.n - 1);
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return &limit_int;
        }
        value = mf_min(value * 10 + (size_t)(text.p[i] - '0'), (size_t)MAX_LIMIT);
    }
    if (text.n == 0) {
        return &limit_int;
    }
    *limit = value;
    return is_negative || value == 0 ? &limit_small : NULL;
}

static const struct param *parse_part(const struct mf_conf *conf, struct mf_slice text,
                                      enum mf_list_part *part)
{
    if (mf_slice_is_nocase(text, "true")) {
        *part = MF_LIST_WRITE_BUFFER;
        return NULL;
    }
    *part = conf->server_strict_upstream ? MF_LIST_ALL : MF_LIST_BUT_WRITE_BUFFER;
    return mf_slice_is_nocase(text, "false") ? NULL : &buffer_only;
}

/* NULL, or the first that is wrong. */
MF_LOOP static const struct param *take_params(struct mf_api_req *r)
{
    struct mf_messages_call *c = &r->u.messages;
    struct mf_slice limit, sort, way, part;
    const struct param *bad = take_param(r, &limit_int, &limit);

    c->limit = DEFAULT_LIMIT;
    if (bad == NULL && limit.p != NULL) {
        bad = parse_limit(limit, &c->limit);
    }
    bad = bad != NULL ? bad : take_param(r, &sort_by, &sort);
    if (bad == NULL && sort.p != NULL && !mf_slice_is(sort, "timestamp")) {
        c->sort = MF_SORT_ID;
        bad = mf_slice_is(sort, "id") ? NULL : &sort_by;
    }
    bad = bad != NULL ? bad : take_param(r, &order, &way);
    if (bad == NULL) {
        c->is_descending = way.p == NULL || mf_slice_is(way, "desc");
        bad = c->is_descending || mf_slice_is(way, "asc") ? NULL : &order;
    }
    bad = bad != NULL ? bad : take_param(r, &buffer_only, &part);
    if (bad == NULL && part.p != NULL) {
        bad = parse_part(r->api->conf, part, &c->part);
    }
    return bad;
}

MF_LOOP static void format_rows(struct mf_api_req *r)
{
    const struct mf_messages_call *c = &r->u.messages;
    struct mf_buf *out = mf_api_begin(r, 200);

    MF_JSON_PUT(out, "{\"messages\":[");
    for (size_t i = 0; i < c->n_rows; i++) {
        mf_buf_add_str(out, i == 0 ? "" : ",");
        mf_listed_put(out, &c->rows[i]);
    }
    MF_JSON_PUT(out, "]}");
    mf_api_finish(r, 200,
                  r->http->method == MF_HTTP_POST ? "Messages read successfully"
                                                  : "Messages retrieved successfully");
}

int mf_handle_messages_list(struct mf_api_req *r)
{
    const struct param *bad;

    mf_api_call(r, format_rows);
    bad = take_params(r);
    if (bad != NULL) {
        mf_buf_reset(&r->api->out);
        mf_envelope_error_as(&r->api->out, 400, bad->message, bad->name,
                             mf_slice_str(bad->sentence));
        mf_api_send_out(r, 400, NULL);
        return 0;
    }
    r->u.messages.session_id = r->ids[0];
    return mf_engine_list(r->api->engine, &r->u.messages);
}

/* ---- read, update, delete ---- */

/* Those of the ids that are not there, by name. */
MF_LOOP static void fail_missing(struct mf_api_req *r)
{
    const struct mf_messages_call *c = &r->u.messages;
    struct mf_buf names;

    mf_buf_init(&names);
    mf_buf_add_str(&names, "Message IDs not found: ");
    for (size_t i = 0; i < c->n_missing; i++) {
        mf_buf_add_str(&names, i == 0 ? "" : ", ");
        mf_buf_add_slice(&names, c->missing[i]);
    }
    mf_buf_reset(&r->api->out);
    mf_envelope_error_as(&r->api->out, 404, "Some message IDs were not found",
                         "message_ids", mf_slice_of(names.p, names.n));
    r->api->out.failed = r->api->out.failed || names.failed;
    mf_buf_fini(&names);
    mf_api_send_out(r, 404, NULL);
}

static void on_rows(struct mf_call *c, int rc)
{
    struct mf_api_req *r = mf_container_of(c, struct mf_api_req, u.call);

    mf_loop_assert(r->api->loop);
    if (rc == MF_ENOTFOUND && r->u.messages.n_missing > 0) {
        fail_missing(r);
    } else {
        mf_api_on_done(c, rc);
    }
}

MF_LOOP static void prepare(struct mf_api_req *r, void (*format)(struct mf_api_req *r))
{
    mf_api_call(r, format);
    r->u.call.done = on_rows;
    r->u.messages.session_id = r->ids[0];
}

MF_LOOP static void take_ids(struct mf_api_req *r, const struct mf_json_at *at)
{
    struct mf_messages_call *c = &r->u.messages;
    struct mf_slice *ids;

    if (mf_json_texts(at, "message_ids", r->api->conf->limits_ids_per_request,
                      "limits.ids_per_request", &ids, &c->n_ids)) {
        c->ids = ids;
    }
}

int mf_handle_messages_read(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_rows);
    rc = mf_api_body(r, take_ids);
    return rc < 0 ? rc : mf_engine_read(r->api->engine, &r->u.messages);
}

MF_LOOP static void take_changes(struct mf_api_req *r, const struct mf_json_at *at)
{
    struct mf_messages_call *c = &r->u.messages;
    size_t n;

    take_ids(r, at);
    c->news = mf_messages_take(r->api->conf, at, "new_messages",
                               mf_max(r->api->conf->limits_messages_per_add,
                                      r->api->conf->limits_ids_per_request),
                               &n);
    if (r->faults.n == 0 && n < c->n_ids) {
        (void)mf_json_fault(at, "new_messages", MF_EUNPROCESSABLE, "too_short",
                            "%zu messages for %zu message_ids: one each", n, c->n_ids);
    }
}

MF_LOOP static void format_changed(struct mf_api_req *r)
{
    const struct mf_messages_call *c = &r->u.messages;
    struct mf_buf *out = mf_api_begin(r, 200);

    MF_JSON_PUT(out, "{\"message_ids\":");
    mf_slices_put(out, c->ids, c->n_ids);
    mf_buf_add_char(out, '}');
    mf_api_finish(r, 200,
                  r->http->method == MF_HTTP_PUT ? "Messages updated successfully"
                                                 : "Messages deleted successfully");
}

int mf_handle_messages_update(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_changed);
    rc = mf_api_body(r, take_changes);
    return rc < 0 ? rc : mf_engine_update(r->api->engine, &r->u.messages);
}

int mf_handle_messages_delete(struct mf_api_req *r)
{
    int rc;

    prepare(r, format_changed);
    rc = mf_api_body(r, take_ids);
    return rc < 0 ? rc : mf_engine_delete(r->api->engine, &r->u.messages);
}
