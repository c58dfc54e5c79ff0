/* SPDX-License-Identifier: Apache-2.0 */
/* pg_sql_messages: statements on messages, passages and recorded answers. */
#ifndef MF_STORE_PG_SQL_MESSAGES_H
#define MF_STORE_PG_SQL_MESSAGES_H

#define MF_PG_SQL_MESSAGES(X)

#endif
