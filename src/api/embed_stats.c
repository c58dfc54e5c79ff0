/* SPDX-License-Identifier: Apache-2.0 */
/* The embedding of others' texts: figures, and an empty cache. Ours, not upstream's. */
#include "api/handlers.h"

#include "api/api_priv.h"
#include "api/json_out.h"
#include "embed/service.h"

#include <inttypes.h>

MF_LOOP static int put_stats(struct mf_api_req *r, const char *message)
{
    const struct mf_service *service = mf_engine_service(r->api->engine);
    const struct mf_conf *c = r->api->conf;
    struct mf_service_stats s;
    struct mf_buf *out;

    if (service == NULL) {
        return MF_ECLOSED;
    }
    mf_service_stats(service, &s);
    out = mf_api_begin(r, 200);
    MF_JSON_PUT(out, "{\"model\":");
    mf_json_put_str(out, mf_service_info(service)->name);
    mf_buf_addf(out,
                ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64 ",\"joined\":%" PRIu64
                ",\"in_flight\":%zu,\"requests\":%zu",
                s.hits, s.misses, s.joined, s.in_flight,
                mf_service_n_requests(service));
    mf_buf_addf(out,
                ",\"cache\":{\"vectors\":%zu,\"bytes\":%zu,\"max_bytes\":%" PRIu64
                ",\"evicted\":%" PRIu64 ",\"expired\":%" PRIu64 "}}",
                s.cached, s.cached_bytes, c->embed_cache_bytes, s.evicted, s.expired);
    mf_api_finish(r, 200, message);
    return 0;
}

int mf_handle_embed_stats(struct mf_api_req *r)
{
    return put_stats(r, "Embedding statistics retrieved successfully");
}

int mf_handle_embed_reset(struct mf_api_req *r)
{
    struct mf_service *service = mf_engine_service(r->api->engine);

    if (service == NULL) {
        return MF_ECLOSED;
    }
    mf_service_reset_stats(service);
    return put_stats(r, "Embedding statistics reset successfully");
}

int mf_handle_embed_clear(struct mf_api_req *r)
{
    struct mf_service *service = mf_engine_service(r->api->engine);

    if (service == NULL) {
        return MF_ECLOSED;
    }
    mf_service_clear(service);
    return put_stats(r, "Embedding cache cleared successfully");
}
