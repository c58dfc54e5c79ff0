/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_sql: every statement of the Postgres store that carries values, in one table.
 * Values come only by parameters, in binary; an empty filter is NULL.
 *
 * Each statement is prepared on a connection the first time that connection runs it.
 * The casts in the texts tell the types. No trigger, sequence, advisory lock, temporary
 * table or server clock: Citus, Yugabyte and Cockroach run the same texts.
 */
#ifndef MF_STORE_PG_SQL_H
#define MF_STORE_PG_SQL_H

#include "base/base.h"

#include "store/pg_sql_entities.h"
#include "store/pg_sql_messages.h"

#define MF_PG_SQL_TRANSACTIONS(X)                                                      \
    X(BEGIN, "BEGIN")                                                                  \
    X(COMMIT, "COMMIT")                                                                \
    X(ROLLBACK, "ROLLBACK")

#define MF_PG_SQL_TABLE(X)                                                             \
    MF_PG_SQL_TRANSACTIONS(X)                                                          \
    MF_PG_SQL_MESSAGES(X)                                                              \
    MF_PG_SQL_CLUSTER(X)                                                               \
    MF_PG_SQL_ENTITIES(X)

enum mf_pg_stmt {

#define X(name, text) MF_PG_##name,
    MF_PG_SQL_TABLE(X)
#undef X
        MF_PG_STMT_COUNT,
};

struct mf_pg_sql {
    const char *name; /* of the prepared statement: "mf_MESSAGE_PUT" */
    const char *text;
};

MF_ANY const struct mf_pg_sql *mf_pg_sql(enum mf_pg_stmt id);

#endif
