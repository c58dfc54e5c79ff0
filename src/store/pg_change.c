/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CREATE and UPDATE.
 *
 * A creation inserts what can be inserted, passes over what cannot, looks at what then
 * stands, and commits only when that is what was asked for: so a request sent again
 * finds what it made, and whoever took a name at the same moment in another process is
 * found too, without an error of the server's that would end the transaction.
 */
#include "base/id.h"
#include "store/pg_batch.h"
#include "store/pg_entities.h"
#include "store/pg_row.h"

#include <stdlib.h>

/* --- arrays of the entities to create */

static struct mf_slice agent_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].agent_id;
}

static struct mf_slice name_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].name;
}

static struct mf_slice text_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].text;
}

static int64_t has_text_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].has_text;
}

static int64_t created_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].created_us;
}

static int64_t updated_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].updated_us;
}

static int64_t expires_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].expires_us;
}

static struct mf_slice hash_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].key_hash;
}

static int64_t seq_at(const void *rows, size_t i)
{
    return (int64_t)((const struct mf_entity *)rows)[i].seq;
}

static struct mf_slice search_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].search;
}

static int64_t is_pending_at(const void *rows, size_t i)
{
    return ((const struct mf_entity *)rows)[i].is_pending;
}

/* --- marks: of knowledge in a store that others write to */

static bool needs_marks(const struct mf_pg_job *j)
{
    return j->env->cfg.is_shared && mf_pg_entity_of(j)->kind == MF_ENTITY_KNOWLEDGE;
}

struct mark {
    struct mf_slice user_id;
    int64_t mark;
};

struct marks {         /* j->state of those who asked for them */
    struct mark *list; /* by user */
    size_t n;
    const struct mf_entity *ins;
};

static int by_user(const void *a, const void *b)
{
    struct mf_slice x = ((const struct mark *)a)->user_id;
    struct mf_slice y = ((const struct mark *)b)->user_id;
    size_t n = mf_min(x.n, y.n);
    int order = n == 0 ? 0 : memcmp(x.p, y.p, n);

    return order != 0 ? order : (x.n > y.n) - (x.n < y.n);
}

static struct mf_slice marked_user_at(const void *rows, size_t i)
{
    return ((const struct mark *)rows)[i].user_id;
}

/* User by user in the order of their bytes, as all who take marks do: nobody waits for
 * somebody who waits for him. */
MF_WORKER static int ask_marks(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);
    struct marks *m = mf_arena_alloc(&j->kept, sizeof(*m));
    struct mark *list = mf_arena_alloc(&j->kept, (e->n_ins + 1) * sizeof(*list));

    if (m == NULL || list == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "no memory for the marks");
    }
    *m = (struct marks){.list = list, .ins = e->ins};
    for (size_t i = 0; i < e->n_ins; i++) {
        list[i] = (struct mark){.user_id = e->ins[i].user_id};
    }
    if (e->n_ins > 1) {
        qsort(list, e->n_ins, sizeof(*list), by_user);
    }
    for (size_t i = 0; i < e->n_ins; i++) {
        if (m->n > 0 && by_user(&list[i], &list[m->n - 1]) == 0) {
            continue;
        }
        list[m->n] = list[i];
        mf_pg_add(&j->round, MF_PG_MARKS_TAKE);
        mf_pg_text_array(&j->round, &list[m->n++], 1, marked_user_at);
        mf_pg_int(&j->round, mf_pg_first_mark());
    }
    j->state = m;
    return 0;
}

MF_WORKER static int take_marks(struct mf_pg_job *j)
{
    struct marks *m = j->state;

    for (size_t i = 0; i < m->n; i++) {
        const PGresult *res = mf_pg_result(j, i);
        struct mf_pg_row r;

        if (PQntuples(res) == 0) {
            return mf_err_set(j->err, MF_EDB, "the database gave a user no mark");
        }
        r = mf_pg_row(res, 0, j->err);
        m->list[i].mark = mf_pg_get_int(&r, 1);
        if (r.rc < 0) {
            return r.rc;
        }
    }
    return 0;
}

static int64_t mark_of(const struct marks *m, struct mf_slice user_id)
{
    for (size_t i = 0; i < m->n; i++) { /* one user, as a rule */
        if (mf_slice_eq(m->list[i].user_id, user_id)) {
            return m->list[i].mark;
        }
    }
    return 0;
}

static int64_t mark_at(const void *rows, size_t i)
{
    const struct marks *m = rows;

    return mark_of(m, m->ins[i].user_id);
}

static int64_t no_mark_at(MF_UNUSED const void *rows, MF_UNUSED size_t i)
{
    return 0;
}

/* --- create */

static void put_named(struct mf_pg_job *j, const struct mf_store_entity *e)
{
    mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_id_at);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, name_at);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, text_at);
    mf_pg_bool_array(&j->round, e->ins, e->n_ins, has_text_at);
    mf_pg_int_array(&j->round, e->ins, e->n_ins, created_at);
    mf_pg_int_array(&j->round, e->ins, e->n_ins, updated_at);
}

static void put_session(struct mf_pg_job *j, const struct mf_store_entity *e)
{
    mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_id_at);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, name_at);
    mf_pg_int_array(&j->round, e->ins, e->n_ins, created_at);
    mf_pg_int_array(&j->round, e->ins, e->n_ins, updated_at);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_user_at);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, agent_at);
}

static void put_knowledge(struct mf_pg_job *j, const struct mf_store_entity *e)
{
    mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_id_at);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, text_at);
    mf_pg_int_array(&j->round, e->ins, e->n_ins, created_at);
    mf_pg_int_array(&j->round, e->ins, e->n_ins, updated_at);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_user_at);
    mf_pg_int_array(&j->round, e->ins, e->n_ins, seq_at);
    mf_pg_bytes_array(&j->round, e->ins, e->n_ins, search_at);
    mf_pg_bool_array(&j->round, e->ins, e->n_ins, is_pending_at);
    mf_pg_int_array(&j->round, j->state, e->n_ins,
                    j->state == NULL ? no_mark_at : mark_at);
}

static void put_api_key(struct mf_pg_job *j, const struct mf_store_entity *e)
{
    put_named(j, e);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_user_at);
    mf_pg_bytes_array(&j->round, e->ins, e->n_ins, hash_at);
    mf_pg_int_array(&j->round, e->ins, e->n_ins, expires_at);
}

static void put_all(struct mf_pg_job *j, const struct mf_store_entity *e)
{
    static void (*const put[MF_ENTITY_KIND_COUNT])(struct mf_pg_job *,
                                                   const struct mf_store_entity *) = {
        [MF_ENTITY_USER] = put_named,      [MF_ENTITY_AGENT] = put_named,
        [MF_ENTITY_SESSION] = put_session, [MF_ENTITY_KNOWLEDGE] = put_knowledge,
        [MF_ENTITY_API_KEY] = put_api_key,
    };

    mf_pg_add(&j->round, mf_pg_kind(e->kind)->put);
    put[e->kind](j, e);
}

/* The users and agents of the new ones, held so that nobody deletes them meanwhile. */
static void ask_parents(struct mf_pg_job *j, const struct mf_store_entity *e)
{
    mf_pg_add(&j->round, MF_PG_USER_HOLD);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_user_at);
    mf_pg_add(&j->round, MF_PG_AGENT_HOLD);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, agent_at);
}

static bool has_parents(const struct mf_store_entity *e)
{
    return mf_pg_kind(e->kind)->has_user;
}

/* What stands now under the ids; a session's id is one for all users. */
static void ask_current(struct mf_pg_job *j, const struct mf_store_entity *e)
{
    mf_pg_add(&j->round, mf_pg_kind(e->kind)->get);
    mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_id_at);
    if (e->kind == MF_ENTITY_SESSION) {
        mf_pg_null(&j->round);
    } else if (mf_pg_kind(e->kind)->has_user) {
        mf_pg_text_array(&j->round, e->ins, e->n_ins, mf_pg_user_at);
    }
}

static void ask_create(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    if (has_parents(e)) {
        ask_parents(j, e);
    }
    put_all(j, e);
    ask_current(j, e);
    if (e->idem != NULL) {
        mf_pg_add_idems(j, e->idem, 1);
    }
}

/* Results of ask_create, in its order. */
enum { AT_USERS, AT_AGENTS, N_PARENTS };

static size_t at_current(const struct mf_store_entity *e)
{
    return (has_parents(e) ? N_PARENTS : 0) + 1;
}

static bool is_same(const struct mf_entity *a, const struct mf_entity *b)
{
    return mf_slice_eq(a->user_id, b->user_id) &&
           mf_slice_eq(a->agent_id, b->agent_id) && mf_slice_eq(a->name, b->name) &&
           mf_slice_eq(a->text, b->text) && mf_slice_eq(a->key_hash, b->key_hash);
}

static int refuse_id(struct mf_pg_job *j)
{
    return mf_err_set(j->err, MF_EEXIST, "another %s has this id already",
                      mf_pg_kind(mf_pg_entity_of(j)->kind)->name);
}

static int refuse_name(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    return mf_err_set(j->err, MF_EEXIST, "another %s has this %s already",
                      mf_pg_kind(e->kind)->name,
                      e->kind == MF_ENTITY_API_KEY ? "key" : "name");
}

/* The row of `in`, or NULL and why not: in->id may be that of several users' rows, one
 * of them ours. */
MF_WORKER static const struct mf_entity *find_made(struct mf_pg_job *j,
                                                   const struct mf_pg_entities *all,
                                                   const struct mf_entity *in, int *rc)
{
    bool is_session = mf_pg_entity_of(j)->kind == MF_ENTITY_SESSION;
    const struct mf_entity *found = NULL;

    for (size_t i = mf_pg_first_of(all, in->id);
         i < all->n && mf_slice_eq(all->rows[i].id, in->id); i++) {
        const struct mf_entity *row = &all->rows[i];

        if (is_same(in, row)) {
            found = row;
        } else if (is_session || mf_slice_eq(in->user_id, row->user_id)) {
            *rc = refuse_id(j);
            return NULL;
        }
    }
    *rc = found == NULL ? refuse_name(j) : 0;
    return found;
}

/* 1: the id is among the rows, 0: it is not. */
MF_WORKER static int is_among(struct mf_pg_job *j, const PGresult *res,
                              struct mf_slice id)
{
    for (int i = 0; i < PQntuples(res); i++) { /* one or two, as a rule */
        struct mf_pg_row r = mf_pg_row(res, i, j->err);

        if (mf_slice_eq(mf_pg_peek(&r, 0), id)) {
            return 1;
        }
        if (r.rc < 0) {
            return r.rc;
        }
    }
    return 0;
}

MF_WORKER static int require(struct mf_pg_job *j, const PGresult *res, const char *kind,
                             mf_pg_slice_at_fn at)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    for (size_t i = 0; i < e->n_ins; i++) {
        struct mf_slice id = at(e->ins, i);
        int rc = is_among(j, res, id);

        if (rc < 0) {
            return rc;
        }
        if (rc == 0) {
            return mf_err_set(j->err, MF_ECONFLICT, "%s %.*s is not there", kind,
                              (int)mf_min(id.n, (size_t)MF_ID_MAX),
                              id.n == 0 ? "" : id.p);
        }
    }
    return 0;
}

MF_WORKER static int require_parents(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);
    int rc = 0;

    if (has_parents(e)) {
        rc = require(j, mf_pg_result(j, AT_USERS), "user", mf_pg_user_at);
    }
    if (rc == 0 && e->kind == MF_ENTITY_SESSION) {
        rc = require(j, mf_pg_result(j, AT_AGENTS), "agent", agent_at);
    }
    return rc;
}

/* Nothing of this is committed unless all is as it should be. */
MF_WORKER static int take_created(struct mf_pg_job *j)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);
    struct mf_pg_entities all;
    int rc = mf_pg_read_entities(j, mf_pg_result(j, at_current(e)), &all);

    mf_pg_sort_entities(&all);
    rc = rc < 0 ? rc : require_parents(j);
    if (rc < 0) {
        return rc;
    }
    e->n_rows = 0;
    e->rows = mf_arena_alloc(&j->req->arena, (e->n_ins + 1) * sizeof(*e->rows));
    if (e->rows == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "no memory for the rows");
    }
    for (size_t i = 0; i < e->n_ins; i++) {
        const struct mf_entity *made = find_made(j, &all, &e->ins[i], &rc);

        if (made == NULL) {
            return rc;
        }
        e->rows[e->n_rows++] = *made;
    }
    return 0;
}

/* Who comes first tells whether the request's rounds begin with the marks. */
int mf_pg_create(struct mf_pg_job *j)
{
    bool has_marks = needs_marks(j);
    int rc;

    if (has_marks && j->n_rounds == 0) {
        return ask_marks(j);
    }
    if (j->n_rounds == (has_marks ? 1 : 0)) {
        rc = has_marks ? take_marks(j) : 0;
        if (rc == 0) {
            ask_create(j);
        }
        return rc;
    }
    return j->n_rounds == (has_marks ? 2 : 1) ? take_created(j) : 0;
}

/* --- update */

/* The empty text that is not a missing one. */
static void add_text_value(struct mf_pg_job *j, const struct mf_entity *in)
{
    if (in->has_text) {
        mf_pg_words(&j->round, in->text);
    } else {
        mf_pg_text(&j->round, in->text);
    }
}

static void set_named(struct mf_pg_job *j, const struct mf_entity *now)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    mf_pg_add(&j->round, mf_pg_kind(e->kind)->set);
    mf_pg_text(&j->round, e->in.id);
    if (mf_pg_kind(e->kind)->has_user) {
        mf_pg_text(&j->round, now->user_id);
    }
    mf_pg_bool(&j->round, e->set_name);
    mf_pg_text(&j->round, e->in.name);
    if (e->kind != MF_ENTITY_SESSION) {
        mf_pg_bool(&j->round, e->set_text);
        add_text_value(j, &e->in);
    }
    mf_pg_int(&j->round, e->in.updated_us);
}

static bool looks_for_namesakes(const struct mf_store_entity *e)
{
    return e->set_name && mf_pg_kind(e->kind)->namesakes != MF_PG_STMT_COUNT;
}

static void ask_before(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    mf_pg_add_get(j, mf_pg_kind(e->kind)->get);
    if (looks_for_namesakes(e)) {
        mf_pg_add(&j->round, mf_pg_kind(e->kind)->namesakes);
        mf_pg_text(&j->round, e->in.id);
        mf_pg_text(&j->round, e->in.name);
    }
}

MF_WORKER static int take_before(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);
    struct mf_pg_entities before;
    int rc = mf_pg_read_entities(j, mf_pg_result(j, 0), &before);

    if (rc < 0) {
        return rc;
    }
    if (before.n == 0) {
        return mf_pg_entity_not_found(j);
    }
    if (looks_for_namesakes(e) && PQntuples(mf_pg_result(j, 1)) > 0) {
        return refuse_name(j);
    }
    set_named(j, &before.rows[0]);
    mf_pg_is_last(j);
    return 0;
}

MF_WORKER static int take_updated(struct mf_pg_job *j)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);
    struct mf_pg_entities rows;
    int rc = mf_pg_read_entities(j, mf_pg_result(j, 0), &rows);

    if (rc == 0 && rows.n == 0) {
        return mf_pg_entity_not_found(j);
    }
    e->rows = rows.rows;
    e->n_rows = rows.n;
    return rc;
}

MF_WORKER static int update_named(struct mf_pg_job *j)
{
    switch (j->n_rounds) {
    case 0: ask_before(j); return 0;
    case 1: return take_before(j);
    default: return take_updated(j);
    }
}

static void ask_set_knowledge(struct mf_pg_job *j)
{
    const struct mf_store_entity *e = mf_pg_entity_of(j);

    for (size_t i = 0; i < e->n_ins; i++) {
        const struct mf_entity *in = &e->ins[i];

        mf_pg_add(&j->round, MF_PG_KNOWLEDGE_SET);
        mf_pg_text(&j->round, in->id);
        mf_pg_text(&j->round, in->user_id);
        mf_pg_text(&j->round, in->text);
        mf_pg_bytes(&j->round, in->search);
        mf_pg_bool(&j->round, in->is_pending);
        mf_pg_int(&j->round, in->updated_us);
        mf_pg_int(&j->round, j->state == NULL ? 0 : mark_of(j->state, in->user_id));
    }
    mf_pg_is_last(j);
}

MF_WORKER static int take_knowledge(struct mf_pg_job *j)
{
    struct mf_store_entity *e = mf_pg_entity_of(j);

    e->n_rows = 0;
    e->rows = mf_arena_alloc(&j->req->arena, (e->n_ins + 1) * sizeof(*e->rows));
    if (e->rows == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "no memory for the rows");
    }
    for (size_t i = 0; i < j->n_results; i++) {
        struct mf_pg_entities one;
        int rc = mf_pg_read_entities(j, mf_pg_result(j, i), &one);

        if (rc < 0) {
            return rc;
        }
        if (one.n > 0 && e->n_rows < e->n_ins) {
            e->rows[e->n_rows++] = one.rows[0];
        }
    }
    return 0;
}

MF_WORKER static int update_knowledge(struct mf_pg_job *j)
{
    bool has_marks = needs_marks(j);
    int rc = 0;

    if (has_marks && j->n_rounds == 0) {
        return ask_marks(j);
    }
    if (j->n_rounds > (has_marks ? 1 : 0)) {
        return take_knowledge(j);
    }
    if (has_marks) {
        rc = take_marks(j);
    }
    if (rc == 0) {
        ask_set_knowledge(j);
    }
    return rc;
}

int mf_pg_update(struct mf_pg_job *j)
{
    return mf_pg_entity_of(j)->kind == MF_ENTITY_KNOWLEDGE ? update_knowledge(j)
                                                           : update_named(j);
}
