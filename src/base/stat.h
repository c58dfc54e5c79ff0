/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat: counters, gauges and histograms, declared once in one table.
 *
 * Owns:    the process's figures (relaxed atomics, one static array)
 * Thread:  any
 * Limits:  histograms have 40 buckets of powers of two, unit microseconds
 * Fails:   never
 */
#ifndef MF_STAT_H
#define MF_STAT_H

#include "base/base.h"

/* name, kind (counter, gauge, histogram), what it counts */
#define MF_STAT_TABLE(X)                                                               \
    X(http_connections, GAUGE, "open connections")                                     \
    X(http_requests, COUNTER, "requests parsed")                                       \
    X(http_rejected, COUNTER, "requests refused by a limit or the guard")              \
    X(messages_added, COUNTER, "messages acknowledged")                                \
    X(messages_pending, GAUGE, "acknowledged messages not yet in the store")           \
    X(bytes_pending, GAUGE, "bytes of acknowledged rounds not yet in the store")       \
    X(journal_commits, COUNTER, "group commits")                                       \
    X(journal_rounds, COUNTER, "rounds committed")                                     \
    X(journal_commit_us, HISTOGRAM, "time of one group commit")                        \
    X(journal_full, COUNTER, "rounds refused since the disk was full")                 \
    X(embed_texts, COUNTER, "texts embedded")                                          \
    X(embed_failed, COUNTER, "texts whose embedding failed")                           \
    X(embed_retries, COUNTER, "embedding jobs tried again")                            \
    X(embed_backlog, GAUGE, "texts waiting for a vector")                              \
    X(embed_us, HISTOGRAM, "time of one embedding job")                                \
    X(flush_batches, COUNTER, "batches committed by the store")                        \
    X(flush_rounds, COUNTER, "rounds committed by the store")                          \
    X(flush_retries, COUNTER, "batches tried again")                                   \
    X(flush_late_vectors, COUNTER, "messages stored without a vector")                 \
    X(flush_parked, COUNTER, "poison rounds moved to the dead letters")                \
    X(flush_us, HISTOGRAM, "time of one batch in the store")                           \
    X(flush_queue, GAUGE, "jobs in the flush queue")                                   \
    X(queries, COUNTER, "queries answered")                                            \
    X(queries_partial, COUNTER, "queries answered without the store")                  \
    X(query_us, HISTOGRAM, "time of one query")                                        \
    X(shelf_bytes, GAUGE, "bytes of resident search records")                          \
    X(shelf_loads, COUNTER, "shelves loaded from the store")                           \
    X(shelf_evictions, COUNTER, "shelves dropped under the byte bound")                \
    X(shelf_streams, COUNTER, "queries streamed over a user too large to be resident") \
    X(loop_stalls, COUNTER, "callbacks that held the loop too long")

enum mf_stat {

#define X(name, kind, doc) MF_STAT_##name,
    MF_STAT_TABLE(X)
#undef X
        MF_STAT_COUNT
};

enum mf_stat_kind { MF_STAT_KIND_COUNTER, MF_STAT_KIND_GAUGE, MF_STAT_KIND_HISTOGRAM };

struct mf_stat_histogram {
    uint64_t count, sum;
    uint64_t buckets[40]; /* bucket i: values < 2^i not counted before */
};

MF_ANY void mf_stat_add(enum mf_stat s, int64_t delta); /* counter, gauge */
MF_ANY void mf_stat_set(enum mf_stat s, int64_t value); /* gauge */
MF_ANY int64_t mf_stat_get(enum mf_stat s);
MF_ANY void mf_stat_observe(enum mf_stat s, uint64_t value); /* histogram */
MF_ANY void mf_stat_read_histogram(enum mf_stat s, struct mf_stat_histogram *out);
/* The bound 2^i that the quantile `q` (0..1) is below; 0 when nothing was observed. */
MF_ANY uint64_t mf_stat_quantile(const struct mf_stat_histogram *h, double q);
MF_ANY const char *mf_stat_name(enum mf_stat s);
MF_ANY const char *mf_stat_doc(enum mf_stat s);
MF_ANY enum mf_stat_kind mf_stat_kind(enum mf_stat s);

#endif
