/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one key table: it feeds the struct, YAML, MEMFUSE__SECTION__KEY, --set,
 * check-config, print-config and docs/config.md. A key that nothing outside conf/ reads
 * fails the build (tools/check_conf_readers.py).
 *
 * MF_CONF_KEYS(X): X(TYPE, field, "section.key", default, min, max, "doc")
 *   STR   text, one line of UTF-8; min, max: bytes
 *   DSN   a STR which may hold a password: that is never shown
 *   ENUM  text; `min` is the list of words "a|b|c", max unused
 *   BOOL  true | false
 *   UINT  whole number
 *   SIZE  bytes: number, or with KiB, MiB, GiB (KB, MB, GB mean the same)
 *   TIME  seconds: number (fractions allowed), or with ms, s, m, h, d; kept in ms: min,
 *         max and default here are in ms
 *   REAL  number
 * Fields of TIME end in _ms, of SIZE in _bytes.
 */
#ifndef MF_CONF_KEYS_H
#define MF_CONF_KEYS_H

#define MF_KIB 1024ull
#define MF_MIB (1024ull * MF_KIB)
#define MF_GIB (1024ull * MF_MIB)

/* clang-format off */
#define MF_CONF_KEYS(X)                                                                                          \
  X(STR,  server_host, "server.host", "127.0.0.1", 1, 255,                                                        \
    "address to listen on; `unix:/path` for a Unix socket; other than loopback needs server.api_key_validation")  \
  X(UINT, server_port, "server.port", 8765, 0, 65535, "TCP port; 0 takes a free one and logs it")                  \
  X(UINT, server_backlog, "server.backlog", 1024, 1, 65535, "connections the kernel keeps waiting")                \
  X(UINT, server_max_connections, "server.max_connections", 4096, 1, 100000,                                       \
    "open connections; beyond it a new one gets 503 with Retry-After")                                             \
  X(SIZE, server_max_body_bytes, "server.max_body_bytes", 8 * MF_MIB, 1024, 1 * MF_GIB, "largest request body; 413") \
  X(SIZE, server_max_url_bytes, "server.max_url_bytes", 8 * MF_KIB, 256, 64 * MF_KIB, "longest request target; 414") \
  X(SIZE, server_max_header_bytes, "server.max_header_bytes", 16 * MF_KIB, 1024, 64 * MF_KIB, "all headers together; 431") \
  X(UINT, server_max_headers, "server.max_headers", 100, 8, 1000, "headers of a request; 431")                     \
  X(UINT, server_max_pipelined, "server.max_pipelined", 16, 1, 1024,                                               \
    "requests of one connection under way; beyond it reading pauses")                                              \
  X(SIZE, server_max_output_bytes, "server.max_output_bytes", 4 * MF_MIB, 64 * MF_KIB, 1 * MF_GIB,                 \
    "unsent answers of one connection; beyond it reading pauses")                                                  \
  X(SIZE, server_max_buffered_bytes, "server.max_buffered_bytes", 256 * MF_MIB, 1 * MF_MIB, 64 * MF_GIB,           \
    "request bodies of all connections together; 503 with Retry-After")                                            \
  X(TIME, server_header_timeout_ms, "server.header_timeout", 10000, 10, 3600000, "for all headers of a request; 408") \
  X(TIME, server_body_timeout_ms, "server.body_timeout", 30000, 10, 3600000, "for the whole body; 408")            \
  X(TIME, server_idle_timeout_ms, "server.idle_timeout", 60000, 10, 86400000, "between requests of a connection")  \
  X(TIME, server_write_timeout_ms, "server.write_timeout", 30000, 10, 3600000, "a client that reads nothing is closed") \
  X(BOOL, server_api_key_validation, "server.api_key_validation", false, 0, 0,                                     \
    "ask every request (health apart) for an API key")                                                             \
  X(STR,  server_api_key_header, "server.api_key_header", "Authorization", 1, 64, "header that carries `Bearer KEY`") \
  X(STR,  server_admin_key_file, "server.admin_key_file", "", 0, 4096,                                             \
    "file with the administrator's key (mode 0600); needed to make the first user keys")                           \
  X(UINT, server_delete_user_status, "server.delete_user_status", 204, 200, 204,                                   \
    "204: empty answer to DELETE of a user (upstream's tests); 200: with the envelope (the sync SDK parses it)")    \
  X(BOOL, server_strict_upstream, "server.strict_upstream", false, 0, 0,                                           \
    "buffer_only=false lists the write buffer too, as the Python server does (the SDK then doubles its history)")   \
  X(BOOL, server_lenient_messages, "server.lenient_messages", false, 0, 0,                                         \
    "accept the roles tool and developer, and content given as a list of text parts")                              \
  X(STR,  data_dir, "data.dir", "./data", 1, 4096, "folder of the journal and of the embedded store")              \
  X(ENUM, store_backend, "store.backend", "sqlite", "sqlite|postgres", 0, "where messages end up")                 \
  X(UINT, store_sqlite_readers, "store.sqlite.readers", 2, 1, 8, "read-only connections")                          \
  X(SIZE, store_sqlite_cache_bytes, "store.sqlite.cache", 16 * MF_MIB, 64 * MF_KIB, 4 * MF_GIB, "page cache of a connection") \
  X(DSN,  store_postgres_dsn, "store.postgres.dsn", "", 0, 4096,                                                   \
    "libpq's URI (postgresql://user@host/database) or keywords (host=.. dbname=..); several hosts are tried in turn") \
  X(STR,  store_postgres_password_file, "store.postgres.password_file", "", 0, 4096,                               \
    "file with the password in its first line, for its owner only (mode 0600); better than one in the dsn")        \
  X(ENUM, store_postgres_vector, "store.postgres.vector", "auto", "auto|off", 0,                                   \
    "`auto`: vectors are also written to a column of pgvector's type, for people who ask in SQL, where the extension is") \
  X(ENUM, store_postgres_distribute, "store.postgres.distribute", "none", "none|citus", 0,                         \
    "`citus`: new tables are distributed by user over the workers of a Citus cluster")                             \
  X(UINT, store_postgres_readers, "store.postgres.readers", 3, 1, 32, "connections that read")                     \
  X(UINT, store_postgres_writers, "store.postgres.writers", 1, 1, 16,                                              \
    "connections that write; with more than one, batches may be stored out of their order")                        \
  X(TIME, store_postgres_connect_timeout_ms, "store.postgres.connect_timeout", 5000, 10, 600000, "of one attempt to connect") \
  X(TIME, store_postgres_statement_timeout_ms, "store.postgres.statement_timeout", 30000, 10, 3600000,             \
    "the server gives a statement up after so long; 5 s later it is canceled and the connection closed")           \
  X(TIME, store_postgres_lock_timeout_ms, "store.postgres.lock_timeout", 10000, 10, 3600000, "a statement waits so long for a lock") \
  X(TIME, store_postgres_idle_timeout_ms, "store.postgres.idle_timeout", 60000, 10, 86400000, "a connection nobody used for so long is closed") \
  X(TIME, store_postgres_max_age_ms, "store.postgres.max_age", 300000, 10, 86400000,                               \
    "a connection is closed when so old (less up to a tenth) and free, so that a new server is found")             \
  X(TIME, store_postgres_max_backoff_ms, "store.postgres.max_backoff", 30000, 1, 3600000,                          \
    "longest pause between attempts to reach a database that is away")                                             \
  X(UINT, store_postgres_node, "store.postgres.node", 0, 0, 1023,                                                  \
    "number of this process, different for each on one database; 0: drawn from the host's name and data.dir")      \
  X(UINT, store_max_waiting, "store.max_waiting", 10000, 16, 1000000, "requests to the store in line; 503 beyond") \
  X(BOOL, store_shared, "store.shared", false, 0, 0,                                                               \
    "other processes write to the same database: queries look for what they wrote; needs store.backend postgres")  \
  X(BOOL, buffer_enabled, "buffer.enabled", true, 0, 0,                                                            \
    "false: no write buffer; a message is handed to the store as soon as it is acknowledged")                      \
  X(UINT, buffer_round_max_size, "buffer.round_buffer.max_size", 5, 1, 10000, "rounds a user's write buffer keeps") \
  X(UINT, buffer_round_max_tokens, "buffer.round_buffer.max_tokens", 800, 1, 1000000, "tokens a user's write buffer keeps") \
  X(UINT, buffer_hybrid_max_size, "buffer.hybrid_buffer.max_size", 5, 1, 10000, "rounds of a user that make a flush") \
  X(TIME, buffer_flush_interval_ms, "buffer.performance.flush_interval", 60000, 10, 86400000,                      \
    "rounds handed over wait at most so long for the flush")                                                       \
  X(TIME, buffer_force_flush_timeout_ms, "buffer.performance.force_flush_timeout", 1800000, 10, 604800000,         \
    "a user silent for so long has the write buffer handed over and flushed")                                      \
  X(UINT, buffer_max_flush_workers, "buffer.performance.max_flush_workers", 3, 1, 16, "batches under way to the store") \
  X(UINT, buffer_max_flush_queue_size, "buffer.performance.max_flush_queue_size", 10000, 1, 1000000, "flush jobs in line") \
  X(TIME, buffer_flush_timeout_ms, "buffer.performance.flush_timeout", 30000, 100, 3600000,                        \
    "how long an update or delete waits for the flush of what it changes; 503")                                    \
  X(SIZE, buffer_max_bytes, "buffer.max_bytes", 512 * MF_MIB, 1 * MF_MIB, 64 * MF_GIB,                             \
    "acknowledged rounds and their search records not yet in the store; 503 with Retry-After")                     \
  X(UINT, flush_priority_levels, "flush.priority_levels", 5, 3, 5, "5, or 3 (critical+high, normal, low+background)") \
  X(TIME, flush_ageing_ms, "flush.ageing", 10000, 10, 3600000, "a job in line rises one level after so long")      \
  X(UINT, flush_batch_rows, "flush.batch_rows", 1000, 1, 100000, "messages of one store transaction")              \
  X(SIZE, flush_batch_bytes, "flush.batch_bytes", 4 * MF_MIB, 4 * MF_KIB, 1 * MF_GIB, "bytes of one store transaction") \
  X(TIME, flush_batch_age_ms, "flush.batch_age", 200, 0, 60000, "a batch that is not full goes after so long")     \
  X(TIME, flush_vector_wait_ms, "flush.vector_wait", 10000, 0, 3600000,                                            \
    "a message waits so long for its vector before it is stored without (and embedded later)")                     \
  X(TIME, flush_retry_first_ms, "flush.retry_first", 2000, 1, 600000, "first pause after the store failed")        \
  X(TIME, flush_retry_max_ms, "flush.retry_max", 30000, 1, 3600000, "longest pause")                               \
  X(UINT, flush_breaker_after, "flush.breaker_after", 5, 0, 1000, "failures in a row before only probes go; 0: never") \
  X(SIZE, journal_max_bytes, "journal.max_bytes", 4 * MF_GIB, 1 * MF_MIB, 1024 * MF_GIB,                           \
    "rounds in the journal that the store has not confirmed; 503 with Retry-After")                                \
  X(SIZE, journal_min_free_bytes, "journal.min_free", 64 * MF_MIB, 0, 1024 * MF_GIB,                               \
    "free disk space below which messages are refused with 507")                                                   \
  X(UINT, journal_max_commit_rounds, "journal.max_commit_rounds", 4096, 1, 1000000, "rounds of one group commit")  \
  X(SIZE, journal_max_commit_bytes, "journal.max_commit_bytes", 16 * MF_MIB, 4 * MF_KIB, 1 * MF_GIB, "bytes of one group commit") \
  X(UINT, journal_checkpoint_pages, "journal.checkpoint_pages", 4096, 100, 1000000, "WAL pages (8 KiB) before a checkpoint step") \
  X(BOOL, journal_accept_loss, "journal.accept_loss", false, 0, 0,                                                 \
    "start although records of the journal are damaged (they are saved aside)")                                    \
  X(BOOL, embed_auto_truncate, "embed.auto_truncate", false, 0, 0,                                                 \
    "texts longer than the model reads are cut, when a request for vectors does not say; false: refused")          \
  X(BOOL, embed_npu_simulated, "embed.npu.simulated", false, 0, 0,                                                 \
    "for tests and trials: the CPU plays the NPU, slowly; never reported as hardware")                             \
  X(STR,  embed_npu_dir, "embed.npu.dir", "", 0, 4096,                                                             \
    "folder of the NPU's artefacts with their manifest.json (`memfuse npu manifest`)")                             \
  X(STR,  embed_npu_module, "embed.npu.module", "", 0, 4096,                                                       \
    "folder of the modules npu-xrt-*.so; empty: where they were installed")                                        \
  X(UINT, embed_npu_min_rows, "embed.npu.min_rows", 0, 0, 1000000,                                                 \
    "batches of fewer tokens stay on the CPU; 0: measured at the start")                                           \
  X(TIME, embed_npu_max_backoff_ms, "embed.npu.max_backoff", 30000, 1, 3600000,                                      \
    "longest pause before the NPU's helper process is started again, when it ended or hung several times")           \
  X(STR,  embed_model, "embed.model", "auto", 1, 4096,                                                             \
    "a model's folder, a .gguf file, or `hash`, which is built in and compares words, not meanings; "               \
    "`auto`: the folder models/all-MiniLM-L6-v2 here or in data.dir where there is one, else `hash`")               \
  X(ENUM, embed_precision, "embed.precision", "auto", "auto|f32|bf16|fp16|int8", 0,                                 \
    "how a model computes; `auto`: the fastest way here that keeps its quality")                                   \
  X(ENUM, embed_device, "embed.device", "auto", "auto|cpu|npu", 0,                                                 \
    "where a model's products are computed; `npu`: on the NPU, and no start without; `auto`: there when embed.npu.dir " \
    "is set and it computes right, else on the CPU")                                                               \
  X(UINT, embed_max_concurrent, "embed.max_concurrent", 0, 0, 64,                                           \
    "embedding jobs at once; 0: as many as cores for a model that computes, else 2")                               \
  X(TIME, embed_timeout_ms, "embed.timeout", 30000, 10, 3600000, "of one text, waiting not counted")               \
  X(UINT, embed_max_attempts, "embed.max_attempts", 3, 1, 100, "tries before a text is stored without a vector")   \
  X(TIME, embed_retry_first_ms, "embed.retry_first", 500, 1, 600000, "first pause after a failure")                \
  X(TIME, embed_retry_max_ms, "embed.retry_max", 30000, 1, 3600000, "longest pause")                               \
  X(UINT, embed_max_backlog, "embed.max_backlog", 65536, 1, 10000000,                                               \
    "texts waiting for a vector; beyond it messages are stored without and embedded later")                        \
  X(TIME, embed_backfill_ms, "embed.backfill_interval", 5000, 10, 3600000,                                         \
    "how often stored messages without a vector are looked for")                                                   \
  X(UINT, embed_backfill_batch, "embed.backfill_batch", 256, 1, 100000, "stored messages embedded in one step")    \
  X(SIZE, embed_cache_bytes, "embed.cache_bytes", 64 * MF_MIB, 0, 1024 * MF_GIB,                                   \
    "vectors kept for those who ask for the same text again; 0: none")                                             \
  X(TIME, embed_cache_ttl_ms, "embed.cache_ttl", 3600000, 0, 31536000000ull, "how long a vector is kept; 0: no end") \
  X(UINT, embed_max_queued_tokens, "embed.max_queued_tokens", 1000000, 1, 1000000000,                              \
    "tokens (estimated) that may wait before a request for vectors; 429 beyond")                                   \
  X(TIME, embed_max_wait_ms, "embed.max_wait", 30000, 1, 3600000,                                                  \
    "a request for vectors that would wait longer, by the measured rate, is refused; 429")                         \
  X(UINT, embed_max_client_batch, "embed.max_client_batch", 32, 1, 100000, "texts of one request to /embed, /embed_all, /tokenize; 413") \
  X(SIZE, recall_max_bytes, "recall.max_bytes", 1 * MF_GIB, 1 * MF_MIB, 1024 * MF_GIB,                             \
    "search records of users in memory; the least recently asked are dropped")                                     \
  X(UINT, recall_max_resident, "recall.max_resident", 200000, 1, 100000000, "messages of one user kept in memory; more are streamed") \
  X(ENUM, recall_vectors, "recall.vectors", "int8", "int8|f32", 0, "precision of the vectors kept for search")     \
  X(TIME, recall_store_timeout_ms, "recall.store_timeout", 5000, 10, 600000,                                       \
    "a query waits so long for the store, then answers from memory with \"partial\": true")                        \
  X(UINT, recall_max_top_k, "recall.max_top_k", 100, 1, 10000, "largest top_k; more is cut to it")                 \
  X(UINT, recall_passage_tokens, "recall.passage_tokens", 256, 16, 100000, "a longer message is answered by its best passage") \
  X(UINT, recall_scan_permits, "recall.scan_permits", 2, 1, 32, "scans at once")                                   \
  X(REAL, recall_a1, "recall.vector_neighbour_1", 0.2, 0, 10, "weight of vectors one message away")                \
  X(REAL, recall_a2, "recall.vector_neighbour_2", 0.1, 0, 10, "weight of vectors two messages away")               \
  X(REAL, recall_b1, "recall.keyword_neighbour_1", 0.5, 0, 10, "weight of keyword scores one message away")        \
  X(REAL, recall_b2, "recall.keyword_neighbour_2", 0.25, 0, 10, "weight of keyword scores two messages away")      \
  X(REAL, recall_k1, "recall.bm25_k1", 1.2, 0, 100, "BM25 k1")                                                     \
  X(REAL, recall_b, "recall.bm25_b", 0.75, 0, 1, "BM25 b")                                                         \
  X(REAL, recall_w, "recall.vector_weight", 0.7, 0, 1, "weight of the vector leg; the keyword leg has the rest")   \
  X(REAL, recall_speaker, "recall.speaker_boost", 0.2, -10, 10, "for messages of the party asked for")             \
  X(REAL, recall_date, "recall.date_boost", 0.2, -10, 10, "for messages of the month and year named")              \
  X(REAL, recall_time_word, "recall.time_word_boost", 0.1, -10, 10, "for messages with a time word when time is asked for") \
  X(REAL, recall_short_question, "recall.short_question_boost", -0.08, -10, 10, "for messages that are short questions") \
  X(UINT, recall_keyword_rows, "recall.keyword_rows", 200, 1, 1000000, "best keyword rows that count")             \
  X(UINT, limits_messages_per_add, "limits.messages_per_add", 1024, 1, 100000, "messages of one POST; 422")        \
  X(SIZE, limits_message_bytes, "limits.message_bytes", 1 * MF_MIB, 256, 256 * MF_MIB, "content of one message; 413") \
  X(SIZE, limits_metadata_bytes, "limits.metadata_bytes", 16 * MF_KIB, 0, 16 * MF_MIB, "metadata of one message; 422") \
  X(UINT, limits_name_bytes, "limits.name_bytes", 1024, 16, 65536, "a name of a user, agent or session; 422")      \
  X(SIZE, limits_text_bytes, "limits.text_bytes", 64 * MF_KIB, 16, 16 * MF_MIB, "a description, a knowledge item; 422") \
  X(SIZE, limits_query_bytes, "limits.query_bytes", 1 * MF_MIB, 16, 16 * MF_MIB, "a query: the SDK sends the last messages whole; 422") \
  X(UINT, limits_ids_per_request, "limits.ids_per_request", 1000, 1, 100000, "ids of one read, update or delete; 422") \
  X(UINT, limits_json_depth, "limits.json_depth", 32, 4, 1000, "nesting of a JSON body; 400")                      \
  X(TIME, idempotency_ttl_ms, "idempotency.ttl", 86400000, 1000, 2592000000ull, "how long an answer is kept for its Idempotency-Key") \
  X(UINT, directory_max_sessions, "directory.max_sessions", 100000, 16, 100000000, "users, agents and sessions remembered, each") \
  X(TIME, drain_timeout_ms, "drain.timeout", 10000, 0, 3600000, "SIGTERM: how long what can be flushed is flushed") \
  X(TIME, loop_stall_ms, "loop.stall", 100, 0, 60000, "a callback that holds the loop longer is logged by name; 0: no watchdog") \
  X(ENUM, log_level, "log.level", "info", "error|warn|info|debug", 0, "how much is logged")
/* clang-format on */

#endif
