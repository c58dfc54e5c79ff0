/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the Postgres store: which verb each is, who waits, how each ends. */
#include "store/pg_code.h"
#include "store/pg_priv.h"

/* What somebody waits for who could only send it again, when it lost to another. */
static const struct mf_dep_config victims = {.max_attempts = 5};

static const struct mf_pg_verb verbs[] = {
    [MF_STORE_WRITE_ROUNDS] = {mf_pg_write_rounds, NULL, true},
    [MF_STORE_GET_MESSAGES] = {mf_pg_get_messages, NULL, false},
    [MF_STORE_LIST_MESSAGES] = {mf_pg_list_messages, NULL, false},
    [MF_STORE_UPDATE_MESSAGES] = {mf_pg_update_messages, NULL, true},
    [MF_STORE_DELETE_MESSAGES] = {mf_pg_delete_messages, NULL, true},
    [MF_STORE_PENDING_VECTORS] = {mf_pg_pending, NULL, false},
    [MF_STORE_SET_SEARCH] = {mf_pg_set_search, NULL, true},
    [MF_STORE_MARK_FOREIGN] = {mf_pg_mark_foreign, NULL, true},
    [MF_STORE_LOAD_SEARCH] = {mf_pg_load_search, mf_pg_load_search_rows, false},
    [MF_STORE_GET] = {mf_pg_get, NULL, false},
    [MF_STORE_FIND] = {mf_pg_find, NULL, false},
    [MF_STORE_LIST] = {mf_pg_list, NULL, false},
    [MF_STORE_CREATE] = {mf_pg_create, NULL, true},
    [MF_STORE_UPDATE] = {mf_pg_update, NULL, true},
    [MF_STORE_DELETE] = {mf_pg_delete, NULL, true},
    [MF_STORE_IDEM_GET] = {mf_pg_idem_get, NULL, false},
    [MF_STORE_IDEM_PURGE] = {mf_pg_idem_purge, NULL, true},
    [MF_STORE_LOAD_ROUNDS] = {mf_pg_load_rounds, NULL, true},
};

static const struct mf_pg_verb tell_parts = {mf_pg_tell_parts, NULL, false};

static struct mf_pg_store *of_base(struct mf_store *s)
{
    return mf_container_of(s, struct mf_pg_store, base);
}

static struct mf_store_write *write_of(struct mf_store_req *req)
{
    return req->op == MF_STORE_WRITE_ROUNDS
               ? mf_container_of(req, struct mf_store_write, req)
               : NULL;
}

static const struct mf_pg_verb *verb_of(struct mf_store_req *req)
{
    const struct mf_store_write *w = write_of(req);

    return w != NULL && w->parts != NULL ? &tell_parts : &verbs[req->op];
}

MF_LOOP static void end(struct mf_store_req *req, int rc)
{
    /* That the database does not let us in is nothing its users could mend. */
    if (rc == MF_EAUTH) {
        rc = req->err.code = MF_EUNAVAILABLE;
    }
    if (rc == MF_EUNAVAILABLE || rc == MF_ETIMEOUT || rc == MF_EDB) {
        mf_pg_hide(&req->err);
    }
    req->rc = rc;
    req->done(req, rc);
}

MF_LOOP static int start(struct mf_pg_store *s, struct mf_store_req *req);

/* The flush tries again by itself, and so does whoever works in the background. */
MF_LOOP static bool may_go_again(const struct mf_pg_store *s,
                                 const struct mf_store_req *req)
{
    return req->op == MF_STORE_CREATE && !s->is_closing && mf_pg_is_victim(&req->err) &&
           mf_dep_may_retry(&victims, req->attempts);
}

static void on_run_done(void *arg, int rc)
{
    struct mf_store_req *req = arg;
    struct mf_pg_store *s = of_base(req->store);

    mf_loop_assert(s->base.loop);
    if (rc < 0 && may_go_again(s, req)) {
        req->attempts++;
        req->err = (struct mf_err){0};
        rc = start(s, req);
        if (rc == 0) {
            return;
        }
    }
    if (rc < 0) {
        struct mf_store_write *w = write_of(req);

        mf_pg_heed(s, &req->err);
        if (w != NULL && s->runner.env->cfg.is_citus) {
            w->is_part_away = mf_pg_is_worker_away(&req->err);
        }
    }
    end(req, rc);
    mf_pg_close_parts(s);
}

static int start(struct mf_pg_store *s, struct mf_store_req *req)
{
    struct mf_pg_run_spec spec = {.verb = verb_of(req),
                                  .req = req,
                                  .urgency = req->urgency,
                                  .done = on_run_done,
                                  .arg = req};
    int rc = mf_pg_run(&s->runner, &spec);

    return rc < 0 ? mf_err_set(&req->err, rc, "the store: %s", mf_code_sentence(rc))
                  : 0;
}

static struct mf_store_req *pop(struct mf_list *line)
{
    struct mf_link *k = mf_list_pop_head(line);

    return k == NULL ? NULL : mf_container_of(k, struct mf_store_req, job.link);
}

void mf_pg_let_go(struct mf_pg_store *s)
{
    struct mf_store_req *req;

    while (s->readiness == MF_PG_READY && (req = pop(&s->line)) != NULL) {
        int rc = start(s, req);

        if (rc < 0) {
            end(req, rc);
        }
    }
}

/* --- the line ends */

static void on_line_end(struct mf_turn_hook *h)
{
    struct mf_pg_store *s = mf_container_of(h, struct mf_pg_store, ender);
    struct mf_list now; /* not those that come while these are told */
    struct mf_store_req *req;

    mf_loop_assert(s->base.loop);
    mf_list_init(&now);
    if (s->is_closing || s->readiness == MF_PG_FAILED) {
        mf_list_move(&now, &s->line);
    }
    while ((req = pop(&now)) != NULL) {
        int rc;

        if (s->is_closing) {
            rc = mf_err_set(&req->err, MF_ECANCELED,
                            "the store was closed before its turn");
        } else {
            req->err = s->why;
            rc = req->err.code = MF_EUNAVAILABLE;
        }
        end(req, rc);
    }
    if (s->is_closing) {
        mf_pg_runner_cancel(&s->runner);
        mf_pg_close_parts(s);
    }
}

void mf_pg_end_line(struct mf_pg_store *s)
{
    s->ender.fn = on_line_end;
    mf_loop_at_turn_end(s->base.loop, &s->ender);
}

int mf_pg_submit(struct mf_store *base, struct mf_store_req *req)
{
    struct mf_pg_store *s = of_base(base);

    if ((size_t)req->op >= mf_countof(verbs)) {
        return mf_err_set(&req->err, MF_EINVAL, "no such store verb: %d", (int)req->op);
    }
    if (s->is_closing) {
        return mf_err_set(&req->err, MF_ECLOSED, "the store is closing");
    }
    req->attempts = 1;
    if (s->line.n + s->runner.n_running >= s->max_waiting + s->n_conns) {
        return mf_err_set(&req->err, MF_EBUSY,
                          "%zu requests wait for the store (store.max_waiting): try "
                          "again later",
                          s->max_waiting);
    }
    if (s->readiness == MF_PG_READY) {
        return start(s, req);
    }
    req->job.link = (struct mf_link){NULL, NULL};
    mf_list_push_tail(&s->line, &req->job.link);
    if (s->readiness == MF_PG_FAILED) {
        mf_pg_end_line(s);
    }
    return 0;
}
