/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/pg_write_rig.h"

#define ARENA_BLOCK 64

void rig_open(struct rig *r, const struct mf_store_row *rows, size_t n)
{
    r->w.rows = rows;
    r->w.n_rows = n;
    r->job = (struct mf_pg_job){
        .req = &r->w.req, .env = &r->env, .err = &r->w.req.err, .results = r->results};
    mf_arena_init(&r->args, ARENA_BLOCK);
    mf_arena_init(&r->job.kept, ARENA_BLOCK);
    mf_pg_round_init(&r->job.round, &r->args);
}

void rig_close(struct rig *r)
{
    mf_arena_fini(&r->args);
    mf_arena_fini(&r->job.kept);
}
