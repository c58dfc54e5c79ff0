/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI's embeddings and models. Its clients ask for base64 unless told otherwise. */
#include "api/handlers.h"

#include "api/api_priv.h"
#include "api/json_out.h"
#include "api/vec_out.h"
#include "base/wallclock.h"

#include <inttypes.h>

#define US_PER_S 1000000

static void put_row(const struct mf_api_embed *e, size_t i, struct mf_buf *out)
{
    const float *row = e->vectors + i * e->dim;

    mf_buf_add_str(out, i == 0 ? "" : ",");
    MF_JSON_PUT(out, "{\"object\":\"embedding\",\"index\":");
    mf_buf_add_u64(out, i);
    MF_JSON_PUT(out, ",\"embedding\":");
    if (e->wish.base64) {
        mf_buf_add_char(out, '"');
        mf_vec_put_base64(out, row, e->wish.dim);
        mf_buf_add_char(out, '"');
    } else {
        mf_vec_put_json(out, row, e->wish.dim);
    }
    mf_buf_add_char(out, '}');
}

static void put_embeddings(const struct mf_api_embed *e, struct mf_buf *out)
{
    MF_JSON_PUT(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < e->wish.n; i++) {
        put_row(e, i, out);
    }
    MF_JSON_PUT(out, "],\"model\":");
    mf_json_put_text(out, e->model);
    mf_buf_addf(
        out, ",\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"total_tokens\":%" PRIu64 "}}",
        e->n_all_tokens, e->n_all_tokens);
}

int mf_handle_openai_embeddings(struct mf_api_req *r)
{
    int rc = mf_api_embed_new(r, mf_embed_in_openai);

    return rc < 0 ? rc : mf_api_embed_vectors(r->embed, put_embeddings);
}

/* ---- models ---- */

MF_LOOP static void put_model(const struct mf_api *a, struct mf_buf *out)
{
    MF_JSON_PUT(out, "{\"id\":");
    mf_json_put_str(out, mf_engine_model(a->engine)->name);
    mf_buf_addf(
        out, ",\"object\":\"model\",\"created\":%" PRId64 ",\"owned_by\":\"memfuse\"}",
        a->opened_us / US_PER_S);
}

int mf_handle_openai_models(struct mf_api_req *r)
{
    struct mf_buf *out = &r->api->out;

    mf_buf_reset(out);
    MF_JSON_PUT(out, "{\"object\":\"list\",\"data\":[");
    put_model(r->api, out);
    MF_JSON_PUT(out, "]}");
    mf_api_send_out(r, 200, NULL);
    return 0;
}

int mf_handle_openai_model(struct mf_api_req *r)
{
    const char *name = mf_engine_model(r->api->engine)->name;

    if (!mf_slice_is(r->ids[0], name)) {
        r->u.call.field = "model";
        return mf_err_set(&r->u.call.err, MF_ENOTFOUND,
                          "There is no such model here; there is '%s'", name);
    }
    mf_buf_reset(&r->api->out);
    put_model(r->api, &r->api->out);
    mf_api_send_out(r, 200, NULL);
    return 0;
}
