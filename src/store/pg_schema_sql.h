/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_schema_sql: the DDL texts of the Postgres store, one statement each.
 *
 * user_id leads every key, so that the tables can be distributed by it as they stand.
 * Texts that are keys have the collation "C": their order is that of their bytes, as in
 * the SQLite store, an index compares them with memcmp, and a new libc on the server,
 * which sorts words anew, damages none of them. Times are microseconds since 1970. No
 * foreign keys: every row would pay for them, and a row may come before its session.
 * No table of totals: a row that every batch changes would hold up all writers. seq is
 * not unique by constraint: it is made of clock and node.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   never
 */
#ifndef MF_STORE_PG_SCHEMA_SQL_H
#define MF_STORE_PG_SCHEMA_SQL_H

#define MF_PG_KEY_TEXT " text COLLATE \"C\" NOT NULL"

/* The one row that says which version this is and who may change it. */
#define MF_PG_DDL_HOME(X)                                                              \
    X("CREATE TABLE IF NOT EXISTS memfuse ("                                           \
      " id int PRIMARY KEY, version int NOT NULL, space bigint NOT NULL,"              \
      " lease_holder text, lease_until_us bigint NOT NULL,"                            \
      " CONSTRAINT one_row CHECK (id = 1))")                                           \
    X("INSERT INTO memfuse (id, version, space, lease_until_us)"                       \
      " VALUES (1, 0, 0, 0) ON CONFLICT (id) DO NOTHING")

#define MF_PG_DDL_1_MESSAGES(X)                                                        \
    X("CREATE TABLE IF NOT EXISTS messages ("                                          \
      " user_id" MF_PG_KEY_TEXT ", id" MF_PG_KEY_TEXT ", seq bigint NOT NULL,"         \
      " session_id" MF_PG_KEY_TEXT ", round_id text COLLATE \"C\","                    \
      " created_us bigint NOT NULL, updated_us bigint NOT NULL,"                       \
      " role smallint NOT NULL, is_pending boolean NOT NULL,"                          \
      " mark bigint NOT NULL DEFAULT 0, search bytea, content text NOT NULL,"          \
      " metadata text, PRIMARY KEY (user_id, id),"                                     \
      " CONSTRAINT content_is_not_empty CHECK (content <> ''),"                        \
      " CONSTRAINT role_is_known CHECK (role BETWEEN 0 AND 3),"                        \
      " CONSTRAINT seq_is_positive CHECK (seq > 0))")                                  \
    X("CREATE INDEX IF NOT EXISTS messages_seq ON messages (user_id, seq)")            \
    X("CREATE INDEX IF NOT EXISTS messages_session ON messages"                        \
      " (user_id, session_id, created_us, seq)")                                       \
    X("CREATE INDEX IF NOT EXISTS messages_pending ON messages (seq)"                  \
      " WHERE is_pending")                                                             \
    X("CREATE INDEX IF NOT EXISTS messages_mark ON messages (user_id, mark)"           \
      " WHERE mark > 0")                                                               \
    X("CREATE TABLE IF NOT EXISTS passages ("                                          \
      " user_id" MF_PG_KEY_TEXT ", message_id" MF_PG_KEY_TEXT ","                      \
      " passages bytea NOT NULL, PRIMARY KEY (user_id, message_id))")                  \
    X("CREATE TABLE IF NOT EXISTS knowledge ("                                         \
      " user_id" MF_PG_KEY_TEXT ", id" MF_PG_KEY_TEXT ", seq bigint NOT NULL,"         \
      " created_us bigint NOT NULL, updated_us bigint NOT NULL,"                       \
      " is_pending boolean NOT NULL, mark bigint NOT NULL DEFAULT 0, search bytea,"    \
      " content text NOT NULL, PRIMARY KEY (user_id, id),"                             \
      " CONSTRAINT content_is_not_empty CHECK (content <> ''),"                        \
      " CONSTRAINT seq_is_positive CHECK (seq > 0))")                                  \
    X("CREATE INDEX IF NOT EXISTS knowledge_seq ON knowledge (user_id, seq)")          \
    X("CREATE INDEX IF NOT EXISTS knowledge_pending ON knowledge (seq)"                \
      " WHERE is_pending")                                                             \
    X("CREATE INDEX IF NOT EXISTS knowledge_mark ON knowledge (user_id, mark)"         \
      " WHERE mark > 0")

#define MF_PG_DDL_1_ENTITIES(X)                                                        \
    X("CREATE TABLE IF NOT EXISTS users ("                                             \
      " id" MF_PG_KEY_TEXT " PRIMARY KEY, name" MF_PG_KEY_TEXT " UNIQUE,"              \
      " description text, created_us bigint NOT NULL, updated_us bigint NOT NULL)")    \
    X("CREATE TABLE IF NOT EXISTS agents ("                                            \
      " id" MF_PG_KEY_TEXT " PRIMARY KEY, name" MF_PG_KEY_TEXT " UNIQUE,"              \
      " description text, created_us bigint NOT NULL, updated_us bigint NOT NULL)")    \
    X("CREATE TABLE IF NOT EXISTS sessions ("                                          \
      " user_id" MF_PG_KEY_TEXT ", id" MF_PG_KEY_TEXT ", agent_id" MF_PG_KEY_TEXT ","  \
      " name text COLLATE \"C\", created_us bigint NOT NULL,"                          \
      " updated_us bigint NOT NULL, PRIMARY KEY (user_id, id),"                        \
      " UNIQUE (user_id, name))")                                                      \
    X("CREATE INDEX IF NOT EXISTS sessions_id ON sessions (id)")                       \
    X("CREATE INDEX IF NOT EXISTS sessions_name ON sessions (name)")                   \
    X("CREATE INDEX IF NOT EXISTS sessions_agent ON sessions (agent_id)")              \
    X("CREATE TABLE IF NOT EXISTS api_keys ("                                          \
      " user_id" MF_PG_KEY_TEXT ", id" MF_PG_KEY_TEXT ", name text,"                   \
      " key_hash bytea NOT NULL UNIQUE, permissions text,"                             \
      " created_us bigint NOT NULL, updated_us bigint NOT NULL,"                       \
      " expires_us bigint NOT NULL, PRIMARY KEY (user_id, id),"                        \
      " CONSTRAINT key_hash_is_sha256 CHECK (length(key_hash) = 32))")

#define MF_PG_DDL_1_OTHERS(X)                                                          \
    X("CREATE TABLE IF NOT EXISTS idempotency ("                                       \
      " key bytea PRIMARY KEY, body_hash bytea NOT NULL, status int NOT NULL,"         \
      " response bytea, created_us bigint NOT NULL)")                                  \
    X("CREATE INDEX IF NOT EXISTS idempotency_age ON idempotency (created_us)")        \
    X("CREATE TABLE IF NOT EXISTS marks ("                                             \
      " user_id" MF_PG_KEY_TEXT " PRIMARY KEY, mark bigint NOT NULL)")

#define MF_PG_DDL_1(X)                                                                 \
    MF_PG_DDL_1_MESSAGES(X) MF_PG_DDL_1_ENTITIES(X) MF_PG_DDL_1_OTHERS(X)

/* pgvector: a column without a dimension, so that the model may change. */
#define MF_PG_DDL_VECTOR(X)                                                            \
    X("CREATE EXTENSION IF NOT EXISTS vector")                                         \
    X("ALTER TABLE messages ADD COLUMN IF NOT EXISTS embedding vector")

/* table, how Citus spreads it; each with the shards of messages of the same user, but
 * small tables that are asked for without a user, which every node has whole. Recorded
 * answers stay with the coordinator: a round of a user whose node is there is not to
 * wait for the node of its key. */
#define MF_PG_DDL_CITUS(X)                                                             \
    X("messages", "SELECT create_distributed_table('messages', 'user_id',"             \
                  " colocate_with => 'none')")                                         \
    X("passages", "SELECT create_distributed_table('passages', 'user_id',"             \
                  " colocate_with => 'messages')")                                     \
    X("knowledge", "SELECT create_distributed_table('knowledge', 'user_id',"           \
                   " colocate_with => 'messages')")                                    \
    X("sessions", "SELECT create_distributed_table('sessions', 'user_id',"             \
                  " colocate_with => 'messages')")                                     \
    X("marks", "SELECT create_distributed_table('marks', 'user_id',"                   \
               " colocate_with => 'messages')")                                        \
    X("users", "SELECT create_reference_table('users')")                               \
    X("agents", "SELECT create_reference_table('agents')")                             \
    X("api_keys", "SELECT create_reference_table('api_keys')")

#endif
