/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of text-embeddings-inference: bare lists out, flat errors. */
#include "api/handlers.h"

#include "api/api_priv.h"
#include "api/json_out.h"
#include "api/vec_out.h"

#include <inttypes.h>

#ifndef MF_VERSION
#    define MF_VERSION "0"
#endif

/* ---- vectors ---- */

static void put_rows(struct mf_buf *out, const float *rows, size_t n, size_t apart,
                     size_t dim)
{
    mf_buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        mf_buf_add_str(out, i == 0 ? "" : ",");
        mf_vec_put_json(out, rows + i * apart, dim);
    }
    mf_buf_add_char(out, ']');
}

static void put_vectors(const struct mf_api_embed *e, struct mf_buf *out)
{
    put_rows(out, e->vectors, e->wish.n, e->dim, e->wish.dim);
}

int mf_handle_tei_embed(struct mf_api_req *r)
{
    int rc = mf_api_embed_new(r, mf_embed_in_tei);

    return rc < 0 ? rc : mf_api_embed_vectors(r->embed, put_vectors);
}

static void put_states(const struct mf_api_embed *e, struct mf_buf *out)
{
    mf_buf_add_char(out, '[');
    for (size_t i = 0; i < e->wish.n; i++) {
        mf_buf_add_str(out, i == 0 ? "" : ",");
        put_rows(out, e->looks[i].k.states, e->looks[i].k.n, e->dim, e->dim);
    }
    mf_buf_add_char(out, ']');
}

int mf_handle_tei_embed_all(struct mf_api_req *r)
{
    int rc = mf_api_embed_new(r, mf_embed_in_tei);

    return rc < 0 ? rc : mf_api_embed_looks(r->embed, true, put_states);
}

/* ---- pieces ---- */

/* What the text says there; of what is not in the text, what the model calls it. */
static void put_piece(struct mf_buf *out, struct mf_slice text,
                      const struct mf_piece *p)
{
    mf_buf_addf(out, "{\"id\":%" PRIu32 ",\"text\":", p->id);
    if (p->is_special) {
        mf_json_put_text(out, p->writing);
        MF_JSON_PUT(out, ",\"special\":true,\"start\":null,\"stop\":null}");
        return;
    }
    mf_json_put_text(out, mf_slice_of(text.p + p->start, p->end - p->start));
    mf_buf_addf(out, ",\"special\":false,\"start\":%" PRIu32 ",\"stop\":%" PRIu32 "}",
                p->start, p->end);
}

static void put_pieces(struct mf_buf *out, const struct mf_service_look *k)
{
    mf_buf_add_char(out, '[');
    for (size_t i = 0; i < k->n; i++) {
        mf_buf_add_str(out, i == 0 ? "" : ",");
        put_piece(out, k->text, &k->pieces[i]);
    }
    mf_buf_add_char(out, ']');
}

static void put_tokens(const struct mf_api_embed *e, struct mf_buf *out)
{
    mf_buf_add_char(out, '[');
    for (size_t i = 0; i < e->wish.n; i++) {
        mf_buf_add_str(out, i == 0 ? "" : ",");
        put_pieces(out, &e->looks[i].k);
    }
    mf_buf_add_char(out, ']');
}

int mf_handle_tei_tokenize(struct mf_api_req *r)
{
    int rc = mf_api_embed_new(r, mf_embed_in_tei);

    return rc < 0 ? rc : mf_api_embed_looks(r->embed, false, put_tokens);
}

/* ---- what is here ---- */

int mf_handle_tei_health(struct mf_api_req *r)
{
    mf_api_send(r, 200, MF_SLICE(""), NULL);
    return 0;
}

int mf_handle_tei_info(struct mf_api_req *r)
{
    const struct mf_model_info *m = mf_engine_model(r->api->engine);
    const struct mf_conf *c = r->api->conf;
    struct mf_buf *out = &r->api->out;
    struct mf_engine_device d;

    mf_buf_reset(out);
    MF_JSON_PUT(out, "{\"model_id\":");
    mf_json_put_str(out, m->name);
    MF_JSON_PUT(out, ",\"model_sha\":");
    mf_json_put_str(out, m->revision);
    MF_JSON_PUT(out, ",\"model_dtype\":");
    mf_json_put_str(out, m->dtype);
    MF_JSON_PUT(out, ",\"served_model_name\":");
    mf_json_put_str(out, m->name);
    MF_JSON_PUT(out, ",\"model_type\":{\"embedding\":{\"pooling\":");
    mf_json_put_str(out, m->pooling);
    mf_buf_addf(out,
                "}},\"max_concurrent_requests\":%" PRIu64
                ",\"max_input_length\":%" PRIu32 ",\"max_batch_tokens\":%" PRIu32
                ",\"max_batch_requests\":%" PRIu32 ",\"max_client_batch_size\":%" PRIu64
                ",\"auto_truncate\":",
                c->server_max_connections, mf_embed_max_tokens(m),
                mf_max(m->batch_tokens, mf_embed_max_tokens(m)), m->batch_texts,
                c->embed_max_client_batch);
    mf_json_put_bool(out, c->embed_auto_truncate);
    MF_JSON_PUT(out,
                ",\"tokenization_workers\":1,\"version\":\"" MF_VERSION
                "\",\"sha\":null,\"docker_label\":null,\"memfuse\":{\"precision\":");
    mf_json_put_str(out, m->precision);
    MF_JSON_PUT(out, ",\"kernel\":");
    mf_json_put_str(out, m->kernel);
    mf_buf_addf(out,
                ",\"dimensions\":%u,\"semantic\":%s,\"min_cosine\":%.6f,"
                "\"mean_cosine\":%.6f",
                m->dim, m->is_semantic ? "true" : "false", (double)m->guard_min,
                (double)m->guard_mean);
    mf_engine_device(r->api->engine, &d);
    mf_health_put_device(out, &d);
    MF_JSON_PUT(out, "}}");
    mf_api_send_out(r, 200, NULL);
    return 0;
}
