/* SPDX-License-Identifier: Apache-2.0 */
/* A question of a user. */
#include "api/handlers.h"

#include "api/api_priv.h"
#include "api/json_out.h"

#include <stdio.h>

#define DEFAULT_TOP_K 5
/* Scores of one scan: 1 of the fused legs, 0.5 of the boosts. */
#define TOP_SCORE     1.5

/* ---- in ---- */

static void take_store_type(const struct mf_json_at *at, struct mf_ask_call *c)
{
    struct mf_slice type;

    if (!mf_json_text(at, "store_type", MF_JSON_OPTIONAL, &type)) {
        return;
    }
    c->no_keyword_leg = mf_slice_is(type, "vector");
    c->no_vector_leg = mf_slice_is(type, "keyword");
    if (!c->no_keyword_leg && !c->no_vector_leg && !mf_slice_is(type, "graph")) {
        (void)mf_json_fault(at, "store_type", MF_EUNPROCESSABLE, "enum",
                            "Input should be 'vector', 'graph' or 'keyword'");
    }
}

static void take_similarity(const struct mf_json_at *at, struct mf_ask_call *c)
{
    if (mf_json_real(at, "min_similarity", &c->min_similarity) &&
        (c->min_similarity < 0 || c->min_similarity > 1)) {
        (void)mf_json_fault(at, "min_similarity", MF_EUNPROCESSABLE, "value_error",
                            "Input should be from 0 to 1");
    }
}

MF_LOOP static void take_question(struct mf_api_req *r, const struct mf_json_at *at)
{
    struct mf_ask_call *c = &r->u.ask;
    uint64_t max = r->api->conf->limits_query_bytes;
    bool is_wanted = true;
    yyjson_val *hints;

    if (mf_json_text(at, "query", MF_JSON_REQUIRED, &c->text) && c->text.n > max) {
        (void)mf_json_fault(at, "query", MF_EUNPROCESSABLE, "string_too_long",
                            "%zu bytes; a query has at most %llu (limits.query_bytes)",
                            c->text.n, (unsigned long long)max);
    }
    (void)mf_json_text(at, "session_id", MF_JSON_OPTIONAL, &c->session_id);
    (void)mf_json_text(at, "agent_id", MF_JSON_OPTIONAL, &c->agent_id);
    c->top_k = DEFAULT_TOP_K;
    (void)mf_json_int(at, "top_k", &c->top_k);
    take_store_type(at, c);
    take_similarity(at, c);
    if (mf_json_bool(at, "include_messages", &is_wanted)) {
        c->no_messages = !is_wanted;
    }
    if (mf_json_bool(at, "include_knowledge", &is_wanted)) {
        c->no_knowledge = !is_wanted;
    }
    (void)mf_json_object(at, "metadata", &hints); /* stored nowhere, used for nothing */
}

/* ---- out ---- */

static void put_retrieval(struct mf_buf *out, const struct mf_query_hit *h)
{
    const struct mf_scan_hit *s = &h->scan;

    MF_JSON_PUT(out, ",\"retrieval\":{\"source\":");
    mf_json_put_str(out, h->source);
    MF_JSON_PUT(out, ",\"method\":");
    mf_json_put_str(out, !s->has_vector ? "keyword"
                         : s->bm25 > 0  ? "hybrid"
                                        : "vector");
    MF_JSON_PUT(out, ",\"similarity\":");
    if (s->has_vector) {
        mf_json_put_real(out, s->similarity);
    } else {
        MF_JSON_PUT(out, "null");
    }
    MF_JSON_PUT(out, ",\"bm25\":");
    mf_json_put_real(out, s->bm25);
    MF_JSON_PUT(out, ",\"boost\":");
    mf_json_put_real(out, s->boost);
    MF_JSON_PUT(out, ",\"is_passage\":");
    mf_json_put_bool(out, h->is_passage);
    mf_buf_add_char(out, '}');
}

static void put_metadata(struct mf_buf *out, const struct mf_ask_call *c,
                         const struct mf_found *f)
{
    const struct mf_store_row *row = &f->hit.row;
    const char *scope = c->session_id.n == 0 || f->hit.scan.is_knowledge ? NULL
                        : f->in_session                                  ? "in_session"
                                        : "cross_session";

    MF_JSON_PUT(out, "{\"user_id\":");
    mf_json_put_text(out, row->user_id);
    MF_JSON_PUT(out, ",\"level\":0,\"session_id\":");
    mf_json_put_text_or_null(out, row->session_id);
    MF_JSON_PUT(out, ",\"session_name\":");
    mf_json_put_text_or_null(out, f->session_name);
    MF_JSON_PUT(out, ",\"agent_id\":");
    mf_json_put_text_or_null(out, f->agent_id);
    MF_JSON_PUT(out, ",\"scope\":");
    mf_json_put_text_or_null(out, mf_slice_str(scope));
    put_retrieval(out, &f->hit);
    MF_JSON_PUT(out, ",\"message_metadata\":");
    mf_buf_add_slice(out,
                     row->msg.metadata.n > 0 ? row->msg.metadata : MF_SLICE("null"));
    mf_buf_add_char(out, '}');
}

static double score_of(const struct mf_scan_hit *s)
{
    double score = s->score / TOP_SCORE;

    return score < 0 ? 0 : score > 1 ? 1 : score;
}

static void put_result(struct mf_buf *out, const struct mf_ask_call *c,
                       const struct mf_found *f)
{
    const struct mf_msg *m = &f->hit.row.msg;
    bool is_knowledge = f->hit.scan.is_knowledge;
    const char *type = is_knowledge ? "knowledge" : "message";

    MF_JSON_PUT(out, "{\"id\":");
    mf_json_put_text(out, m->id);
    MF_JSON_PUT(out, ",\"content\":");
    mf_json_put_text(out, f->hit.content);
    MF_JSON_PUT(out, ",\"score\":");
    mf_json_put_real(out, score_of(&f->hit.scan));
    MF_JSON_PUT(out, ",\"type\":");
    mf_json_put_str(out, type);
    MF_JSON_PUT(out, ",\"memory_type\":");
    mf_json_put_str(out, type);
    MF_JSON_PUT(out, ",\"role\":");
    mf_json_put_text_or_null(
        out, mf_slice_str(is_knowledge ? NULL : mf_msg_role_name(m->role)));
    MF_JSON_PUT(out, ",\"created_at\":");
    mf_json_put_time(out, m->created_us);
    MF_JSON_PUT(out, ",\"updated_at\":");
    mf_json_put_time(out, m->updated_us);
    MF_JSON_PUT(out, ",\"metadata\":");
    put_metadata(out, c, f);
    mf_buf_add_char(out, '}');
}

MF_LOOP static void format_results(struct mf_api_req *r)
{
    const struct mf_ask_call *c = &r->u.ask;
    struct mf_buf *out = mf_api_begin(r, 200);
    bool is_semantic = mf_engine_model(r->api->engine)->is_semantic && !c->no_vector &&
                       !c->no_vector_leg;
    char message[64];

    MF_JSON_PUT(out, "{\"results\":[");
    for (size_t i = 0; i < c->n_found; i++) {
        mf_buf_add_str(out, i == 0 ? "" : ",");
        put_result(out, c, &c->found[i]);
    }
    MF_JSON_PUT(out, "],\"total\":");
    mf_buf_add_u64(out, c->n_found);
    if (c->is_partial) {
        MF_JSON_PUT(out, ",\"partial\":true");
    }
    MF_JSON_PUT(out, ",\"semantic\":");
    mf_json_put_bool(out, is_semantic);
    mf_buf_add_char(out, '}');
    if (c->n_found > 0) {
        (void)snprintf(message, sizeof(message), "Found %zu results", c->n_found);
    } else {
        (void)snprintf(message, sizeof(message), "%s",
                       c->no_sessions ? "No sessions found for query"
                                      : "No results found from BufferService");
    }
    mf_api_finish(r, 200, message);
}

int mf_handle_query(struct mf_api_req *r)
{
    int rc;

    mf_api_call(r, format_results);
    rc = mf_api_body(r, take_question);
    if (rc < 0) {
        return rc;
    }
    r->u.ask.user_id = r->ids[0];
    return mf_engine_ask(r->api->engine, &r->u.ask);
}
