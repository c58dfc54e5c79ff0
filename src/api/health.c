/* SPDX-License-Identifier: Apache-2.0 */
/* Health: asked for often, by everybody, and answered from what is in memory. */
#include "api/handlers.h"

#include "api/api_priv.h"
#include "api/json_out.h"

#include <inttypes.h>

#ifndef MF_VERSION
#    define MF_VERSION "0"
#endif

/* Of the REST interface, which clients compare with their own. */
#define API_VERSION "0.3.3"

void mf_health_prepare(struct mf_api *a)
{
    const struct mf_model_info *m = mf_engine_model(a->engine);
    const struct mf_conf *c = a->conf;
    struct mf_buf *b = &a->health;

    mf_envelope_begin(b, 200);
    MF_JSON_PUT(b, "{\"version\":\"" API_VERSION "\",\"server\":{\"name\":\"memfuse\","
                   "\"version\":\"" MF_VERSION "\"},\"config\":{\"server\":{"
                   "\"api_key_validation\":");
    mf_json_put_bool(b, c->server_api_key_validation);
    MF_JSON_PUT(b, ",\"strict_upstream\":");
    mf_json_put_bool(b, c->server_strict_upstream);
    MF_JSON_PUT(b, "},\"store\":{\"backend\":");
    mf_json_put_str(b, c->store_backend);
    MF_JSON_PUT(b, "},\"buffer\":{\"enabled\":");
    mf_json_put_bool(b, c->buffer_enabled);
    mf_buf_addf(b,
                ",\"round_buffer\":{\"max_size\":%" PRIu64 ",\"max_tokens\":%" PRIu64
                "},\"hybrid_buffer\":{\"max_size\":%" PRIu64 "}}},",
                c->buffer_round_max_size, c->buffer_round_max_tokens,
                c->buffer_hybrid_max_size);
    MF_JSON_PUT(b, "\"embedding\":{\"model\":");
    mf_json_put_str(b, m->name);
    MF_JSON_PUT(b, ",\"semantic\":");
    mf_json_put_bool(b, m->is_semantic);
    mf_buf_add_char(b, '}');
}

void mf_health_put_store(struct mf_buf *out, const struct mf_engine_figures *f)
{
    MF_JSON_PUT(out, ",\"store\":{\"backend\":");
    mf_json_put_str(out, f->store);
    MF_JSON_PUT(out, ",\"up\":");
    mf_json_put_bool(out, f->store_up);
    if (!f->store_up && f->store_down_us > 0) {
        MF_JSON_PUT(out, ",\"since\":");
        mf_json_put_time(out, f->store_down_us);
        MF_JSON_PUT(out, ",\"reason\":");
        mf_json_put_str(out, f->store_why);
    }
    mf_buf_add_char(out, '}');
}

static void put_npu(struct mf_buf *out, const struct mf_engine_device *d)
{
    MF_JSON_PUT(out, ",\"backend\":");
    mf_json_put_str(out, d->backend);
    MF_JSON_PUT(out, ",\"device\":");
    mf_json_put_str(out, d->name);
    MF_JSON_PUT(out, ",\"state\":");
    mf_json_put_str(out, d->state);
    MF_JSON_PUT(out, ",\"simulated\":");
    mf_json_put_bool(out, d->simulated);
    MF_JSON_PUT(out, ",\"verified\":");
    mf_json_put_bool(out, d->is_verified);
    MF_JSON_PUT(out, ",\"min_rows\":");
    if (d->min_rows < 0) {
        MF_JSON_PUT(out, "null"); /* the CPU is always faster */
    } else {
        mf_buf_addf(out, "%" PRId64, d->min_rows);
    }
    mf_buf_addf(out,
                ",\"measured\":{\"rows\":%" PRIu32 ",\"cpu_us\":%.0f,\"npu_us\":%.0f},"
                "\"cosine\":%.6f,\"max_abs_error\":%.3g,\"agreement\":%.6f",
                d->measured_rows, d->cpu_us, d->npu_us, d->cosine, d->max_abs_err,
                d->agreement);
    mf_buf_addf(out,
                ",\"jobs\":{\"ok\":%" PRIu64 ",\"failed\":%" PRIu64
                "},\"products\":{\"npu\":%" PRIu64 ",\"cpu\":%" PRIu64
                "},\"checks\":%" PRIu64 ",\"reopened\":%" PRIu64,
                d->jobs_ok, d->jobs_failed, d->n_offloaded, d->n_on_cpu, d->n_checks,
                d->n_reopens);
}

void mf_health_put_device(struct mf_buf *out, const struct mf_engine_device *d)
{
    MF_JSON_PUT(out, ",\"device\":{\"name\":");
    mf_json_put_str(out, !d->is_there ? "cpu" : d->simulated ? "simulated npu" : "npu");
    if (d->is_there) {
        put_npu(out, d);
    }
    if (d->why[0] != '\0') {
        MF_JSON_PUT(out, ",\"reason\":");
        mf_json_put_str(out, d->why);
    }
    mf_buf_add_char(out, '}');
}

int mf_handle_health(struct mf_api_req *r)
{
    struct mf_api *a = r->api;
    struct mf_buf *out = &a->out;
    struct mf_engine_device d;
    struct mf_engine_figures f;
    bool is_well;

    mf_engine_figures(a->engine, &f);
    is_well = f.store_up && !f.journal_full;
    mf_buf_reset(out);
    mf_buf_add(out, a->health.p, a->health.n);
    MF_JSON_PUT(out, ",\"status\":");
    mf_json_put_str(out, a->is_draining ? "draining" : is_well ? "ok" : "degraded");
    mf_health_put_store(out, &f);
    mf_engine_device(a->engine, &d);
    mf_health_put_device(out, &d);
    mf_buf_addf(out,
                ",\"buffer\":{\"pending_rounds\":%zu,\"pending_messages\":%zu,"
                "\"pending_bytes\":%zu,\"journal_full\":%s}}",
                f.n_waiting, f.n_messages, f.bytes, f.journal_full ? "true" : "false");
    mf_api_finish(r, 200, "Server is healthy");
    return 0;
}
