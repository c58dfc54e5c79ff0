/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_sql_messages: statements on messages, passages and recorded answers.
 *
 * What is written comes in arrays, one for each column: one statement for a batch of
 * any size. A user's rows are asked for by user_id = $n, so that Citus asks one shard.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   never
 */
#ifndef MF_STORE_PG_SQL_MESSAGES_H
#define MF_STORE_PG_SQL_MESSAGES_H

/* One order for all reads of rows: see mf_pg_read_message. */
#define MF_PG_SQL_MESSAGE                                                              \
    "SELECT m.seq, m.user_id, m.session_id, m.round_id, m.id, m.content, m.metadata,"  \
    " m.created_us, m.updated_us, m.role, m.search, p.passages, m.is_pending "
#define MF_PG_SQL_PASSAGES                                                             \
    " LEFT JOIN passages p ON p.user_id = m.user_id AND p.message_id = m.id "
#define MF_PG_SQL_KNOWLEDGE_ROW                                                        \
    "SELECT seq, user_id, NULL::text, NULL::text, id, content, NULL::text,"            \
    " created_us, updated_us, 0::int2, search, NULL::bytea, is_pending "

/* `column` and `array` of the vector, or nothing. A row that is there stays. */
#define MF_PG_SQL_PUT(column, array)                                                   \
    "INSERT INTO messages (user_id, id, seq, session_id, round_id, created_us,"        \
    " updated_us, role, is_pending, mark, search, content, metadata" column ")"        \
    " SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[],"            \
    " $5::text[], $6::int8[], $7::int8[], $8::int8[], $9::bool[], $10::int8[],"        \
    " $11::bytea[], $12::text[], $13::text[]" array                                    \
    ") ON CONFLICT (user_id, id) DO NOTHING"

/* With the passages of those rows that are new: a row that was there may have been
 * edited since, and its passages with it. Gives how many are new. */
#define MF_PG_SQL_PUT_WITH_PASSAGES(column, array, user_ids, ids, passages)            \
    "WITH new AS (" MF_PG_SQL_PUT(                                                     \
        column,                                                                        \
        array) " RETURNING user_id, id), added AS"                                     \
               " (INSERT INTO passages (user_id, message_id, passages)"                \
               " SELECT r.user_id, r.id, r.passages FROM unnest(" user_ids             \
               "::text[], " ids "::text[], " passages                                  \
               "::bytea[]) AS r(user_id, id, passages)"                                \
               " JOIN new ON new.user_id = r.user_id AND new.id = r.id"                \
               " ON CONFLICT (user_id, message_id) DO NOTHING) SELECT count(*) FROM new"

/* `user`: the one whose rows alone are changed, NULL when they are of several. It
 * changes nothing but what Citus does: it then asks one shard and not all of them. */
#define MF_PG_SQL_OF_USER(row, user)                                                   \
    " AND (" user "::text IS NULL OR " row ".user_id = " user "::text)"

#define MF_PG_SQL_SET(assignment, array, name, user)                                   \
    "UPDATE messages m SET content = r.content, role = r.role,"                        \
    " metadata = r.metadata, search = r.search, is_pending = r.is_pending,"            \
    " updated_us = r.updated_us, mark = r.mark" assignment                             \
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int8[],"         \
    " $6::text[], $7::bytea[], $8::bool[], $9::int8[], $10::int8[]" array              \
    ") AS r(user_id, id, session_id, content, role, metadata, search, is_pending,"     \
    " updated_us, mark" name ") WHERE m.user_id = r.user_id AND m.id = r.id"           \
    " AND m.session_id = r.session_id" MF_PG_SQL_OF_USER(                              \
        "m", user) " RETURNING m.user_id, m.id"

#define MF_PG_SQL_SET_SEARCH(table, assignment, array, name, user)                     \
    "UPDATE " table " m SET search = r.search, is_pending = r.is_pending,"             \
    " mark = r.mark" assignment " FROM unnest($1::text[], $2::text[], $3::int8[],"     \
    " $4::bytea[], $5::bool[], $6::int8[]" array ") AS r(user_id, id, updated_us,"     \
    " search, is_pending, mark" name ") WHERE m.user_id = r.user_id AND m.id = r.id"   \
    " AND m.updated_us = r.updated_us" MF_PG_SQL_OF_USER(                              \
        "m", user) " RETURNING m.user_id, m.id"

#define MF_PG_SQL_WRITE_MESSAGES(X)                                                    \
    X(MESSAGE_PUT, MF_PG_SQL_PUT("", ""))                                              \
    X(MESSAGE_PUT_VECTOR, MF_PG_SQL_PUT(", embedding", ", $14::vector[]"))             \
    X(MESSAGE_PUT_PASSAGES, MF_PG_SQL_PUT_WITH_PASSAGES("", "", "$14", "$15", "$16"))  \
    X(MESSAGE_PUT_VECTOR_PASSAGES,                                                     \
      MF_PG_SQL_PUT_WITH_PASSAGES(", embedding", ", $14::vector[]", "$15", "$16",      \
                                  "$17"))                                              \
    X(MESSAGE_SET, MF_PG_SQL_SET("", "", "", "$11"))                                   \
    X(MESSAGE_SET_VECTOR, MF_PG_SQL_SET(", embedding = r.embedding",                   \
                                        ", $11::vector[]", ", embedding", "$12"))      \
    X(MESSAGE_SET_SEARCH, MF_PG_SQL_SET_SEARCH("messages", "", "", "", "$7"))          \
    X(MESSAGE_SET_SEARCH_VECTOR,                                                       \
      MF_PG_SQL_SET_SEARCH("messages", ", embedding = r.embedding", ", $7::vector[]",  \
                           ", embedding", "$8"))                                       \
    X(KNOWLEDGE_SET_SEARCH, MF_PG_SQL_SET_SEARCH("knowledge", "", "", "", "$7"))       \
    X(PASSAGES_PUT,                                                                    \
      "INSERT INTO passages (user_id, message_id, passages)"                           \
      " SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])"                     \
      " ON CONFLICT (user_id, message_id) DO UPDATE SET passages = excluded.passages") \
    X(PASSAGES_DROP,                                                                   \
      "DELETE FROM passages p USING unnest($1::text[], $2::text[]) AS r(user_id, id)"  \
      " WHERE p.user_id = r.user_id AND p.message_id = r.id" MF_PG_SQL_OF_USER("p",    \
                                                                               "$3"))  \
    X(MARKS_TAKE, "INSERT INTO marks (user_id, mark) SELECT r.user_id, $2::int8"       \
                  " FROM unnest($1::text[]) AS r(user_id)"                             \
                  " ON CONFLICT (user_id) DO UPDATE SET mark = marks.mark + 1"         \
                  " RETURNING user_id, mark")

/* PASSAGES_DROP_LEFT: after MESSAGE_DROP, of those ids that have no message (of another
 * session) any more. */
#define MF_PG_SQL_DROP_MESSAGES(X)                                                     \
    X(MESSAGE_DROP,                                                                    \
      "DELETE FROM messages WHERE user_id = $1::text AND id = ANY($2::text[])"         \
      " AND ($3::text IS NULL OR session_id = $3::text)"                               \
      " RETURNING seq, user_id, session_id, id")                                       \
    X(PASSAGES_DROP_LEFT,                                                              \
      "DELETE FROM passages p WHERE p.user_id = $1::text"                              \
      " AND p.message_id = ANY($2::text[]) AND NOT EXISTS (SELECT 1 FROM messages m"   \
      " WHERE m.user_id = $1::text AND m.user_id = p.user_id"                          \
      " AND m.id = p.message_id)")

#define MF_PG_SQL_LIST(order)                                                          \
    MF_PG_SQL_MESSAGE "FROM messages m" MF_PG_SQL_PASSAGES                             \
                      "WHERE m.user_id = $1::text AND m.session_id = $2::text"         \
                      " ORDER BY " order " LIMIT $3::int8"

/* Each half of PENDING_LIST has the limit, too: Citus then asks each shard for no more
 * rows than that. */
#define MF_PG_SQL_READ_MESSAGES(X)                                                     \
    X(MESSAGE_BY_ID,                                                                   \
      MF_PG_SQL_MESSAGE "FROM messages m" MF_PG_SQL_PASSAGES                           \
                        "WHERE m.user_id = $1::text AND m.id = ANY($2::text[])"        \
                        " AND ($3::text IS NULL OR m.session_id = $3::text)")          \
    X(MESSAGE_BY_SEQ, MF_PG_SQL_MESSAGE                                                \
      "FROM messages m" MF_PG_SQL_PASSAGES                                             \
      "WHERE m.user_id = $1::text AND m.seq = ANY($2::int8[])"                         \
      " AND ($3::text IS NULL OR m.session_id = $3::text)"                             \
      " UNION ALL " MF_PG_SQL_KNOWLEDGE_ROW "FROM knowledge WHERE user_id = $1::text"  \
      " AND seq = ANY($2::int8[]) AND $3::text IS NULL")                               \
    X(LIST_TIME_UP, MF_PG_SQL_LIST("m.created_us ASC, m.seq ASC"))                     \
    X(LIST_TIME_DOWN, MF_PG_SQL_LIST("m.created_us DESC, m.seq DESC"))                 \
    X(LIST_ID_UP, MF_PG_SQL_LIST("m.id ASC"))                                          \
    X(LIST_ID_DOWN, MF_PG_SQL_LIST("m.id DESC"))                                       \
    X(PENDING_LIST,                                                                    \
      "(" MF_PG_SQL_MESSAGE "FROM messages m" MF_PG_SQL_PASSAGES                       \
      "WHERE m.is_pending AND m.seq > $1::int8"                                        \
      " AND ($2::text IS NULL OR m.user_id = $2::text)"                                \
      " ORDER BY m.seq LIMIT $3::int8) UNION ALL (" MF_PG_SQL_KNOWLEDGE_ROW            \
      "FROM knowledge WHERE is_pending AND seq > $1::int8"                             \
      " AND ($2::text IS NULL OR user_id = $2::text)"                                  \
      " ORDER BY seq LIMIT $3::int8) ORDER BY seq LIMIT $3::int8")

#define MF_PG_SQL_IDEMS(X)                                                             \
    X(IDEM_PUT,                                                                        \
      "INSERT INTO idempotency (key, body_hash, status, response, created_us)"         \
      " SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[], $4::bytea[],"       \
      " $5::int8[]) AS r(key, body_hash, status, response, created_us)"                \
      " ORDER BY r.key ON CONFLICT (key) DO NOTHING")                                  \
    X(IDEM_GET, "SELECT body_hash, status, response, created_us FROM idempotency"      \
                " WHERE key = $1::bytea")                                              \
    X(IDEM_PURGE, "DELETE FROM idempotency WHERE created_us < $1::int8")

/* Of Citus alone: on which of its nodes each user is. */
#define MF_PG_SQL_CLUSTER(X)                                                           \
    X(PARTS, "SELECT coalesce((SELECT min(p.groupid) FROM pg_dist_placement p"         \
             " WHERE p.shardid = get_shard_id_for_distribution_column('messages',"     \
             " r.user_id)), 0)::int8 FROM unnest($1::text[])"                          \
             " WITH ORDINALITY AS r(user_id, at) ORDER BY r.at")

#define MF_PG_SQL_MESSAGES(X)                                                          \
    MF_PG_SQL_WRITE_MESSAGES(X)                                                        \
    MF_PG_SQL_DROP_MESSAGES(X)                                                         \
    MF_PG_SQL_READ_MESSAGES(X)                                                         \
    MF_PG_SQL_IDEMS(X)

#endif
