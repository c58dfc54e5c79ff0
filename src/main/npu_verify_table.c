/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold of the numbers, and the table. */
#include "main/npu_verify.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mf_verify_init(struct mf_verify *v)
{
    *v = (struct mf_verify){.routed.min_rows = UINT32_MAX};
    mf_buf_init(&v->failures);
}

void mf_verify_fini(struct mf_verify *v)
{
    mf_buf_fini(&v->failures);
    mf_free(v->shapes);
}

/* ---- sentences ---- */

static const struct mf_verify_hidden *hidden_at(const struct mf_verify *v,
                                                const char *s)
{
    const struct mf_verify_hidden *best = NULL;

    for (size_t i = 0; i < MF_VERIFY_HIDDEN; i++) {
        const char *path = v->hidden[i].path;
        bool fits =
            path != NULL && path[0] != '\0' && strncmp(s, path, strlen(path)) == 0;

        if (fits && (best == NULL || strlen(path) > strlen(best->path))) {
            best = &v->hidden[i];
        }
    }
    return best;
}

static void add_hiding(const struct mf_verify *v, struct mf_buf *to, const char *s)
{
    while (*s != '\0') {
        const struct mf_verify_hidden *h = hidden_at(v, s);

        if (h != NULL) {
            mf_buf_add_str(to, h->name);
            s += strlen(h->path);
        } else {
            mf_buf_add(to, *s == '\n' ? " " : s, 1);
            s++;
        }
    }
}

void mf_verify_fail(struct mf_verify *v, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    v->n_failures++;
    mf_buf_add_str(&v->failures, "FAILED       ");
    add_hiding(v, &v->failures, text);
    mf_buf_add_char(&v->failures, '\n');
}

static void judge_shapes(struct mf_verify *v)
{
    size_t n_wrong = 0;

    for (size_t i = 0; i < v->n_shapes; i++) {
        n_wrong += v->shapes[i].was_run && !v->shapes[i].is_good;
    }
    if (n_wrong > 0) {
        mf_verify_fail(v, "the canary: %zu of %zu shapes gave wrong numbers", n_wrong,
                       v->n_shapes);
    }
    if (!v->is_verified) {
        mf_verify_fail(v, "the device's own canary was not right");
    }
}

static void judge_jobs(struct mf_verify *v)
{
    const struct mf_npu_report *r = &v->used;
    uint64_t n_bad = r->stats.jobs_failed + r->stats.jobs_timeout;

    if (r->n_offloaded == 0) {
        mf_verify_fail(v,
                       "nothing of the model ran on the device: the artefacts have no "
                       "program for its layers, or every job failed");
    }
    if (n_bad > 0) {
        mf_verify_fail(v, "%llu jobs failed or were late", (unsigned long long)n_bad);
    }
    if (r->health.state != MF_NPU_READY) {
        mf_verify_fail(v, "the device is %s at the end: %s",
                       r->health.state == MF_NPU_DEGRADED ? "degraded" : "lost",
                       r->health.last.text);
    }
}

void mf_verify_judge(struct mf_verify *v)
{
    if (v->has_artefacts && v->has_device && v->is_emulated && !v->caps.simulated) {
        mf_verify_fail(v,
                       "the artefacts are emulated and the device says it is hardware");
    }
    if (v->has_device) {
        judge_shapes(v);
    }
    if (!v->has_model) {
        return;
    }
    if (v->n_texts_failed > 0) {
        mf_verify_fail(v, "%zu of %zu texts got no vector", v->n_texts_failed,
                       v->n_texts);
    }
    if (!(v->min_cosine >= MF_VERIFY_MIN_COSINE)) { /* NaN is no success */
        mf_verify_fail(v,
                       "the smallest cosine of the model's vectors is %.6f, %.3f is "
                       "the least",
                       v->min_cosine, MF_VERIFY_MIN_COSINE);
    }
    judge_jobs(v);
}

/* ---- the table ---- */

static bool is_simulated(const struct mf_verify *v)
{
    return v->caps.simulated || v->is_emulated;
}

static void print_head(const struct mf_verify *v, struct mf_buf *out)
{
    if (!v->has_device) {
        mf_buf_add_str(out, "memfuse npu verify: no device was opened\n");
    } else if (is_simulated(v)) {
        mf_buf_addf(out,
                    "memfuse npu verify: SIMULATED device (%s): no NPU computed this; "
                    "its speed means nothing\n",
                    v->caps.device);
    } else {
        mf_buf_addf(out, "memfuse npu verify: %s\n", v->caps.device);
    }
    mf_buf_addf(out, "memfuse      " MF_VERSION "\nkernel       Linux %s\n", v->kernel);
    mf_buf_addf(out, "cpu          %s, %u cores\n", v->cpu, v->n_cores);
    if (v->has_device) {
        mf_buf_addf(
            out,
            "device       %s, backend %s, runtime %s, driver %s, rows at most %u, "
            "queue %u\n",
            v->caps.device, v->caps.backend, v->caps.runtime, v->caps.driver,
            v->caps.m_max, v->caps.queue_depth);
    }
    if (v->has_artefacts) {
        mf_buf_addf(out, "artefacts    %s%s, kernel %s, weights %s, %zu shapes\n",
                    v->generation, v->is_emulated ? " (emulated)" : "",
                    v->compute_kernel, v->is_tiled ? "tiled-8x8" : "plain",
                    v->n_shapes);
    }
}

static void print_shapes(const struct mf_verify *v, struct mf_buf *out)
{
    mf_buf_addf(out, "\ncanary       %6s %6s %6s  %-8s  %-10s %s\n", "m", "k", "n",
                "epilogue", "cosine", "max error");
    for (size_t i = 0; i < v->n_shapes; i++) {
        const struct mf_verify_shape *s = &v->shapes[i];

        if (!s->was_run) {
            continue;
        }
        mf_buf_addf(out, "             %6u %6u %6u  %-8s  %-10.7f %-10.3g %s\n",
                    s->gemm.m, s->gemm.k, s->gemm.n,
                    s->gemm.epi == MF_NPU_EPI_GELU ? "gelu" : "none", s->cosine,
                    s->max_abs_err, s->is_good ? "ok" : "WRONG");
    }
}

static void print_speed(const struct mf_verify *v, struct mf_buf *out)
{
    mf_buf_addf(out, "\nthroughput   %6s %9s %12s %12s %9s\n", "texts", "rows",
                "CPU texts/s", "dev texts/s", "dev/CPU");
    for (size_t i = 0; i < MF_VERIFY_SPEEDS; i++) {
        const struct mf_verify_speed *s = &v->speed[i];
        double n = (double)(s->n_texts * s->n_rounds);

        if (s->n_rounds == 0 || s->cpu_s <= 0 || s->device_s <= 0) {
            continue;
        }
        mf_buf_addf(out, "             %6zu %9.1f %12.1f %12.1f %9.3f\n", s->n_texts,
                    (double)s->n_rows / (double)s->n_rounds, n / s->cpu_s,
                    n / s->device_s, s->cpu_s / s->device_s);
    }
    if (v->routed.min_rows == UINT32_MAX) {
        mf_buf_add_str(out, "break-even   none: the CPU is always faster");
    } else {
        mf_buf_addf(out, "break-even   %u rows", v->routed.min_rows);
    }
    mf_buf_addf(out, " (a batch of %u rows: CPU %.0f us, device %.0f us)\n",
                v->routed.measured_rows, v->routed.cpu_us, v->routed.npu_us);
}

static void print_jobs(const struct mf_npu_report *r, struct mf_buf *out)
{
    const struct mf_npu_stats *s = &r->stats;

    mf_buf_addf(
        out,
        "jobs         %llu ok, %llu failed, %llu late, %llu canceled; products: "
        "%llu on the device, %llu on the CPU\n",
        (unsigned long long)s->jobs_ok, (unsigned long long)s->jobs_failed,
        (unsigned long long)s->jobs_timeout, (unsigned long long)s->jobs_canceled,
        (unsigned long long)r->n_offloaded, (unsigned long long)r->n_on_cpu);
    for (size_t i = 0; i < mf_countof(s->latency); i++) {
        if (s->latency[i] > 0) {
            mf_buf_addf(out, "latency      %8llu .. %8llu us  %10llu jobs\n", 1ull << i,
                        2ull << i, (unsigned long long)s->latency[i]);
        }
    }
}

void mf_verify_print(const struct mf_verify *v, struct mf_buf *out)
{
    print_head(v, out);
    if (v->has_device) {
        print_shapes(v, out);
    }
    if (v->has_model) {
        mf_buf_addf(out, "\nmodel        %s; the CPU computes it in %s (%s)\n",
                    v->model, v->precision, v->linear);
        mf_buf_addf(
            out,
            "cosine       against f32, %zu texts: device min %.6f mean %.6f; CPU "
            "min %.6f; device against CPU %.6f\n",
            v->n_texts, v->min_cosine, v->mean_cosine, v->cpu_min_cosine,
            v->routed.agreement);
        print_speed(v, out);
        print_jobs(&v->used, out);
    }
    mf_buf_add_char(out, '\n');
    if (v->n_failures == 0) {
        mf_buf_addf(out, "verdict      ok%s\n",
                    is_simulated(v) ? ", of a SIMULATED device" : "");
    } else {
        mf_buf_add(out, v->failures.p, v->failures.n);
    }
}
