/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stat.h"

#include <stdatomic.h>

#define N_BUCKETS 40

struct info {
    const char *name;
    enum mf_stat_kind kind;
    const char *doc;
};

static const struct info infos[MF_STAT_COUNT] = {
#define X(name, kind, doc) {#name, MF_STAT_KIND_##kind, doc},
    MF_STAT_TABLE(X)
#undef X
};

/* Relaxed: each figure is right by itself, figures are not in step with each other. */
static struct {
    _Atomic int64_t value;
    _Atomic uint64_t sum, buckets[N_BUCKETS];
} figures[MF_STAT_COUNT];

_Static_assert(mf_countof(((struct mf_stat_histogram *)0)->buckets) == N_BUCKETS,
               "the header's histogram has our buckets");

static const struct info *info_of(enum mf_stat s)
{
    MF_ASSERT((unsigned)s < MF_STAT_COUNT);
    return &infos[s];
}

void mf_stat_add(enum mf_stat s, int64_t delta)
{
    MF_DEBUG_ASSERT(info_of(s)->kind != MF_STAT_KIND_HISTOGRAM);
    atomic_fetch_add_explicit(&figures[s].value, delta, memory_order_relaxed);
}

void mf_stat_set(enum mf_stat s, int64_t value)
{
    MF_DEBUG_ASSERT(info_of(s)->kind == MF_STAT_KIND_GAUGE);
    atomic_store_explicit(&figures[s].value, value, memory_order_relaxed);
}

int64_t mf_stat_get(enum mf_stat s)
{
    MF_DEBUG_ASSERT(info_of(s)->kind != MF_STAT_KIND_HISTOGRAM);
    return atomic_load_explicit(&figures[s].value, memory_order_relaxed);
}

static size_t bucket_of(uint64_t value)
{
    size_t bits = value == 0 ? 0 : (size_t)(64 - __builtin_clzll(value));

    return mf_min(bits, (size_t)N_BUCKETS - 1);
}

void mf_stat_observe(enum mf_stat s, uint64_t value)
{
    MF_DEBUG_ASSERT(info_of(s)->kind == MF_STAT_KIND_HISTOGRAM);
    atomic_fetch_add_explicit(&figures[s].buckets[bucket_of(value)], 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&figures[s].sum, value, memory_order_relaxed);
}

/* The count is that of the buckets read, so that quantiles always find their bucket. */
void mf_stat_read_histogram(enum mf_stat s, struct mf_stat_histogram *out)
{
    MF_DEBUG_ASSERT(info_of(s)->kind == MF_STAT_KIND_HISTOGRAM);
    out->count = 0;
    out->sum = atomic_load_explicit(&figures[s].sum, memory_order_relaxed);
    for (size_t i = 0; i < N_BUCKETS; i++) {
        out->buckets[i] =
            atomic_load_explicit(&figures[s].buckets[i], memory_order_relaxed);
        out->count += out->buckets[i];
    }
}

uint64_t mf_stat_quantile(const struct mf_stat_histogram *h, double q)
{
    double rank = q * (double)h->count;
    uint64_t seen = 0;

    if (h->count == 0) {
        return 0;
    }
    for (size_t i = 0; i < N_BUCKETS; i++) {
        seen += h->buckets[i];
        if (h->buckets[i] > 0 && (double)seen >= rank) {
            return UINT64_C(1) << i;
        }
    }
    return UINT64_C(1) << (N_BUCKETS - 1);
}

const char *mf_stat_name(enum mf_stat s)
{
    return info_of(s)->name;
}

const char *mf_stat_doc(enum mf_stat s)
{
    return info_of(s)->doc;
}

enum mf_stat_kind mf_stat_kind(enum mf_stat s)
{
    return info_of(s)->kind;
}
