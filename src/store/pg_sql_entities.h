/* SPDX-License-Identifier: Apache-2.0 */
/* pg_sql_entities: statements on users, agents, sessions, knowledge, API keys, those
 * that load and walk search records, and those of the schema's one row. */
#ifndef MF_STORE_PG_SQL_ENTITIES_H
#define MF_STORE_PG_SQL_ENTITIES_H

/* One order for all reads of entities: see mf_pg_read_entity. */
#define MF_PG_SQL_NAMED                                                                \
    "id, NULL::text, NULL::text, name, description, NULL::bytea, created_us,"          \
    " updated_us, 0::int8, 0::int8, NULL::bytea, false "
#define MF_PG_SQL_SESSION                                                              \
    "id, user_id, agent_id, name, NULL::text, NULL::bytea, created_us, updated_us,"    \
    " 0::int8, 0::int8, NULL::bytea, false "
#define MF_PG_SQL_KNOWLEDGE                                                            \
    "id, user_id, NULL::text, NULL::text, content, NULL::bytea, created_us,"           \
    " updated_us, 0::int8, seq, search, is_pending "
#define MF_PG_SQL_API_KEY                                                              \
    "id, user_id, NULL::text, name, permissions, key_hash, created_us, updated_us,"    \
    " expires_us, 0::int8, NULL::bytea, false "

/* What is to be done to the database before it can be used: pg_schema.c. FACTS looks
 * into the catalogues alone, so that it can be asked of any database. */
#define MF_PG_SQL_SCHEMA(X)                                                            \
    X(SCHEMA_FACTS,                                                                    \
      "SELECT split_part(version(), ' ', 1) || ' ' ||"                                 \
      " split_part(current_setting('server_version'), ' ', 1),"                        \
      " current_schema()::text,"                                                       \
      " (SELECT count(*) FROM pg_catalog.pg_class c WHERE c.relname = 'memfuse'"       \
      " AND c.relnamespace = n.oid),"                                                  \
      " (SELECT count(*) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c"    \
      " ON c.oid = a.attrelid WHERE c.relname = 'memfuse' AND c.relnamespace = n.oid"  \
      " AND NOT a.attisdropped AND a.attname IN"                                       \
      " ('id', 'version', 'space', 'lease_holder', 'lease_until_us')),"                \
      " (SELECT min(c.relname::text) FROM pg_catalog.pg_class c"                       \
      " WHERE c.relnamespace = n.oid AND c.relname IN"                                 \
      " ('messages', 'passages', 'knowledge', 'users', 'agents', 'sessions',"          \
      " 'api_keys', 'idempotency', 'marks')),"                                         \
      " (SELECT a.atttypid::int8 FROM pg_catalog.pg_attribute a"                       \
      " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"                              \
      " WHERE c.relname = 'messages' AND c.relnamespace = n.oid"                       \
      " AND a.attname = 'embedding' AND NOT a.attisdropped),"                          \
      " (SELECT e.extversion FROM pg_catalog.pg_extension e"                           \
      " WHERE e.extname = 'citus')"                                                    \
      " FROM (SELECT (SELECT oid FROM pg_catalog.pg_namespace"                         \
      " WHERE nspname = current_schema()) AS oid) n")                                  \
    X(SCHEMA_VECTOR,                                                                   \
      "SELECT coalesce(x.installed_version, x.default_version)::text,"                 \
      " x.installed_version IS NOT NULL OR coalesce((SELECT bool_or(NOT v.superuser"   \
      " OR r.rolsuper OR v.trusted"                                                    \
      " AND has_database_privilege(current_database(), 'CREATE'))"                     \
      " FROM pg_catalog.pg_available_extension_versions v, pg_catalog.pg_roles r"      \
      " WHERE v.name = x.name AND v.version = x.default_version"                       \
      " AND r.rolname = current_user), false)"                                         \
      " FROM pg_catalog.pg_available_extensions x WHERE x.name = 'vector'")            \
    X(SCHEMA_ROW,                                                                      \
      "SELECT version::int8, space, coalesce(lease_holder, '') FROM memfuse"           \
      " WHERE id = 1")                                                                 \
    X(SCHEMA_LEASE,                                                                    \
      "UPDATE memfuse SET lease_holder = $1::text, lease_until_us = $2::int8"          \
      " WHERE id = 1 AND (lease_holder IS NULL OR lease_holder = $1::text"             \
      " OR lease_until_us < $3::int8) RETURNING version::int8")                        \
    X(SCHEMA_RELEASE, "UPDATE memfuse SET lease_holder = NULL, lease_until_us = 0"     \
                      " WHERE id = 1 AND lease_holder = $1::text")                     \
    X(SCHEMA_SET_VERSION,                                                              \
      "UPDATE memfuse SET version = $2::int8::int WHERE id = 1"                        \
      " AND lease_holder = $1::text AND version < $2::int8 RETURNING version::int8")   \
    X(SCHEMA_FORGET_SPACE,                                                             \
      "UPDATE memfuse SET space = 0 WHERE id = 1 AND space <> $1::int8")               \
    X(SCHEMA_SET_SPACE, "UPDATE memfuse SET space = $1::int8 WHERE id = 1")            \
    X(SCHEMA_NOT_SPREAD,                                                               \
      "SELECT t.name FROM unnest($1::text[]) WITH ORDINALITY AS t(name, n)"            \
      " WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_dist_partition p"                \
      " WHERE p.logicalrelid = to_regclass(t.name)) ORDER BY t.n")

#define MF_PG_SQL_READ_ENTITIES(X)                                                     \
    X(USER_GET, "SELECT " MF_PG_SQL_NAMED "FROM users WHERE id = ANY($1::text[])")     \
    X(USER_LOCK,                                                                       \
      "SELECT " MF_PG_SQL_NAMED "FROM users WHERE id = ANY($1::text[]) FOR UPDATE")    \
    X(USER_FIND, "SELECT " MF_PG_SQL_NAMED "FROM users WHERE name = $1::text")         \
    X(USER_LIST,                                                                       \
      "SELECT " MF_PG_SQL_NAMED "FROM users ORDER BY created_us, id LIMIT $1::int8")   \
    X(USER_HOLD, "SELECT id FROM users WHERE id = ANY($1::text[]) FOR SHARE")          \
    X(AGENT_GET, "SELECT " MF_PG_SQL_NAMED "FROM agents WHERE id = ANY($1::text[])")   \
    X(AGENT_LOCK,                                                                      \
      "SELECT " MF_PG_SQL_NAMED "FROM agents WHERE id = ANY($1::text[]) FOR UPDATE")   \
    X(AGENT_FIND, "SELECT " MF_PG_SQL_NAMED "FROM agents WHERE name = $1::text")       \
    X(AGENT_LIST,                                                                      \
      "SELECT " MF_PG_SQL_NAMED "FROM agents ORDER BY created_us, id LIMIT $1::int8")  \
    X(AGENT_HOLD, "SELECT id FROM agents WHERE id = ANY($1::text[]) FOR SHARE")        \
    X(SESSION_GET, "SELECT " MF_PG_SQL_SESSION "FROM sessions WHERE"                   \
                   " id = ANY($1::text[])"                                             \
                   " AND ($2::text[] IS NULL OR user_id = ANY($2::text[]))")           \
    X(SESSION_FIND, "SELECT " MF_PG_SQL_SESSION "FROM sessions WHERE name = $1::text"  \
                    " AND ($2::text IS NULL OR user_id = $2::text)"                    \
                    " ORDER BY created_us, id LIMIT 1")                                \
    X(SESSION_LIST, "SELECT " MF_PG_SQL_SESSION "FROM sessions"                        \
                    " ORDER BY created_us, id LIMIT $1::int8")                         \
    X(SESSION_LIST_OF_USER,                                                            \
      "SELECT " MF_PG_SQL_SESSION "FROM sessions WHERE user_id = $2::text"             \
      " AND ($3::text IS NULL OR agent_id = $3::text)"                                 \
      " ORDER BY created_us, id LIMIT $1::int8")                                       \
    X(SESSION_LIST_OF_AGENT,                                                           \
      "SELECT " MF_PG_SQL_SESSION "FROM sessions WHERE agent_id = $2::text"            \
      " ORDER BY created_us, id LIMIT $1::int8")                                       \
    X(KNOWLEDGE_GET, "SELECT " MF_PG_SQL_KNOWLEDGE "FROM knowledge WHERE"              \
                     " id = ANY($1::text[]) AND user_id = ANY($2::text[])")            \
    X(KNOWLEDGE_LIST,                                                                  \
      "SELECT " MF_PG_SQL_KNOWLEDGE "FROM knowledge WHERE user_id = $2::text"          \
      " ORDER BY seq LIMIT $1::int8")                                                  \
    X(API_KEY_GET, "SELECT " MF_PG_SQL_API_KEY "FROM api_keys WHERE"                   \
                   " id = ANY($1::text[]) AND user_id = ANY($2::text[])")              \
    X(API_KEY_FIND,                                                                    \
      "SELECT " MF_PG_SQL_API_KEY "FROM api_keys WHERE key_hash = $1::bytea")          \
    X(API_KEY_LIST,                                                                    \
      "SELECT " MF_PG_SQL_API_KEY "FROM api_keys WHERE user_id = $2::text"             \
      " ORDER BY created_us, id LIMIT $1::int8")

/* An empty text that is not missing comes with has_text. A row that is there, or whose
 * name somebody has, is passed over: what stands afterwards tells which. */
#define MF_PG_SQL_CREATE_ENTITIES(X)                                                   \
    X(USER_PUT,                                                                        \
      "INSERT INTO users (id, name, description, created_us, updated_us)"              \
      " SELECT id, name, CASE WHEN has_text THEN coalesce(t, '') ELSE t END, c, u"     \
      " FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::int8[],"       \
      " $6::int8[]) AS r(id, name, t, has_text, c, u) ON CONFLICT DO NOTHING")         \
    X(AGENT_PUT,                                                                       \
      "INSERT INTO agents (id, name, description, created_us, updated_us)"             \
      " SELECT id, name, CASE WHEN has_text THEN coalesce(t, '') ELSE t END, c, u"     \
      " FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::int8[],"       \
      " $6::int8[]) AS r(id, name, t, has_text, c, u) ON CONFLICT DO NOTHING")         \
    X(SESSION_PUT,                                                                     \
      "INSERT INTO sessions (id, name, created_us, updated_us, user_id, agent_id)"     \
      " SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[],"          \
      " $5::text[], $6::text[]) ON CONFLICT DO NOTHING")                               \
    X(KNOWLEDGE_PUT,                                                                   \
      "INSERT INTO knowledge (id, content, created_us, updated_us, user_id, seq,"      \
      " search, is_pending, mark)"                                                     \
      " SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[],"          \
      " $5::text[], $6::int8[], $7::bytea[], $8::bool[], $9::int8[])"                  \
      " ON CONFLICT DO NOTHING")                                                       \
    X(API_KEY_PUT,                                                                     \
      "INSERT INTO api_keys (id, name, permissions, created_us, updated_us, user_id,"  \
      " key_hash, expires_us)"                                                         \
      " SELECT id, name, CASE WHEN has_text THEN coalesce(t, '') ELSE t END, c, u,"    \
      " user_id, key_hash, e FROM unnest($1::text[], $2::text[], $3::text[],"          \
      " $4::bool[], $5::int8[], $6::int8[], $7::text[], $8::bytea[], $9::int8[])"      \
      " AS r(id, name, t, has_text, c, u, user_id, key_hash, e)"                       \
      " ON CONFLICT DO NOTHING")

/* NAMESAKES: who else has the name that $1 is to get. */
#define MF_PG_SQL_UPDATE_ENTITIES(X)                                                   \
    X(USER_NAMESAKES, "SELECT id FROM users WHERE name = $2::text AND id <> $1::text") \
    X(USER_SET,                                                                        \
      "UPDATE users SET name = CASE WHEN $2::bool THEN $3::text ELSE name END,"        \
      " description = CASE WHEN $4::bool THEN $5::text ELSE description END,"          \
      " updated_us = $6::int8 WHERE id = $1::text RETURNING " MF_PG_SQL_NAMED)         \
    X(AGENT_NAMESAKES,                                                                 \
      "SELECT id FROM agents WHERE name = $2::text AND id <> $1::text")                \
    X(AGENT_SET,                                                                       \
      "UPDATE agents SET name = CASE WHEN $2::bool THEN $3::text ELSE name END,"       \
      " description = CASE WHEN $4::bool THEN $5::text ELSE description END,"          \
      " updated_us = $6::int8 WHERE id = $1::text RETURNING " MF_PG_SQL_NAMED)         \
    X(SESSION_NAMESAKES,                                                               \
      "SELECT o.id FROM sessions s JOIN sessions o ON o.user_id = s.user_id"           \
      " WHERE s.id = $1::text AND o.name = $2::text AND o.id <> $1::text")             \
    X(SESSION_SET,                                                                     \
      "UPDATE sessions SET name = CASE WHEN $3::bool THEN $4::text ELSE name END,"     \
      " updated_us = $5::int8 WHERE id = $1::text AND user_id = $2::text"              \
      " RETURNING " MF_PG_SQL_SESSION)                                                 \
    X(KNOWLEDGE_SET, "UPDATE knowledge SET content = $3::text, search = $4::bytea,"    \
                     " is_pending = $5::bool, updated_us = $6::int8, mark = $7::int8"  \
                     " WHERE id = $1::text AND user_id = $2::text"                     \
                     " RETURNING " MF_PG_SQL_KNOWLEDGE)                                \
    X(API_KEY_SET,                                                                     \
      "UPDATE api_keys SET name = CASE WHEN $3::bool THEN $4::text ELSE name END,"     \
      " permissions = CASE WHEN $5::bool THEN $6::text ELSE permissions END,"          \
      " updated_us = $7::int8 WHERE id = $1::text AND user_id = $2::text"              \
      " RETURNING " MF_PG_SQL_API_KEY)

#define MF_PG_SQL_DELETE_ENTITIES(X)                                                   \
    X(USER_DROP, "DELETE FROM users WHERE id = ANY($1::text[])")                       \
    X(AGENT_DROP, "DELETE FROM agents WHERE id = ANY($1::text[])")                     \
    X(SESSION_DROP, "DELETE FROM sessions WHERE user_id = $1::text AND id = $2::text") \
    X(KNOWLEDGE_DROP, "DELETE FROM knowledge WHERE id = ANY($1::text[])"               \
                      " AND user_id = ANY($2::text[]) RETURNING " MF_PG_SQL_KNOWLEDGE) \
    X(API_KEY_DROP, "DELETE FROM api_keys WHERE id = ANY($1::text[])"                  \
                    " AND user_id = ANY($2::text[]) RETURNING " MF_PG_SQL_API_KEY)     \
    X(SESSION_DROP_PASSAGES,                                                           \
      "DELETE FROM passages WHERE user_id = $1::text AND message_id IN"                \
      " (SELECT id FROM messages WHERE user_id = $1::text"                             \
      " AND session_id = $2::text)")                                                   \
    X(SESSION_DROP_MESSAGES,                                                           \
      "DELETE FROM messages WHERE user_id = $1::text AND session_id = $2::text")       \
    X(USER_LIST_SESSIONS, "SELECT " MF_PG_SQL_SESSION "FROM sessions WHERE"            \
                          " user_id = ANY($1::text[]) ORDER BY created_us, id")        \
    X(AGENT_LIST_SESSIONS, "SELECT " MF_PG_SQL_SESSION "FROM sessions WHERE"           \
                           " agent_id = ANY($1::text[]) ORDER BY created_us, id")      \
    X(USER_DROP_MARKS, "DELETE FROM marks WHERE user_id = ANY($1::text[])")            \
    X(USER_DROP_SESSIONS, "DELETE FROM sessions WHERE user_id = ANY($1::text[])")      \
    X(USER_DROP_PASSAGES, "DELETE FROM passages WHERE user_id = ANY($1::text[])")      \
    X(USER_DROP_MESSAGES, "DELETE FROM messages WHERE user_id = ANY($1::text[])")      \
    X(USER_DROP_KNOWLEDGE, "DELETE FROM knowledge WHERE user_id = ANY($1::text[])")    \
    X(USER_DROP_API_KEYS, "DELETE FROM api_keys WHERE user_id = ANY($1::text[])")

/* All rows of a user: the filters stand outside, for only so are the tables read by
 * their indexes and merged; and the limit stands in a subquery, so that it is not known
 * when the plan is made: the planner then goes for the first rows, and does not sort a
 * hundred thousand before it gives one. The few rows since a mark are to be sorted: to
 * read them in their order would be to read all that there are (hence seq + 0). */
#define MF_PG_SQL_SEARCH(X)                                                            \
    X(SEARCH_SESSIONS, "SELECT id, agent_id FROM sessions WHERE user_id = $1::text")   \
    X(SEARCH_SESSIONS_SINCE,                                                           \
      "SELECT s.id, s.agent_id FROM (SELECT DISTINCT user_id, session_id"              \
      " FROM messages WHERE user_id = $1::text AND mark > 0 AND mark > $2::int8) m"    \
      " JOIN sessions s ON s.user_id = m.user_id AND s.id = m.session_id"              \
      " WHERE s.user_id = $1::text")                                                   \
    X(SEARCH_MARK, "SELECT mark FROM marks WHERE user_id = $1::text")                  \
    X(SEARCH_ALL,                                                                      \
      "SELECT seq, session_id, search FROM"                                            \
      " (SELECT user_id, seq, session_id, search FROM messages UNION ALL"              \
      " SELECT user_id, seq, NULL::text COLLATE \"C\", search FROM knowledge) r"       \
      " WHERE user_id = $1::text AND seq > $2::int8"                                   \
      " ORDER BY seq LIMIT (SELECT $3::int8)")                                         \
    X(SEARCH_SINCE,                                                                    \
      "SELECT seq, session_id, search FROM"                                            \
      " (SELECT user_id, seq, mark, session_id, search FROM messages UNION ALL"        \
      " SELECT user_id, seq, mark, NULL::text COLLATE \"C\", search FROM knowledge) r" \
      " WHERE user_id = $1::text AND mark > 0 AND mark > $2::int8"                     \
      " ORDER BY seq + 0 LIMIT $3::int8")                                              \
    X(WALK_MESSAGES, "SELECT user_id, seq, is_pending, search, id FROM messages"       \
                     " WHERE (user_id, seq) > ($1::text, $2::int8)"                    \
                     " ORDER BY user_id, seq LIMIT $3::int8")                          \
    X(WALK_KNOWLEDGE, "SELECT user_id, seq, is_pending, search, id FROM knowledge"     \
                      " WHERE (user_id, seq) > ($1::text, $2::int8)"                   \
                      " ORDER BY user_id, seq LIMIT $3::int8")                         \
    X(WALK_MARK_MESSAGES, "UPDATE messages m SET is_pending = true"                    \
                          " FROM unnest($1::text[], $2::text[]) AS k(user_id, id)"     \
                          " WHERE m.user_id = k.user_id AND m.id = k.id")              \
    X(WALK_MARK_KNOWLEDGE, "UPDATE knowledge m SET is_pending = true"                  \
                           " FROM unnest($1::text[], $2::text[]) AS k(user_id, id)"    \
                           " WHERE m.user_id = k.user_id AND m.id = k.id")

#define MF_PG_SQL_ENTITIES(X)                                                          \
    MF_PG_SQL_SCHEMA(X)                                                                \
    MF_PG_SQL_READ_ENTITIES(X)                                                         \
    MF_PG_SQL_CREATE_ENTITIES(X)                                                       \
    MF_PG_SQL_UPDATE_ENTITIES(X)                                                       \
    MF_PG_SQL_DELETE_ENTITIES(X)                                                       \
    MF_PG_SQL_SEARCH(X)

#endif
