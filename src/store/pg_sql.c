/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_sql.h"

const struct mf_pg_sql *mf_pg_sql(enum mf_pg_stmt id)
{
    static const struct mf_pg_sql table[MF_PG_STMT_COUNT] = {

#define X(name, text) [MF_PG_##name] = {"mf_" #name, text},
        MF_PG_SQL_TABLE(X)
#undef X
    };

    MF_ASSERT(id < MF_PG_STMT_COUNT);
    return &table[id];
}
