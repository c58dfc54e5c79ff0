/* SPDX-License-Identifier: Apache-2.0 */
/* Whose lines they are: names to ids, made when they are missing. */
#include "engine/import_priv.h"

#include "base/wallclock.h"

#include <stdlib.h>

struct name {
    struct mf_map_node node;
    struct mf_id id, agent_id; /* agent_id: of a session */
    size_t key_n;
    char key[];
};

static struct name *of_node(const struct mf_map_node *node)
{
    return mf_container_of((struct mf_map_node *)(uintptr_t)node, struct name, node);
}

static struct mf_slice key_of(const struct mf_map_node *node)
{
    const struct name *n = of_node(node);

    return mf_slice_of(n->key, n->key_n);
}

void mf_import_init_names(struct mf_import *im)
{
    mf_map_init(&im->names, key_of);
    mf_buf_init(&im->key);
}

static void forget_one(struct mf_map_node *node, void *arg)
{
    struct mf_import *im = arg;

    mf_map_remove(&im->names, node);
    mf_free(of_node(node));
}

void mf_import_forget_names(struct mf_import *im)
{
    mf_map_each(&im->names, forget_one, im);
    mf_map_fini(&im->names);
    mf_map_init(&im->names, key_of);
}

/* What is looked for: a session belongs to a user, and a new one has an agent. */
struct wanted {
    enum mf_entity_kind kind;
    struct mf_slice name, user_id, agent_id;
};

/* Neither ids nor the numbers of kinds have blanks. */
static int write_key(struct mf_import *im, const struct wanted *w, struct mf_slice *key)
{
    mf_buf_reset(&im->key);
    mf_buf_addf(&im->key, "%d %.*s ", (int)w->kind, (int)w->user_id.n,
                w->user_id.n == 0 ? "" : w->user_id.p);
    mf_buf_add_slice(&im->key, w->name);
    *key = mf_slice_of(im->key.p, im->key.n);
    return mf_buf_status(&im->key);
}

/* Many names are no reason for much memory: all are asked for anew. */
MF_LOOP static int remember(struct mf_import *im, struct mf_slice key,
                            const struct mf_entity *row, const struct name **out)
{
    struct name *n = mf_calloc(1, sizeof(*n) + key.n);
    int rc;

    if (n == NULL) {
        return MF_ENOMEM;
    }
    if (im->names.n >= MF_IMPORT_NAMES) {
        mf_import_forget_names(im);
    }
    memcpy(n->key, key.p, key.n);
    n->key_n = key.n;
    rc = mf_id_from(&n->id, row->id);
    if (rc == 0 && row->agent_id.n > 0) {
        rc = mf_id_from(&n->agent_id, row->agent_id);
    }
    if (rc == 0) {
        rc = mf_map_insert(&im->names, &n->node);
    }
    if (rc < 0) {
        mf_free(n);
        return rc;
    }
    *out = n;
    return 0;
}

/* 0 with *out NULL: there is none of that name. */
MF_LOOP static int find(struct mf_import *im, const struct wanted *w,
                        const struct name **out, struct mf_err *err)
{
    struct mf_slice key;
    const struct mf_map_node *node;
    int rc = write_key(im, w, &key);

    *out = NULL;
    if (rc < 0) {
        return mf_err_set(err, rc, "out of memory");
    }
    node = mf_map_find(&im->names, key);
    if (node != NULL) {
        *out = of_node(node);
        return 0;
    }
    im->entity =
        (struct mf_store_entity){.req = {.op = MF_STORE_FIND},
                                 .kind = w->kind,
                                 .in = {.name = w->name, .user_id = w->user_id}};
    rc = mf_import_ask(im, &im->entity.req, err);
    if (rc == 0 && im->entity.n_rows > 0) {
        rc = remember(im, key, &im->entity.rows[0], out);
    }
    mf_store_req_fini(&im->entity.req);
    return rc == MF_ENOTFOUND ? 0 : rc;
}

/* MF_EEXIST: another process made it meanwhile. */
MF_LOOP static int create(struct mf_import *im, const struct wanted *w,
                          struct mf_err *err)
{
    struct mf_id id;
    struct mf_entity row = {
        .name = w->name, .user_id = w->user_id, .agent_id = w->agent_id};
    int rc;

    mf_id_new_v4(&id);
    row.id = mf_id_slice(&id);
    row.created_us = row.updated_us = mf_wallclock_us();
    im->entity = (struct mf_store_entity){
        .req = {.op = MF_STORE_CREATE}, .kind = w->kind, .ins = &row, .n_ins = 1};
    rc = mf_import_ask(im, &im->entity.req, err);
    mf_store_req_fini(&im->entity.req);
    return rc;
}

MF_LOOP static int get(struct mf_import *im, const struct wanted *w,
                       const struct name **out, struct mf_err *err)
{
    int rc = find(im, w, out, err);

    if (rc < 0 || *out != NULL) {
        return rc;
    }
    rc = create(im, w, err);
    if (rc == MF_ECONFLICT) { /* the user or agent that we remember was deleted */
        mf_import_forget_names(im);
    }
    if (rc < 0 && rc != MF_EEXIST) {
        return rc;
    }
    rc = find(im, w, out, err);
    if (rc == 0 && *out == NULL) {
        (void)mf_err_set(err, MF_EDB, "what was just created is not there: '%.*s'",
                         (int)mf_min(w->name.n, (size_t)MF_ID_MAX), w->name.p);
        return MF_EDB;
    }
    return rc;
}

static int copy_id(struct mf_arena *arena, const struct mf_id *id, struct mf_slice *out)
{
    *out = mf_slice_of(mf_arena_strndup(arena, id->s, id->n), id->n);
    return out->p == NULL ? MF_ENOMEM : 0;
}

/* A session that is there has an agent: the line may leave it out, not name another. */
MF_LOOP static int check_agent(struct mf_import *im, const struct mf_import_line *line,
                               const struct mf_id *agent_id, struct mf_err *err)
{
    const struct wanted w = {.kind = MF_ENTITY_AGENT, .name = line->agent};
    const struct name *agent;
    int rc = line->agent.n == 0 ? 0 : find(im, &w, &agent, err);

    if (rc < 0 || line->agent.n == 0 ||
        (agent != NULL && mf_id_eq(&agent->id, agent_id))) {
        return rc;
    }
    return mf_err_set(err, MF_EUNPROCESSABLE,
                      "agent: the session is there, and belongs to another agent");
}

MF_LOOP static int make_session(struct mf_import *im, const struct mf_import_line *line,
                                struct wanted *w, struct mf_arena *arena,
                                const struct name **session, struct mf_err *err)
{
    const struct wanted a = {.kind = MF_ENTITY_AGENT,
                             .name = line->agent.n > 0 ? line->agent
                                                       : MF_SLICE(MF_IMPORT_AGENT)};
    const struct name *agent;
    int rc = get(im, &a, &agent, err);

    if (rc != 0) {
        return rc;
    }
    rc = copy_id(arena, &agent->id, &w->agent_id);
    return rc < 0 ? rc : get(im, w, session, err);
}

int mf_import_resolve(struct mf_import *im, const struct mf_import_line *line,
                      struct mf_arena *arena, struct mf_slice *user_id,
                      struct mf_slice *session_id, struct mf_err *err)
{
    const struct wanted u = {.kind = MF_ENTITY_USER, .name = line->user};
    struct wanted s = {.kind = MF_ENTITY_SESSION, .name = line->session};
    struct mf_id agent_id;
    const struct name *n;
    int rc = get(im, &u, &n, err);

    if (rc != 0) {
        return rc;
    }
    rc = copy_id(arena, &n->id, user_id);
    s.user_id = *user_id;
    if (rc == 0) {
        rc = find(im, &s, &n, err);
    }
    if (rc == 0 && n == NULL) {
        rc = make_session(im, line, &s, arena, &n, err);
    }
    if (rc != 0) {
        return rc;
    }
    MF_ASSERT(n != NULL);
    agent_id = n->agent_id; /* `n` may be forgotten with the next name */
    rc = copy_id(arena, &n->id, session_id);
    return rc < 0 ? rc : check_agent(im, line, &agent_id, err);
}
