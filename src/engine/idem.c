/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/idem.h"

#include "base/wallclock.h"
#include "engine/away.h"

#include <string.h>

struct mf_idem {
    struct mf_loop *loop;
    struct mf_store *store; /* NULL: stopped */
    struct mf_map by_key;
    uint64_t max_wait_ms; /* 0: no bound */
    struct mf_list timed; /* struct lookup that somebody waits for, oldest first */
};

/* In the map while its first request is under way, or its answer is held. */
struct answer {
    struct mf_map_node node;
    struct mf_slice key; /* own bytes */
    struct mf_buf response;
    struct mf_list waiters; /* tickets */
    uint8_t body_hash[32];
    int status; /* 0: under way */
    int64_t created_us;
    bool is_held;
    bool is_lost; /* there was no memory to keep it */
};

struct lookup {
    struct mf_store_idem_req req;
    struct mf_idem *m;
    struct mf_idem_ticket *ticket; /* NULL: nobody waits any more */
    struct mf_link link;           /* idem.timed, while somebody does */
    uint64_t until_ms;
};

static struct mf_slice key_of(const struct mf_map_node *node)
{
    return mf_container_of(node, struct answer, node)->key;
}

int mf_idem_new(struct mf_idem **out, struct mf_store *store)
{
    struct mf_idem *m = mf_calloc(1, sizeof(*m));

    if (m == NULL) {
        return MF_ENOMEM;
    }
    m->loop = store->loop;
    m->store = store;
    mf_map_init(&m->by_key, key_of);
    mf_list_init(&m->timed);
    *out = m;
    return 0;
}

void mf_idem_stop(struct mf_idem *m)
{
    m->store = NULL;
}

void mf_idem_bound(struct mf_idem *m, uint64_t max_wait_ms)
{
    m->max_wait_ms = max_wait_ms;
}

static struct answer *find(struct mf_idem *m, struct mf_slice key)
{
    struct mf_map_node *node = mf_map_find(&m->by_key, key);

    return node == NULL ? NULL : mf_container_of(node, struct answer, node);
}

static void forget(struct mf_idem *m, struct answer *a)
{
    mf_map_remove(&m->by_key, &a->node);
    mf_buf_fini(&a->response);
    mf_free((char *)(uintptr_t)a->key.p);
    mf_free(a);
}

static void forget_each(struct mf_map_node *node, void *arg)
{
    forget(arg, mf_container_of(node, struct answer, node));
}

void mf_idem_free(struct mf_idem *m)
{
    if (m != NULL) {
        mf_map_each(&m->by_key, forget_each, m);
        mf_map_fini(&m->by_key);
        mf_free(m);
    }
}

static struct answer *answer_new(struct mf_idem *m, struct mf_slice key,
                                 const uint8_t body_hash[32])
{
    struct answer *a = mf_calloc(1, sizeof(*a));
    char *copy = mf_strndup(key.p, key.n);

    if (a == NULL || copy == NULL) {
        goto free_both;
    }
    a->key = mf_slice_of(copy, key.n);
    a->created_us = mf_wallclock_us();
    memcpy(a->body_hash, body_hash, sizeof(a->body_hash));
    mf_buf_init(&a->response);
    mf_list_init(&a->waiters);
    if (mf_map_insert(&m->by_key, &a->node) < 0) {
        goto free_both;
    }
    return a;

free_both:
    mf_free(copy);
    mf_free(a);
    return NULL;
}

static void fail_ticket(struct mf_idem_ticket *t, int rc)
{
    (void)mf_err_set(&t->err, rc, "%s", mf_code_sentence(rc));
    t->done(t, MF_IDEM_FAILED);
}

/* Tells a ticket what a recorded answer means for it. */
static void settle_ticket(struct mf_idem_ticket *t, const uint8_t body_hash[32],
                          int status, struct mf_slice response)
{
    char *copy;

    if (memcmp(t->body_hash, body_hash, sizeof(t->body_hash)) != 0) {
        t->done(t, MF_IDEM_MISMATCH);
        return;
    }
    copy = mf_arena_strndup(t->arena, response.p, response.n);
    if (copy == NULL) {
        fail_ticket(t, MF_ENOMEM);
        return;
    }
    t->status = status;
    t->response = mf_slice_of(copy, response.n);
    t->done(t, MF_IDEM_REPLAY);
}

/* Likewise, of an answer that is here. */
static void answer_ticket(const struct answer *a, struct mf_idem_ticket *t)
{
    if (a->is_lost) { /* never half of it */
        fail_ticket(t, MF_ENOMEM);
        return;
    }
    settle_ticket(t, a->body_hash, a->status,
                  mf_slice_of(a->response.p, a->response.n));
}

static void end_key(struct mf_idem *m, struct mf_slice key, int status,
                    struct mf_slice response);

/* The key is known to nobody, as far as one can tell. */
MF_LOOP static bool may_proceed(const struct mf_idem *m, const struct mf_idem_ticket *t,
                                int rc)
{
    return rc == MF_ENOTFOUND ||
           (rc < 0 && t->may_go_unasked && mf_store_is_away(m->store, rc));
}

MF_LOOP static void looked_up(struct lookup *lk, int rc, const struct mf_err *why)
{
    struct mf_idem_ticket *t = lk->ticket;
    struct mf_idem *m = lk->m;

    lk->ticket = NULL;
    mf_list_remove(&m->timed, &lk->link);
    if (may_proceed(m, t, rc)) {
        t->done(t, MF_IDEM_PROCEED);
    } else if (rc < 0) {
        t->err = *why;
        t->err.code = rc;
        mf_idem_end(m, t, mf_code_status(rc), mf_slice_of(NULL, 0));
        t->done(t, MF_IDEM_FAILED);
    } else {
        const struct mf_store_idem *found = &lk->req.found;
        struct answer *a = find(m, lk->req.key);

        MF_ASSERT(a != NULL);
        /* Others that wait compare with the recorded body, not with this one's. */
        memcpy(a->body_hash, found->body_hash, sizeof(a->body_hash));
        end_key(m, lk->req.key, found->status, found->response);
        settle_ticket(t, found->body_hash, found->status, found->response);
    }
}

static void on_looked_up(struct mf_store_req *req, int rc)
{
    struct lookup *lk = mf_container_of(req, struct lookup, req.req);

    mf_loop_assert(lk->m->loop);
    if (lk->ticket != NULL) {
        looked_up(lk, rc, &req->err);
    }
    mf_store_req_fini(req);
    mf_free((char *)(uintptr_t)lk->req.key.p);
    mf_free(lk);
}

void mf_idem_tick(struct mf_idem *m, uint64_t now_ms)
{
    struct mf_link *k;

    while (m->max_wait_ms > 0 && (k = mf_list_head(&m->timed)) != NULL) {
        struct lookup *lk = mf_container_of(k, struct lookup, link);
        struct mf_err err = {0};

        if (lk->until_ms > now_ms) {
            break;
        }
        looked_up(lk,
                  mf_err_set(&err, MF_EUNAVAILABLE,
                             "the store did not say in time whether this "
                             "Idempotency-Key was used: try again later"),
                  &err);
    }
}

MF_LOOP static int look_up(struct mf_idem *m, struct mf_idem_ticket *t)
{
    struct lookup *lk;
    char *key;
    int rc = MF_ENOMEM;

    if (m->store == NULL) {
        return MF_ECLOSED;
    }
    lk = mf_calloc(1, sizeof(*lk));
    key = mf_strndup(t->key.p, t->key.n);
    if (lk == NULL || key == NULL) {
        goto free_both;
    }
    lk->m = m;
    lk->ticket = t;
    lk->req.req.op = MF_STORE_IDEM_GET;
    lk->req.req.done = on_looked_up;
    lk->req.req.urgency = MF_URGENT;
    lk->req.key = mf_slice_of(key, t->key.n);
    lk->until_ms = mf_loop_now_ms(m->loop) + m->max_wait_ms;
    rc = mf_store_submit(m->store, &lk->req.req);
    if (rc == 0) {
        mf_list_push_tail(&m->timed, &lk->link);
        return 0;
    }
    mf_store_req_fini(&lk->req.req);

free_both:
    mf_free(key);
    mf_free(lk);
    return rc;
}

int mf_idem_begin(struct mf_idem *m, struct mf_idem_ticket *t)
{
    struct answer *a = find(m, t->key);
    int rc;

    memset(&t->link, 0, sizeof(t->link));
    if (a != NULL && a->status == 0) {
        mf_list_push_tail(&a->waiters, &t->link);
        return 0;
    }
    if (a != NULL) { /* held: the store does not have it yet */
        answer_ticket(a, t);
        return 0;
    }
    a = answer_new(m, t->key, t->body_hash);
    if (a == NULL) {
        return MF_ENOMEM;
    }
    rc = look_up(m, t);
    if (rc < 0) {
        forget(m, a);
    }
    return rc;
}

static void wake(struct answer *a, struct mf_list *waiters)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(waiters)) != NULL) {
        answer_ticket(a, mf_container_of(k, struct mf_idem_ticket, link));
    }
}

MF_LOOP static void end_key(struct mf_idem *m, struct mf_slice key, int status,
                            struct mf_slice response)
{
    struct answer *a = find(m, key);
    struct mf_list waiters;
    struct mf_link *k;

    MF_ASSERT(a != NULL);
    mf_list_init(&waiters);
    mf_list_move(&waiters, &a->waiters);
    if (status < 300) {
        a->status = status;
        mf_buf_reset(&a->response);
        mf_buf_add_slice(&a->response, response);
        a->is_lost = mf_buf_status(&a->response) < 0;
        wake(a, &waiters);
        if (!a->is_held) {
            forget(m, a);
        }
        return;
    }
    forget(m, a);
    /* The first one failed: the next one's turn. */
    while ((k = mf_list_pop_head(&waiters)) != NULL) {
        struct mf_idem_ticket *w = mf_container_of(k, struct mf_idem_ticket, link);
        int rc = mf_idem_begin(m, w);

        if (rc < 0) {
            fail_ticket(w, rc);
        }
    }
}

void mf_idem_end(struct mf_idem *m, struct mf_idem_ticket *t, int status,
                 struct mf_slice response)
{
    end_key(m, t->key, status, response);
}

void mf_idem_hold(struct mf_idem *m, struct mf_slice key)
{
    struct answer *a = find(m, key);

    if (a != NULL) {
        a->is_held = true;
    }
}

int mf_idem_restore(struct mf_idem *m, const struct mf_store_idem *answer)
{
    struct answer *a = find(m, answer->key);

    if (a != NULL) {
        return 0; /* two rounds with one key: the first one's answer stands */
    }
    a = answer_new(m, answer->key, answer->body_hash);
    if (a == NULL) {
        return MF_ENOMEM;
    }
    a->status = answer->status;
    a->created_us = answer->created_us;
    a->is_held = true;
    mf_buf_add_slice(&a->response, answer->response);
    return mf_buf_status(&a->response);
}

bool mf_idem_find(struct mf_idem *m, struct mf_slice key, struct mf_store_idem *out)
{
    struct answer *a = find(m, key);

    if (a == NULL || a->status == 0 || a->is_lost) {
        return false;
    }
    out->key = a->key;
    memcpy(out->body_hash, a->body_hash, sizeof(out->body_hash));
    out->status = a->status;
    out->response = mf_slice_of(a->response.p, a->response.n);
    out->created_us = a->created_us;
    return true;
}

void mf_idem_drop(struct mf_idem *m, struct mf_slice key)
{
    struct answer *a = find(m, key);

    if (a != NULL && a->status != 0) {
        forget(m, a);
    } else if (a != NULL) {
        a->is_held = false;
    }
}
