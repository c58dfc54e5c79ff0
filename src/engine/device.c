/* SPDX-License-Identifier: Apache-2.0 */
/* What others are told about the device. */
#include "engine/engine_priv.h"

#include <stdio.h>
#include <string.h>

static const char *state_name(enum mf_npu_state s)
{
    switch (s) {
    case MF_NPU_PROBING: return "probing";
    case MF_NPU_READY: return "ready";
    case MF_NPU_DEGRADED: return "degraded";
    case MF_NPU_LOST: return "lost";
    case MF_NPU_CLOSED:
    default: return "closed";
    }
}

/* Everybody may read this: no path in it. The log has the whole sentence. */
static const char *reason(int code, const char *text)
{
    switch (code) {
    case 0: return "";
    case MF_ECORRUPT:
    case MF_ETIMEOUT:
    case MF_EBACKEND: return text[0] != '\0' ? text : mf_code_sentence(code);
    case MF_EUNAVAILABLE: return "the device is away";
    case MF_ENOTFOUND: return "no device, or no artefacts; the log tells more";
    case MF_EUNPROCESSABLE: return "no program for this model; the log tells more";
    default: return "it could not be opened; the log tells more";
    }
}

static void tell(struct mf_engine_device *out, const struct mf_npu_report *r)
{
    const struct mf_npu_stats *s = &r->stats;

    out->is_there = true;
    (void)snprintf(out->backend, sizeof(out->backend), "%s", r->caps.backend);
    (void)snprintf(out->name, sizeof(out->name), "%s", r->caps.device);
    (void)snprintf(out->why, sizeof(out->why), "%s",
                   reason(r->health.last.code, r->health.last.text));
    out->state = state_name(r->health.state);
    out->simulated = r->caps.simulated;
    out->is_verified = r->caps.verified;
    out->min_rows = r->min_rows == UINT32_MAX ? -1 : (int64_t)r->min_rows;
    out->cpu_us = r->cpu_us;
    out->npu_us = r->npu_us;
    out->measured_rows = r->measured_rows;
    out->cosine = r->health.last_cosine;
    out->max_abs_err = r->health.max_abs_err;
    out->agreement = r->agreement;
    out->jobs_ok = s->jobs_ok;
    out->jobs_failed = s->jobs_failed + s->jobs_timeout;
    out->n_offloaded = r->n_offloaded;
    out->n_on_cpu = r->n_on_cpu;
    out->n_checks = s->verify_runs;
    out->n_reopens = s->reopens;
}

void mf_engine_device(const struct mf_engine *e, struct mf_engine_device *out)
{
    struct mf_npu_report r;

    *out = (struct mf_engine_device){.state = "closed"};
    if (e->npu != NULL) {
        mf_npu_offload_report(e->npu, &r);
        tell(out, &r);
    } else {
        (void)snprintf(out->why, sizeof(out->why), "%s", reason(e->npu_code, ""));
    }
}
