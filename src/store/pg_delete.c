/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DELETE with all that hangs on what goes, in one transaction.
 *
 * A user or agent is locked first: whoever creates a session of it at the same moment
 * has done so before, and it is listed, or finds afterwards that it is gone.
 */
#include "store/pg_entities.h"
#include "store/pg_row.h"

MF_WORKER static int no_memory(struct mf_pg_job *j)
{
    return mf_err_set(j->err, MF_ENOMEM, "no memory for the rows");
}

/* --- one round: nothing hangs on knowledge and keys */

MF_WORKER static int delete_leaves(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);
    struct mf_pg_entities gone;
    int rc;

    if (j->n_rounds == 0) {
        mf_pg_add_get(j, mf_pg_kind(e->kind)->drop);
        mf_pg_is_last(j);
        return 0;
    }
    rc = mf_pg_read_entities(j, mf_pg_result(j, 0), &gone);
    return rc < 0 ? rc : mf_pg_give_asked(j, &gone, true);
}

/* --- the first round: what is there, locked */

MF_WORKER static int take_locked(struct mf_pg_job *j)
{
    struct mf_pg_entities found;
    int rc = mf_pg_read_entities(j, mf_pg_result(j, 0), &found);

    return rc < 0 ? rc : mf_pg_give_asked(j, &found, true);
}

MF_WORKER static int take_sessions(struct mf_pg_job *j)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);
    struct mf_pg_entities sessions;
    int rc = mf_pg_read_entities(j, mf_pg_result(j, 0), &sessions);

    e->sessions = sessions.rows;
    e->n_sessions = sessions.n;
    return rc;
}

static void add_of_rows(struct mf_pg_job *j, enum mf_pg_stmt id)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    mf_pg_add(&j->round, id);
    mf_pg_text_array(&j->round, e->rows, e->n_rows, mf_pg_id_at);
}

/* --- a user: everything by his id */

static void drop_users(struct mf_pg_job *j)
{
    /* The marks first: they wait for writers that have one, whose rows the statements
     * after it then see. */
    static const enum mf_pg_stmt list[] = {
        MF_PG_USER_LIST_SESSIONS, MF_PG_USER_DROP_MARKS,    MF_PG_USER_DROP_PASSAGES,
        MF_PG_USER_DROP_MESSAGES, MF_PG_USER_DROP_SESSIONS, MF_PG_USER_DROP_KNOWLEDGE,
        MF_PG_USER_DROP_API_KEYS, MF_PG_USER_DROP,
    };

    for (size_t i = 0; i < mf_countof(list); i++) {
        add_of_rows(j, list[i]);
    }
    mf_pg_is_last(j);
}

MF_WORKER static int delete_users(struct mf_pg_job *j)
{
    int rc;

    if (j->n_rounds == 0) {
        mf_pg_add_get(j, MF_PG_USER_LOCK);
        return 0;
    }
    if (j->n_rounds > 1) {
        return j->is_last ? take_sessions(j) : 0;
    }
    rc = take_locked(j);
    if (rc == 0 && mf_pg_entity_of(j)->n_rows > 0) {
        drop_users(j);
    }
    return rc;
}

/* --- sessions, also those of an agent */

#define CALLS_PER_SESSION 3
#define SESSIONS_A_ROUND  ((MF_PG_MAX_CALLS - 8) / CALLS_PER_SESSION)

struct drops { /* j->state */
    const struct mf_entity *list;
    size_t n, at;
};

MF_WORKER static int begin_drops(struct mf_pg_job *j, const struct mf_entity *list,
                                 size_t n)
{
    struct drops *d = mf_arena_alloc(&j->kept, sizeof(*d));

    if (d == NULL) {
        return no_memory(j);
    }
    *d = (struct drops){.list = list, .n = n};
    j->state = d;
    return 0;
}

/* One by one: each goes to the one place where the rows of its user are. */
static void drop_session(struct mf_pg_job *j, const struct mf_entity *session)
{
    static const enum mf_pg_stmt list[CALLS_PER_SESSION] = {
        MF_PG_SESSION_DROP_PASSAGES,
        MF_PG_SESSION_DROP_MESSAGES,
        MF_PG_SESSION_DROP,
    };

    for (size_t i = 0; i < mf_countof(list); i++) {
        mf_pg_add(&j->round, list[i]);
        mf_pg_text(&j->round, session->user_id);
        mf_pg_text(&j->round, session->id);
    }
}

/* The next ones; true when these were the last. */
static bool drop_some(struct mf_pg_job *j)
{
    struct drops *d = j->state;

    for (size_t i = 0; i < SESSIONS_A_ROUND && d->at < d->n; i++) {
        drop_session(j, &d->list[d->at++]);
    }
    return d->at == d->n;
}

MF_WORKER static int delete_sessions(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);
    int rc = 0;

    if (j->n_rounds == 0) {
        mf_pg_add_get(j, MF_PG_SESSION_GET);
        return 0;
    }
    if (j->is_last) {
        return 0;
    }
    if (j->n_rounds == 1) {
        rc = take_locked(j);
        rc = rc < 0 ? rc : begin_drops(j, e->rows, e->n_rows);
    }
    if (rc < 0 || e->n_rows == 0) {
        return rc;
    }
    if (drop_some(j)) {
        mf_pg_is_last(j);
    }
    return 0;
}

MF_WORKER static int delete_agents(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);
    int rc = 0;

    if (j->n_rounds == 0) {
        mf_pg_add_get(j, MF_PG_AGENT_LOCK);
        return 0;
    }
    if (j->n_rounds == 1) {
        rc = take_locked(j);
        if (rc == 0 && e->n_rows > 0) {
            add_of_rows(j, MF_PG_AGENT_LIST_SESSIONS);
        }
        return rc;
    }
    if (j->is_last || e->n_rows == 0) {
        return 0;
    }
    if (j->n_rounds == 2) {
        rc = take_sessions(j);
        rc = rc < 0 ? rc : begin_drops(j, e->sessions, e->n_sessions);
    }
    if (rc == 0 && drop_some(j)) {
        add_of_rows(j, MF_PG_AGENT_DROP);
        mf_pg_is_last(j);
    }
    return rc;
}

int mf_pg_delete(struct mf_pg_job *j)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);

    if (j->n_rounds == 0) {
        e->rows = e->sessions = NULL;
        e->n_rows = e->n_sessions = 0;
    }
    switch (e->kind) {
    case MF_ENTITY_USER: return delete_users(j);
    case MF_ENTITY_AGENT: return delete_agents(j);
    case MF_ENTITY_SESSION: return delete_sessions(j);
    case MF_ENTITY_KNOWLEDGE:
    case MF_ENTITY_API_KEY:
    default: return delete_leaves(j);
    }
}
