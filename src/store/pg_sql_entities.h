/* SPDX-License-Identifier: Apache-2.0 */
/* pg_sql_entities: statements on users, agents, sessions, knowledge, API keys, and
 * those that load and walk search records. */
#ifndef MF_STORE_PG_SQL_ENTITIES_H
#define MF_STORE_PG_SQL_ENTITIES_H

#define MF_PG_SQL_ENTITIES(X)

#endif
