/* SPDX-License-Identifier: Apache-2.0 */
/* What is on its way to the store: figures, and a hurry. Ours, not upstream's. */
#include "api/handlers.h"

#include "api/api_priv.h"
#include "api/json_out.h"
#include "base/stat.h"

#include <inttypes.h>

static void put_stat(struct mf_buf *out, enum mf_stat s)
{
    struct mf_stat_histogram h;

    mf_json_put_str(out, mf_stat_name(s));
    if (mf_stat_kind(s) != MF_STAT_KIND_HISTOGRAM) {
        mf_buf_addf(out, ":%" PRId64, mf_stat_get(s));
        return;
    }
    mf_stat_read_histogram(s, &h);
    mf_buf_addf(out,
                ":{\"count\":%" PRIu64 ",\"sum\":%" PRIu64 ",\"p50_below\":%" PRIu64
                ",\"p99_below\":%" PRIu64 "}",
                h.count, h.sum, mf_stat_quantile(&h, 0.5), mf_stat_quantile(&h, 0.99));
}

static void put_flags(struct mf_buf *out, const struct mf_engine_figures *f)
{
    mf_buf_addf(out, ",\"journal\":{\"bytes\":%" PRIu64 ",\"full\":%s}",
                f->journal_bytes, f->journal_full ? "true" : "false");
    mf_health_put_store(out, f);
    mf_buf_addf(out, ",\"embed\":{\"backlog\":%zu,\"up\":%s}", f->embed_backlog,
                f->embed_up ? "true" : "false");
    mf_buf_addf(out, ",\"shelves\":{\"count\":%zu,\"bytes\":%zu},\"is_draining\":%s",
                f->n_shelves, f->shelf_bytes, f->is_draining ? "true" : "false");
}

int mf_handle_buffer_stats(struct mf_api_req *r)
{
    struct mf_buf *out = mf_api_begin(r, 200);
    struct mf_engine_figures f;

    mf_engine_figures(r->api->engine, &f);
    mf_buf_addf(out,
                "{\"write_buffer\":{\"rounds\":%zu},\"hybrid_buffer\":{\"rounds\":%zu},"
                "\"flush\":{\"queued\":%zu,\"flying\":%zu,\"parked\":%zu,\"jobs\":%zu},"
                "\"pending\":{\"messages\":%zu,\"bytes\":%zu,\"max_bytes\":%zu}",
                f.n_write, f.n_hybrid, f.n_queued, f.n_flying, f.n_parked, f.flush_jobs,
                f.n_messages, f.bytes, f.max_bytes);
    put_flags(out, &f);
    MF_JSON_PUT(out, ",\"counters\":{");
    for (unsigned s = 0; s < MF_STAT_COUNT; s++) {
        mf_buf_add_str(out, s == 0 ? "" : ",");
        put_stat(out, (enum mf_stat)s);
    }
    MF_JSON_PUT(out, "}}");
    mf_api_finish(r, 200, "Buffer statistics retrieved successfully");
    return 0;
}

MF_LOOP static void format_flushed(struct mf_api_req *r)
{
    struct mf_buf *out = mf_api_begin(r, 200);
    struct mf_engine_figures f;

    mf_engine_figures(r->api->engine, &f);
    mf_buf_addf(out, "{\"flushed\":true,\"pending_messages\":%zu,\"parked\":%zu}",
                f.n_messages, f.n_parked);
    mf_api_finish(r, 200, "Buffers flushed successfully");
}

int mf_handle_buffer_flush(struct mf_api_req *r)
{
    mf_api_call(r, format_flushed);
    return mf_engine_flush(r->api->engine, &r->u.call);
}

MF_LOOP static void format_requeued(struct mf_api_req *r)
{
    struct mf_buf *out = mf_api_begin(r, 200);

    mf_buf_addf(out, "{\"requeued\":%zu}", r->n_requeued);
    mf_api_finish(r, 200, "Dead letters requeued successfully");
}

int mf_handle_buffer_requeue(struct mf_api_req *r)
{
    mf_api_call(r, format_requeued);
    return mf_engine_requeue(r->api->engine, &r->u.call, &r->n_requeued);
}
