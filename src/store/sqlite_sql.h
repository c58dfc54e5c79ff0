/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_sql: every statement of the SQLite store, in one table. Values come only by
 * bind; an empty filter is bound as NULL.
 *
 * X(NAME, access, text): WRITE statements are prepared for the writer alone, READ ones
 * for all connections. Each statement reaches messages, passages and knowledge through
 * a key or an index (a test asks the planner).
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   never; all are prepared at open, so that a schema that lost a column is
 *          noticed there
 */
#ifndef MF_STORE_SQLITE_SQL_H
#define MF_STORE_SQLITE_SQL_H

/* One order for all reads of rows: see mf_sq_read_row. */
#define MF_SQL_MESSAGE                                                                 \
    "SELECT m.seq, m.user_id, m.session_id, m.round_id, m.id, m.content, m.metadata,"  \
    " m.created_us, m.updated_us, m.role, m.search, p.passages, m.is_pending "
#define MF_SQL_PASSAGES                                                                \
    " LEFT JOIN passages p ON p.user_id = m.user_id AND p.message_id = m.id "
#define MF_SQL_KNOWLEDGE_ROW                                                           \
    "SELECT seq, user_id, NULL, NULL, id, content, NULL, created_us, updated_us, 0,"   \
    " search, NULL, is_pending "

/* And one for all reads of entities: see mf_sq_read_entity. */
#define MF_SQL_NAMED                                                                   \
    "SELECT id, NULL, NULL, name, description, NULL, created_us, updated_us, 0, 0,"    \
    " NULL, 0 "
#define MF_SQL_SESSION                                                                 \
    "SELECT id, user_id, agent_id, name, NULL, NULL, created_us, updated_us, 0, 0,"    \
    " NULL, 0 FROM sessions "
#define MF_SQL_KNOWLEDGE                                                               \
    "SELECT id, user_id, NULL, NULL, content, NULL, created_us, updated_us, 0, seq,"   \
    " search, is_pending FROM knowledge "
#define MF_SQL_API_KEY                                                                 \
    "SELECT id, user_id, NULL, name, permissions, key_hash, created_us, updated_us,"   \
    " expires_us, 0, NULL, 0 FROM api_keys "

#define MF_SQL_PICK_BY_ID(direction)                                                   \
    MF_SQL_MESSAGE                                                                     \
    "FROM (SELECT user_id, seq FROM messages INDEXED BY"                               \
    " messages_session WHERE user_id = ?1 AND session_id = ?2"                         \
    " ORDER BY id " direction " LIMIT ?3) AS picked"                                   \
    " CROSS JOIN messages m"                                                           \
    " ON m.user_id = picked.user_id AND m.seq = picked.seq" MF_SQL_PASSAGES            \
    "ORDER BY m.id " direction

#define MF_SQL_PICK_BY_TIME(direction)                                                 \
    MF_SQL_MESSAGE "FROM messages m INDEXED BY messages_session" MF_SQL_PASSAGES       \
                   "WHERE m.user_id = ?1 AND m.session_id = ?2"                        \
                   " ORDER BY m.created_us " direction ", m.seq " direction            \
                   " LIMIT ?3"

#define MF_SQL_TRANSACTIONS(X)                                                         \
    X(BEGIN_READ, READ, "BEGIN")                                                       \
    X(BEGIN_WRITE, WRITE, "BEGIN IMMEDIATE")                                           \
    X(COMMIT, READ, "COMMIT")                                                          \
    X(TOTALS_GET, READ, "SELECT next_seq, n_messages, space FROM totals")              \
    X(TOTALS_SET_SPACE, WRITE, "UPDATE totals SET space = ?1")                         \
    X(TOTALS_ADD, WRITE,                                                               \
      "UPDATE totals SET next_seq = max(next_seq, ?1), n_messages = n_messages + ?2")  \
    X(PENDING_COUNT, READ,                                                             \
      "SELECT (SELECT count(*) FROM messages INDEXED BY messages_pending"              \
      " WHERE is_pending = 1) + (SELECT count(*) FROM knowledge INDEXED BY"            \
      " knowledge_pending WHERE is_pending = 1)")

#define MF_SQL_MESSAGES(X)                                                             \
    X(MESSAGE_PUT, WRITE,                                                              \
      "INSERT INTO messages (user_id, seq, id, session_id, round_id, created_us,"      \
      " updated_us, role, is_pending, search, content, metadata)"                      \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"                    \
      " ON CONFLICT (user_id, id) DO NOTHING")                                         \
    X(MESSAGE_SET, WRITE,                                                              \
      "UPDATE messages SET content = ?4, role = ?5, metadata = ?6, search = ?7,"       \
      " is_pending = ?8, updated_us = ?9"                                              \
      " WHERE user_id = ?1 AND id = ?2 AND session_id = ?3")                           \
    X(MESSAGE_SET_SEARCH, WRITE,                                                       \
      "UPDATE messages SET search = ?4, is_pending = ?5"                               \
      " WHERE user_id = ?1 AND id = ?2 AND updated_us = ?3")                           \
    X(KNOWLEDGE_SET_SEARCH, WRITE,                                                     \
      "UPDATE knowledge SET search = ?4, is_pending = ?5"                              \
      " WHERE user_id = ?1 AND id = ?2 AND updated_us = ?3")                           \
    X(PASSAGES_PUT, WRITE,                                                             \
      "INSERT INTO passages (user_id, message_id, passages) VALUES (?1, ?2, ?3)"       \
      " ON CONFLICT (user_id, message_id) DO UPDATE SET passages = excluded.passages") \
    X(PASSAGES_DROP, WRITE,                                                            \
      "DELETE FROM passages WHERE user_id = ?1 AND message_id = ?2")                   \
    X(MESSAGE_DROP, WRITE,                                                             \
      "DELETE FROM messages WHERE user_id = ?1 AND id = ?2"                            \
      " AND (?3 IS NULL OR session_id = ?3) RETURNING seq, session_id")                \
    X(MESSAGE_BY_ID, READ,                                                             \
      MF_SQL_MESSAGE "FROM messages m" MF_SQL_PASSAGES                                 \
                     "WHERE m.user_id = ?1 AND m.id = ?2"                              \
                     " AND (?3 IS NULL OR m.session_id = ?3)")                         \
    X(MESSAGE_BY_SEQ, READ,                                                            \
      MF_SQL_MESSAGE "FROM messages m" MF_SQL_PASSAGES                                 \
                     "WHERE m.user_id = ?1 AND m.seq = ?2"                             \
                     " AND (?3 IS NULL OR m.session_id = ?3)")                         \
    X(KNOWLEDGE_BY_SEQ, READ,                                                          \
      MF_SQL_KNOWLEDGE_ROW "FROM knowledge WHERE user_id = ?1 AND seq = ?2")           \
    X(LIST_TIME_UP, READ, MF_SQL_PICK_BY_TIME("ASC"))                                  \
    X(LIST_TIME_DOWN, READ, MF_SQL_PICK_BY_TIME("DESC"))                               \
    X(LIST_ID_UP, READ, MF_SQL_PICK_BY_ID("ASC"))                                      \
    X(LIST_ID_DOWN, READ, MF_SQL_PICK_BY_ID("DESC"))                                   \
    X(PENDING_LIST, READ,                                                              \
      MF_SQL_MESSAGE                                                                   \
      "FROM messages m INDEXED BY messages_pending" MF_SQL_PASSAGES                    \
      "WHERE m.is_pending = 1 AND m.seq > ?1"                                          \
      " AND (?2 IS NULL OR m.user_id = ?2) UNION ALL " MF_SQL_KNOWLEDGE_ROW            \
      "FROM knowledge INDEXED BY knowledge_pending"                                    \
      " WHERE is_pending = 1 AND seq > ?1"                                             \
      " AND (?2 IS NULL OR user_id = ?2) ORDER BY 1 LIMIT ?3")                         \
    X(WALK_MESSAGES, READ,                                                             \
      "SELECT user_id, seq, is_pending, search FROM messages"                          \
      " WHERE (user_id, seq) > (?1, ?2) ORDER BY user_id, seq LIMIT ?3")               \
    X(WALK_KNOWLEDGE, READ,                                                            \
      "SELECT user_id, seq, is_pending, search FROM knowledge"                         \
      " WHERE (user_id, seq) > (?1, ?2) ORDER BY user_id, seq LIMIT ?3")               \
    X(MESSAGE_MARK, WRITE,                                                             \
      "UPDATE messages SET is_pending = 1 WHERE user_id = ?1 AND seq = ?2")            \
    X(KNOWLEDGE_MARK, WRITE,                                                           \
      "UPDATE knowledge SET is_pending = 1 WHERE user_id = ?1 AND seq = ?2")           \
    X(SEARCH_MESSAGES, READ,                                                           \
      "SELECT seq, session_id, search FROM messages"                                   \
      " WHERE user_id = ?1 AND seq > ?2 ORDER BY seq")                                 \
    X(SEARCH_KNOWLEDGE, READ,                                                          \
      "SELECT seq, NULL, search FROM knowledge"                                        \
      " WHERE user_id = ?1 AND seq > ?2 ORDER BY seq")                                 \
    X(SESSION_AGENT, READ,                                                             \
      "SELECT agent_id FROM sessions WHERE user_id = ?1 AND id = ?2")

#define MF_SQL_READ_ENTITIES(X)                                                        \
    X(USER_GET, READ, MF_SQL_NAMED "FROM users WHERE id = ?1")                         \
    X(USER_FIND, READ, MF_SQL_NAMED "FROM users WHERE name = ?1")                      \
    X(USER_LIST, READ, MF_SQL_NAMED "FROM users ORDER BY created_us, id LIMIT ?1")     \
    X(AGENT_GET, READ, MF_SQL_NAMED "FROM agents WHERE id = ?1")                       \
    X(AGENT_FIND, READ, MF_SQL_NAMED "FROM agents WHERE name = ?1")                    \
    X(AGENT_LIST, READ, MF_SQL_NAMED "FROM agents ORDER BY created_us, id LIMIT ?1")   \
    X(SESSION_GET, READ,                                                               \
      MF_SQL_SESSION "WHERE id = ?1 AND (?2 IS NULL OR user_id = ?2)")                 \
    X(SESSION_FIND, READ,                                                              \
      MF_SQL_SESSION "WHERE name = ?1 AND (?2 IS NULL OR user_id = ?2)"                \
                     " ORDER BY created_us, id LIMIT 1")                               \
    X(SESSION_LIST, READ, MF_SQL_SESSION "ORDER BY created_us, id LIMIT ?1")           \
    X(SESSION_LIST_OF_USER, READ,                                                      \
      MF_SQL_SESSION "WHERE user_id = ?2 AND (?3 IS NULL OR agent_id = ?3)"            \
                     " ORDER BY created_us, id LIMIT ?1")                              \
    X(SESSION_LIST_OF_AGENT, READ,                                                     \
      MF_SQL_SESSION "WHERE agent_id = ?3 ORDER BY created_us, id LIMIT ?1")           \
    X(KNOWLEDGE_GET, READ, MF_SQL_KNOWLEDGE "WHERE user_id = ?2 AND id = ?1")          \
    X(KNOWLEDGE_LIST, READ,                                                            \
      MF_SQL_KNOWLEDGE "WHERE user_id = ?2 ORDER BY seq LIMIT ?1")                     \
    X(API_KEY_GET, READ, MF_SQL_API_KEY "WHERE user_id = ?2 AND id = ?1")              \
    X(API_KEY_FIND, READ, MF_SQL_API_KEY "WHERE key_hash = ?1")                        \
    X(API_KEY_LIST, READ,                                                              \
      MF_SQL_API_KEY "WHERE user_id = ?2 ORDER BY created_us, id LIMIT ?1")

#define MF_SQL_CHANGE_ENTITIES(X)                                                      \
    X(USER_PUT, WRITE,                                                                 \
      "INSERT INTO users (id, name, description, created_us, updated_us)"              \
      " VALUES (?1, ?4, ?5, ?7, ?8)")                                                  \
    X(USER_SET, WRITE,                                                                 \
      "UPDATE users SET name = iif(?13, ?4, name), description = iif(?14, ?5,"         \
      " description), updated_us = ?8 WHERE id = ?1")                                  \
    X(USER_DROP, WRITE, "DELETE FROM users WHERE id = ?1")                             \
    X(AGENT_PUT, WRITE,                                                                \
      "INSERT INTO agents (id, name, description, created_us, updated_us)"             \
      " VALUES (?1, ?4, ?5, ?7, ?8)")                                                  \
    X(AGENT_SET, WRITE,                                                                \
      "UPDATE agents SET name = iif(?13, ?4, name), description = iif(?14, ?5,"        \
      " description), updated_us = ?8 WHERE id = ?1")                                  \
    X(AGENT_DROP, WRITE, "DELETE FROM agents WHERE id = ?1")                           \
    X(SESSION_PUT, WRITE,                                                              \
      "INSERT INTO sessions (user_id, id, agent_id, name, created_us, updated_us)"     \
      " VALUES (?2, ?1, ?3, ?4, ?7, ?8)")                                              \
    X(SESSION_SET, WRITE,                                                              \
      "UPDATE sessions SET name = iif(?13, ?4, name), updated_us = ?8 WHERE id = ?1")  \
    X(SESSION_DROP, WRITE, "DELETE FROM sessions WHERE id = ?1")                       \
    X(KNOWLEDGE_PUT, WRITE,                                                            \
      "INSERT INTO knowledge (user_id, seq, id, created_us, updated_us, is_pending,"   \
      " search, content) VALUES (?2, ?10, ?1, ?7, ?8, ?12, ?11, ?5)")                  \
    X(KNOWLEDGE_SET, WRITE,                                                            \
      "UPDATE knowledge SET content = ?5, search = ?11, is_pending = ?12,"             \
      " updated_us = ?8 WHERE user_id = ?2 AND id = ?1")                               \
    X(KNOWLEDGE_DROP, WRITE, "DELETE FROM knowledge WHERE user_id = ?2 AND id = ?1")   \
    X(API_KEY_PUT, WRITE,                                                              \
      "INSERT INTO api_keys (user_id, id, name, key_hash, permissions, created_us,"    \
      " updated_us, expires_us) VALUES (?2, ?1, ?4, ?6, ?5, ?7, ?8, ?9)")              \
    X(API_KEY_SET, WRITE,                                                              \
      "UPDATE api_keys SET name = iif(?13, ?4, name), permissions = iif(?14, ?5,"      \
      " permissions), updated_us = ?8 WHERE user_id = ?2 AND id = ?1")                 \
    X(API_KEY_DROP, WRITE, "DELETE FROM api_keys WHERE user_id = ?2 AND id = ?1")      \
    X(SESSION_DROP_PASSAGES, WRITE,                                                    \
      "DELETE FROM passages WHERE user_id = ?1 AND message_id IN"                      \
      " (SELECT id FROM messages WHERE user_id = ?1 AND session_id = ?2)")             \
    X(SESSION_DROP_MESSAGES, WRITE,                                                    \
      "DELETE FROM messages WHERE user_id = ?1 AND session_id = ?2")                   \
    X(USER_DROP_SESSIONS, WRITE, "DELETE FROM sessions WHERE user_id = ?1")            \
    X(USER_DROP_PASSAGES, WRITE, "DELETE FROM passages WHERE user_id = ?1")            \
    X(USER_DROP_MESSAGES, WRITE, "DELETE FROM messages WHERE user_id = ?1")            \
    X(USER_DROP_KNOWLEDGE, WRITE, "DELETE FROM knowledge WHERE user_id = ?1")          \
    X(USER_DROP_API_KEYS, WRITE, "DELETE FROM api_keys WHERE user_id = ?1")

#define MF_SQL_IDEMS(X)                                                                \
    X(IDEM_PUT, WRITE,                                                                 \
      "INSERT INTO idempotency (key, body_hash, status, response, created_us)"         \
      " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (key) DO NOTHING")                     \
    X(IDEM_GET, READ,                                                                  \
      "SELECT body_hash, status, response, created_us FROM idempotency"                \
      " WHERE key = ?1")                                                               \
    X(IDEM_PURGE, WRITE, "DELETE FROM idempotency WHERE created_us < ?1")

#define MF_SQL_TABLE(X)                                                                \
    MF_SQL_TRANSACTIONS(X)                                                             \
    MF_SQL_MESSAGES(X)                                                                 \
    MF_SQL_READ_ENTITIES(X) MF_SQL_CHANGE_ENTITIES(X) MF_SQL_IDEMS(X)

#endif
