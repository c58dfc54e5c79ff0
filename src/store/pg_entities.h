/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_entities: what the verbs on users, agents, sessions, knowledge and API keys share.
 *
 * Owns:    nothing: rows lie in the request's arena, indexes in the job's
 * Thread:  worker (parts of verbs)
 * Limits:  MF_PG_MAX_CALLS statements a round
 * Fails:   MF_ENOMEM, MF_ECORRUPT (a row of the server); round->rc
 */
#ifndef MF_STORE_PG_ENTITIES_H
#define MF_STORE_PG_ENTITIES_H

#include "store/pg_job.h"

struct mf_pg_kind { /* the statements of an entity; MF_PG_STMT_COUNT: none */
    const char *name;
    enum mf_pg_stmt get, lock, find, list, put, namesakes, set, drop;
    bool has_user; /* its key begins with user_id */
};

MF_ANY const struct mf_pg_kind *mf_pg_kind(enum mf_entity_kind kind);

static inline struct mf_store_entity *mf_pg_entity_of(const struct mf_pg_job *j)
{
    return mf_container_of(j->req, struct mf_store_entity, req);
}

struct mf_pg_entities {
    struct mf_entity *rows;
    size_t n;
};

/* All rows of a result, in the request's arena. */
MF_MUST MF_WORKER int mf_pg_read_entities(struct mf_pg_job *j, const PGresult *res,
                                          struct mf_pg_entities *out);
/* Sorts by id, so that mf_pg_first_of finds the rows of an id, which lie together. */
MF_ANY void mf_pg_sort_entities(struct mf_pg_entities *e);
MF_ANY size_t mf_pg_first_of(const struct mf_pg_entities *e, struct mf_slice id);
/* The ids that are asked for: in.id, or ids. */
MF_ANY struct mf_slice mf_pg_asked_id(const struct mf_store_entity *e, size_t i);
MF_ANY size_t mf_pg_n_asked(const struct mf_store_entity *e);
/* Adds a statement of kind->get's or ->lock's parameters for them. */
MF_ANY void mf_pg_add_get(struct mf_pg_job *j, enum mf_pg_stmt get);
/* Rows in the order that was asked for, into e->rows; `is_once`: a row whose id was
 * asked for twice comes once. MF_ENOTFOUND: one was asked for by in.id, and it is not
 * there. */
MF_MUST MF_WORKER int mf_pg_give_asked(struct mf_pg_job *j, struct mf_pg_entities *all,
                                       bool is_once);
MF_ANY int mf_pg_entity_not_found(struct mf_pg_job *j);

/* Accessors for arrays of struct mf_entity. */
MF_ANY struct mf_slice mf_pg_id_at(const void *rows, size_t i);
MF_ANY struct mf_slice mf_pg_user_at(const void *rows, size_t i);

#endif
