/* SPDX-License-Identifier: Apache-2.0 */
#include "api/idem.h"

#include "api/handlers.h"

struct mf_api_idem {
    struct mf_idem_ticket ticket;
    struct mf_api_req *r;
    bool must_end;
};

/* The SDK's keys hold an agent's name, as Latin-1 or as UTF-8: any text will do. */
static bool is_key(struct mf_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return s.n >= 1 && s.n <= MF_IDEM_KEY_MAX;
}

static char *put(char *at, struct mf_slice s)
{
    if (s.n > 0) {
        memcpy(at, s.p, s.n);
    }
    at[s.n] = '|'; /* stands in no id and no route */
    return at + s.n + 1;
}

/* Who, route, ids, the client's key last. */
MF_LOOP static int scoped_key(struct mf_api_req *r, struct mf_slice key,
                              struct mf_slice *out)
{
    struct mf_slice who =
        r->scope.is_admin ? MF_SLICE("*") : mf_id_slice(&r->scope.user_id);
    size_t cap = who.n + key.n + 2 + (size_t)32 * MF_ROUTE_SEGMENTS +
                 (size_t)MF_ROUTE_IDS * (MF_ID_MAX + 1);
    char *p = mf_arena_alloc(&r->http->arena, cap);
    char *at = p;
    size_t n_ids = 0;

    if (p == NULL) {
        return MF_ENOMEM;
    }
    at = put(at, who);
    for (size_t i = 0; i < MF_ROUTE_SEGMENTS && r->route->segments[i] != NULL; i++) {
        const char *word = r->route->segments[i];

        at = put(at, word[0] == '*' ? r->ids[n_ids++] : mf_slice_str(word));
    }
    memcpy(at, key.p, key.n);
    *out = mf_slice_of(p, (size_t)(at - p) + key.n);
    return 0;
}

static void on_ticket(struct mf_idem_ticket *t, enum mf_idem_outcome outcome)
{
    struct mf_api_idem *w = mf_container_of(t, struct mf_api_idem, ticket);
    struct mf_api_req *r = w->r;

    mf_loop_assert(r->api->loop);
    switch (outcome) {
    case MF_IDEM_PROCEED:
        w->must_end = true;
        mf_api_run(r);
        return;
    case MF_IDEM_REPLAY:
        mf_api_send(r, t->status, t->response, "Idempotency-Replayed: true\r\n");
        return;
    case MF_IDEM_MISMATCH:
        mf_api_refuse(r, 422, "Idempotency-Key",
                      "This Idempotency-Key was used with another body: take a new key "
                      "for a new request",
                      NULL);
        return;
    case MF_IDEM_FAILED: break;
    }
    r->u.call.err = t->err;
    mf_api_fail(r, t->err.code == 0 ? MF_EUNAVAILABLE : t->err.code);
}

MF_LOOP static int begin(struct mf_api_req *r, struct mf_slice key)
{
    struct mf_api_idem *w = mf_arena_alloc(&r->http->arena, sizeof(*w));
    int rc;

    if (w == NULL) {
        return MF_ENOMEM;
    }
    memset(w, 0, sizeof(*w));
    w->r = r;
    r->idem = w;
    w->ticket.arena = &r->http->arena;
    w->ticket.done = on_ticket;
    w->ticket.may_go_unasked = r->route->run == mf_handle_messages_add;
    rc = scoped_key(r, key, &w->ticket.key);
    if (rc == 0) {
        rc = mf_auth_hash(r->api->auth, r->http->body, w->ticket.body_hash);
    }
    return rc < 0 ? rc : mf_engine_idem_begin(r->api->engine, &w->ticket);
}

void mf_api_idem_request(struct mf_api_req *r)
{
    struct mf_slice key = mf_http_header(r->http, "Idempotency-Key");
    int rc;

    if (key.p == NULL || (r->route->flags & MF_ROUTE_CREATES) == 0) {
        mf_api_run(r);
        return;
    }
    if (!is_key(key)) {
        mf_api_refuse(
            r, 400, "Idempotency-Key",
            "Idempotency-Key must be 1 to 2048 bytes without control characters", NULL);
        return;
    }
    rc = begin(r, key);
    if (rc < 0) {
        mf_api_fail(r, rc);
    }
}

void mf_api_idem_fill(const struct mf_api_req *r, struct mf_slice *key,
                      uint8_t hash[MF_AUTH_HASH])
{
    if (r->idem != NULL) {
        *key = r->idem->ticket.key;
        memcpy(hash, r->idem->ticket.body_hash, MF_AUTH_HASH);
    }
}

void mf_api_idem_answered(struct mf_api_req *r, int status, struct mf_slice body)
{
    if (r->idem != NULL && r->idem->must_end) {
        r->idem->must_end = false;
        mf_engine_idem_end(r->api->engine, &r->idem->ticket, status,
                           r->recorded.n > 0 ? r->recorded : body);
    }
}
