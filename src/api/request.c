/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"
#include "api/idem.h"
#include "base/log.h"

/* A larger answer gives its memory back. */
#define KEEP_OUT_BYTES (1U << 20)

static const char no_memory[] =
    "{\"status\":\"error\",\"code\":503,\"data\":null,\"message\":\"out of memory\","
    "\"errors\":[{\"field\":\"general\",\"message\":\"out of memory\"}]}";

/* ---- answers ---- */

void mf_api_send(struct mf_api_req *r, int status, struct mf_slice body,
                 const char *headers)
{
    struct mf_api *a = r->api;
    struct mf_http_reply reply = {.status = status,
                                  .content_type = body.n > 0 ? MF_JSON_TYPE : NULL,
                                  .body = body,
                                  .extra_headers = headers,
                                  .retry_after_s = mf_retry_after(status)};
    struct mf_buf mine = a->out;

    if (r->idem != NULL) {
        /* Others who wait for this key are answered meanwhile, in a buffer of theirs.
         */
        mf_buf_init(&a->out);
        mf_api_idem_answered(r, status, body);
        mf_buf_fini(&a->out);
        a->out = mine;
    }
    mf_http_reply(r->http, &reply);
}

void mf_api_send_out(struct mf_api_req *r, int status, const char *headers)
{
    struct mf_api *a = r->api;
    struct mf_slice body = mf_slice_of(a->out.p, a->out.n);

    if (mf_buf_status(&a->out) < 0) {
        status = 503;
        body = mf_slice_of(no_memory, sizeof(no_memory) - 1);
        headers = NULL;
    }
    mf_api_send(r, status, body, headers);
    if (a->out.cap > KEEP_OUT_BYTES || a->out.failed) {
        mf_buf_fini(&a->out);
    }
}

struct mf_buf *mf_api_begin(struct mf_api_req *r, int status)
{
    mf_buf_reset(&r->api->out);
    mf_envelope_begin(&r->api->out, status);
    return &r->api->out;
}

void mf_api_finish(struct mf_api_req *r, int status, const char *message)
{
    mf_envelope_end(&r->api->out, message);
    mf_api_send_out(r, status, NULL);
}

void mf_api_refuse(struct mf_api_req *r, int status, const char *field,
                   const char *message, const char *headers)
{
    mf_buf_reset(&r->api->out);
    mf_envelope_error(&r->api->out, status, field, message);
    mf_api_send_out(r, status, headers);
}

/* A name that is taken is 400 on these routes, as upstream has it. */
static int status_of(int rc)
{
    return rc == MF_EEXIST ? 400 : rc == MF_ECANCELED ? 503 : mf_code_status(rc);
}

void mf_api_fail(struct mf_api_req *r, int rc)
{
    const struct mf_err *err = &r->u.call.err;
    const char *sentence = err->msg[0] != '\0' ? err->msg : mf_code_sentence(rc);
    int status = status_of(rc);

    if (status >= 500) {
        char quoted[2 * MF_ERR_MAX];

        mf_log_limited(
            MF_LOG_WARN, "request_failed", "status=%d code=%s why=%s", status,
            mf_code_name(rc),
            mf_log_quote(quoted, sizeof(quoted), sentence, strlen(sentence)));
    }
    if (r->faults.n == 0 || rc == MF_ENOMEM) {
        mf_api_refuse(r, status, r->u.call.field, sentence, NULL);
        return;
    }
    mf_buf_reset(&r->api->out);
    mf_envelope_faults(&r->api->out, status, &r->faults);
    mf_api_send_out(r, status, NULL);
}

/* ---- what handlers use ---- */

void mf_api_on_done(struct mf_call *c, int rc)
{
    struct mf_api_req *r = mf_container_of(c, struct mf_api_req, u.call);

    mf_loop_assert(r->api->loop);
    if (rc < 0) {
        mf_api_fail(r, rc);
    } else {
        r->format(r);
    }
}

void mf_api_call(struct mf_api_req *r, void (*format)(struct mf_api_req *r))
{
    r->u.call.scope = &r->scope;
    r->u.call.arena = &r->http->arena;
    r->u.call.done = mf_api_on_done;
    r->format = format;
}

int mf_api_body(struct mf_api_req *r,
                void (*take)(struct mf_api_req *r, const struct mf_json_at *at))
{
    struct mf_json_at at = {.faults = &r->faults};
    int rc = mf_json_open(&r->api->json, r->http->body, &r->faults, &at.obj);

    if (rc < 0) {
        return rc;
    }
    if (yyjson_is_obj(at.obj)) {
        take(r, &at);
    } else {
        (void)mf_json_fault(&at, NULL, MF_EUNPROCESSABLE, "dict_type",
                            "Input should be an object");
    }
    mf_json_close(&r->api->json);
    return r->faults.code;
}

/* ---- the way in ---- */

void mf_api_run(struct mf_api_req *r)
{
    int rc = r->route->run(r);

    if (rc < 0) {
        mf_api_fail(r, rc);
    }
}

/* What is no id is no row's either: not asked for. */
MF_LOOP static bool check_ids(struct mf_api_req *r)
{
    static const char *const kinds[] = {"User", "Agent", "Session", "Knowledge",
                                        "API key"};
    static const char *const fields[] = {"user_id", "agent_id", "session_id",
                                         "knowledge_id", "key_id"};
    char sentence[128];

    for (size_t i = 0; i < MF_ROUTE_IDS && r->ids[i].p != NULL; i++) {
        enum mf_entity_kind kind = i == 0 ? r->route->kind : MF_ENTITY_API_KEY;

        if (mf_id_is_valid(r->ids[i])) {
            continue;
        }
        (void)snprintf(sentence, sizeof(sentence), "%s with ID '%.*s' not found",
                       kinds[kind], (int)mf_min(r->ids[i].n, (size_t)MF_ID_MAX),
                       r->ids[i].p);
        mf_api_refuse(r, 404, fields[kind], sentence, NULL);
        return false;
    }
    return true;
}

void mf_api_go_on(struct mf_api_req *r)
{
    if ((r->route->flags & MF_ROUTE_ADMIN) != 0 && !r->scope.is_admin) {
        mf_api_refuse(r, 403, NULL, "Only the administrator's key may do this", NULL);
    } else if (check_ids(r)) {
        mf_api_idem_request(r);
    }
}

static bool is_json(const struct mf_http_req *http)
{
    struct mf_slice type = mf_http_header(http, "Content-Type");
    struct mf_slice coding = mf_http_header(http, "Content-Encoding");
    const char *end = type.n == 0 ? NULL : memchr(type.p, ';', type.n);

    if (end != NULL) {
        type.n = (size_t)(end - type.p);
    }
    return mf_slice_is_nocase(mf_slice_trim(type), MF_JSON_TYPE) &&
           (coding.n == 0 || mf_slice_is_nocase(coding, "identity"));
}

/* A page in a browser can send other types, and none, without being asked. */
MF_LOOP static bool check_type(struct mf_api_req *r)
{
    if (r->http->body.n == 0 || r->route->method == MF_HTTP_GET || is_json(r->http)) {
        return true;
    }
    mf_api_refuse(r, 415, "Content-Type",
                  "The body must be sent as Content-Type: application/json, without "
                  "Content-Encoding",
                  "Accept-Post: application/json\r\n");
    return false;
}

MF_LOOP static void no_route(struct mf_api_req *r, int rc, unsigned methods)
{
    struct mf_buf allow;

    mf_buf_init(&allow);
    mf_buf_reset(&r->api->out);
    if (rc == MF_EINVAL) {
        mf_route_allow(methods, &allow);
        mf_buf_add_char(&allow, '\0');
        mf_envelope_detail(&r->api->out, 405, "Method Not Allowed");
        mf_api_send_out(r, 405, mf_buf_status(&allow) < 0 ? NULL : allow.p);
    } else {
        mf_envelope_detail(&r->api->out, 404, "Not Found");
        mf_api_send_out(r, 404, NULL);
    }
    mf_buf_fini(&allow);
}

MF_LOOP static void start(struct mf_api_req *r)
{
    struct mf_route_match match;
    int rc = mf_route_find(&r->http->arena, r->http->method, r->http->path, &match);

    if (rc == MF_ENOTFOUND || rc == MF_EINVAL) {
        no_route(r, rc, match.methods);
        return;
    }
    if (rc < 0) {
        mf_api_fail(r, rc);
        return;
    }
    r->route = match.route;
    memcpy(r->ids, match.ids, sizeof(r->ids));
    if (r->api->engine == NULL) {
        mf_api_fail(r, MF_ECLOSED);
    } else if (check_type(r)) {
        mf_auth_request(r);
    }
}

void mf_api_on_request(struct mf_http_req *http, void *arg)
{
    struct mf_api *a = arg;
    struct mf_api_req *r = mf_arena_alloc(&http->arena, sizeof(*r));

    mf_loop_assert(a->loop);
    if (r == NULL) {
        struct mf_http_reply reply = {.status = 503,
                                      .content_type = MF_JSON_TYPE,
                                      .body = MF_SLICE(""),
                                      .retry_after_s = 1};

        reply.body = mf_slice_of(no_memory, sizeof(no_memory) - 1);
        mf_http_reply(http, &reply);
        return;
    }
    memset(r, 0, sizeof(*r));
    r->api = a;
    r->http = http;
    r->faults.arena = &http->arena;
    start(r);
}

/* No body is read for a client that shows no key. */
int mf_api_on_head(struct mf_http_req *http, void *arg)
{
    static const char body[] =
        "{\"status\":\"error\",\"code\":401,\"data\":null,\"message\":\"Authentication "
        "failed: Missing API key\",\"errors\":[{\"field\":\"api_key\",\"message\":\"API "
        "key is required\"}]}";
    const struct mf_api *a = arg;
    struct mf_http_reply reply = {.status = 401,
                                  .content_type = MF_JSON_TYPE,
                                  .body = {body, sizeof(body) - 1},
                                  .extra_headers = "WWW-Authenticate: Bearer\r\n"};

    mf_loop_assert(a->loop);
    if (!mf_auth_has_no_key(a->auth, http) || http->method == MF_HTTP_GET ||
        http->method == MF_HTTP_HEAD ||
        mf_slice_is(mf_http_header(http, "Content-Length"), "0") ||
        (mf_http_header(http, "Content-Length").n == 0 &&
         mf_http_header(http, "Transfer-Encoding").n == 0)) {
        return 0;
    }
    mf_http_refuse(http, &reply);
    return 1;
}
