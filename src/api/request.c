/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"
#include "api/idem.h"
#include "base/id.h"
#include "base/log.h"

#include <inttypes.h>

/* A larger answer gives its memory back. */
#define KEEP_OUT_BYTES (1U << 20)
#define REQUEST_ID_MAX 128U
#define HEADERS_MAX    1024U
#define NS_PER_MS      1000000U

/* ---- answers ---- */

/* A name for the request, which clients put into their reports: theirs or ours. */
static void put_request_id(const struct mf_http_req *http, char out[REQUEST_ID_MAX + 1])
{
    struct mf_slice theirs = mf_http_header(http, "x-request-id");
    uint64_t r[2];
    bool is_good = theirs.n > 0 && theirs.n <= REQUEST_ID_MAX;

    for (size_t i = 0; i < theirs.n && is_good; i++) {
        is_good = theirs.p[i] > ' ' && theirs.p[i] < 0x7f;
    }
    if (is_good) {
        (void)snprintf(out, REQUEST_ID_MAX + 1, "%.*s", (int)theirs.n, theirs.p);
        return;
    }
    mf_random(r, sizeof(r));
    (void)snprintf(out, REQUEST_ID_MAX + 1, "req_%016" PRIx64 "%016" PRIx64, r[0],
                   r[1]);
}

/* What OpenAI's clients read, and what the handler has to say. */
MF_LOOP static const char *family_headers(const struct mf_api_req *r,
                                          const char *headers, char out[HEADERS_MAX])
{
    char id[REQUEST_ID_MAX + 1];

    if (r->family != MF_FAMILY_OPENAI) {
        return headers;
    }
    put_request_id(r->http, id);
    (void)snprintf(
        out, HEADERS_MAX, "x-request-id: %s\r\nopenai-processing-ms: %" PRIu64 "\r\n%s",
        id, (uv_hrtime() - r->started_ns) / NS_PER_MS, headers == NULL ? "" : headers);
    return out;
}

void mf_api_send(struct mf_api_req *r, int status, struct mf_slice body,
                 const char *headers)
{
    char all[HEADERS_MAX];
    struct mf_api *a = r->api;
    struct mf_http_reply reply = {.status = status,
                                  .content_type = body.n > 0 ? MF_JSON_TYPE : NULL,
                                  .body = body,
                                  .extra_headers = family_headers(r, headers, all),
                                  .retry_after_s = r->retry_after_s > 0
                                                       ? r->retry_after_s
                                                       : mf_retry_after(status)};
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
        body = mf_family_no_memory(r->family);
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
    if (r->family == MF_FAMILY_NATIVE) {
        mf_envelope_error(&r->api->out, status, field, message);
    } else {
        mf_family_error(&r->api->out, r->family, status, field, message);
    }
    mf_api_send_out(r, status, headers);
}

/* A name that is taken is 400 on these routes, as upstream has it. */
static int status_of(const struct mf_api_req *r, int rc)
{
    if (r->family != MF_FAMILY_NATIVE) {
        return mf_family_status(r->family, rc);
    }
    return rc == MF_EEXIST ? 400 : rc == MF_ECANCELED ? 503 : mf_code_status(rc);
}

/* These families tell one fault. */
MF_LOOP static void tell_fault(struct mf_api_req *r, int status)
{
    const struct mf_fault *f = &r->faults.all[0];
    bool is_empty = strcmp(f->type, MF_FAULT_EMPTY) == 0;
    char sentence[2 * MF_ERR_MAX];

    (void)snprintf(sentence, sizeof(sentence), "%s%s%s", is_empty ? "" : f->field,
                   is_empty ? "" : ": ", f->msg);
    mf_api_refuse(r, is_empty ? 400 : status, f->field, sentence, NULL);
}

void mf_api_fail(struct mf_api_req *r, int rc)
{
    const struct mf_err *err = &r->u.call.err;
    const char *sentence = err->msg[0] != '\0' ? err->msg : mf_code_sentence(rc);
    int status = status_of(r, rc);

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
    if (r->family != MF_FAMILY_NATIVE) {
        tell_fault(r, status);
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
    } else if (r->family != MF_FAMILY_NATIVE || check_ids(r)) {
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

MF_LOOP static void refuse_path(struct mf_api_req *r, int status, const char *detail,
                                const char *headers)
{
    if (r->family != MF_FAMILY_NATIVE) {
        mf_api_refuse(r, status, NULL, detail, headers);
        return;
    }
    mf_buf_reset(&r->api->out);
    mf_envelope_detail(&r->api->out, status, detail);
    mf_api_send_out(r, status, headers);
}

MF_LOOP static void no_route(struct mf_api_req *r, int rc, unsigned methods)
{
    struct mf_buf allow;

    mf_buf_init(&allow);
    if (rc == MF_EINVAL) {
        mf_route_allow(methods, &allow);
        mf_buf_add_char(&allow, '\0');
        refuse_path(r, 405, "Method Not Allowed",
                    mf_buf_status(&allow) < 0 ? NULL : allow.p);
    } else {
        refuse_path(r, 404, "Not Found", NULL);
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
        struct mf_http_reply reply = {
            .status = 503, .content_type = MF_JSON_TYPE, .retry_after_s = 1};

        reply.body = mf_family_no_memory(mf_family_of(http->path));
        mf_http_reply(http, &reply);
        return;
    }
    memset(r, 0, sizeof(*r));
    r->api = a;
    r->http = http;
    r->family = mf_family_of(http->path);
    r->started_ns = uv_hrtime();
    r->faults.arena = &http->arena;
    start(r);
}

/* No body is read for a client that shows no key. */
int mf_api_on_head(struct mf_http_req *http, void *arg)
{
    const struct mf_api *a = arg;
    struct mf_http_reply reply = {.status = 401,
                                  .content_type = MF_JSON_TYPE,
                                  .body = mf_family_no_key(mf_family_of(http->path)),
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
