/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/directory.h"

#include <string.h>

struct shelf_of_kind {
    struct mf_map by_id;
    struct mf_list lru; /* head: least recently used */
};

struct mf_directory {
    struct mf_loop *loop;
    struct mf_store *store; /* NULL: stopped */
    size_t max_of_kind;
    uint64_t n_forgotten; /* a row read before a deletion may come after it */
    struct shelf_of_kind kinds[MF_ENTITY_KIND_COUNT];
};

struct load {
    struct mf_store_entity req;
    struct mf_directory *d;
    struct mf_directory_wait *wait;
    enum mf_entity_kind kind;
    struct mf_id id;
    uint64_t n_forgotten;
};

static struct mf_slice key_of(const struct mf_map_node *node)
{
    const struct mf_known *k = mf_container_of(node, struct mf_known, node);

    return mf_id_slice(&k->id);
}

int mf_directory_new(struct mf_directory **out, struct mf_store *store,
                     size_t max_of_kind)
{
    struct mf_directory *d = mf_calloc(1, sizeof(*d));

    if (d == NULL) {
        return MF_ENOMEM;
    }
    d->loop = store->loop;
    d->store = store;
    d->max_of_kind = max_of_kind;
    for (size_t i = 0; i < MF_ENTITY_KIND_COUNT; i++) {
        mf_map_init(&d->kinds[i].by_id, key_of);
        mf_list_init(&d->kinds[i].lru);
    }
    *out = d;
    return 0;
}

void mf_directory_stop(struct mf_directory *d)
{
    d->store = NULL;
}

uint64_t mf_directory_n_forgotten(const struct mf_directory *d)
{
    return d->n_forgotten;
}

static void known_free(struct shelf_of_kind *s, struct mf_known *k)
{
    mf_map_remove(&s->by_id, &k->node);
    mf_list_remove(&s->lru, &k->link);
    mf_free((char *)(uintptr_t)k->name.p);
    mf_free(k);
}

void mf_directory_free(struct mf_directory *d)
{
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < MF_ENTITY_KIND_COUNT; i++) {
        struct shelf_of_kind *s = &d->kinds[i];

        while (!mf_list_is_empty(&s->lru)) {
            known_free(s,
                       mf_container_of(mf_list_head(&s->lru), struct mf_known, link));
        }
        mf_map_fini(&s->by_id);
    }
    mf_free(d);
}

const struct mf_known *mf_directory_find(struct mf_directory *d,
                                         enum mf_entity_kind kind, struct mf_slice id)
{
    struct shelf_of_kind *s = &d->kinds[kind];
    struct mf_map_node *node = mf_map_find(&s->by_id, id);
    struct mf_known *k;

    if (node == NULL) {
        return NULL;
    }
    k = mf_container_of(node, struct mf_known, node);
    mf_list_remove(&s->lru, &k->link);
    mf_list_push_tail(&s->lru, &k->link);
    return k;
}

static void forget(struct mf_directory *d, enum mf_entity_kind kind, struct mf_slice id)
{
    struct shelf_of_kind *s = &d->kinds[kind];
    struct mf_map_node *node = mf_map_find(&s->by_id, id);

    if (node != NULL) {
        known_free(s, mf_container_of(node, struct mf_known, node));
    }
}

void mf_directory_forget(struct mf_directory *d, enum mf_entity_kind kind,
                         struct mf_slice id)
{
    d->n_forgotten++;
    forget(d, kind, id);
}

static int known_fill(struct mf_known *k, enum mf_entity_kind kind,
                      const struct mf_entity *row)
{
    char *name;

    if (mf_id_from(&k->id, row->id) < 0 ||
        (row->user_id.n > 0 && mf_id_from(&k->user_id, row->user_id) < 0) ||
        (row->agent_id.n > 0 && mf_id_from(&k->agent_id, row->agent_id) < 0)) {
        return MF_ECORRUPT;
    }
    name = mf_strndup(row->name.n > 0 ? row->name.p : "", row->name.n);
    if (name == NULL) {
        return MF_ENOMEM;
    }
    k->kind = kind;
    k->name = mf_slice_of(name, row->name.n);
    return 0;
}

void mf_directory_remember(struct mf_directory *d, enum mf_entity_kind kind,
                           const struct mf_entity *row)
{
    struct shelf_of_kind *s = &d->kinds[kind];
    struct mf_known *k;

    forget(d, kind, row->id);
    k = mf_calloc(1, sizeof(*k));
    if (k == NULL || known_fill(k, kind, row) < 0) {
        mf_free(k);
        return;
    }
    if (mf_map_insert(&s->by_id, &k->node) < 0) {
        mf_free((char *)(uintptr_t)k->name.p);
        mf_free(k);
        return;
    }
    mf_list_push_tail(&s->lru, &k->link);
    while (s->lru.n > d->max_of_kind) {
        known_free(s, mf_container_of(mf_list_head(&s->lru), struct mf_known, link));
    }
}

static int ask(struct load *ld);

static void load_end(struct load *ld, int rc, const struct mf_known *k)
{
    struct mf_directory_wait *w = ld->wait;

    w->err = ld->req.req.err;
    mf_store_req_fini(&ld->req.req);
    mf_free(ld);
    w->done(w, rc, k);
}

static void on_loaded(struct mf_store_req *req, int rc)
{
    struct load *ld = mf_container_of(req, struct load, req.req);
    struct mf_directory *d = ld->d;
    const struct mf_known *k = NULL;

    mf_loop_assert(d->loop);
    if (rc == 0 && ld->n_forgotten != d->n_forgotten) {
        /* Something was deleted meanwhile, perhaps this: look again. */
        mf_store_req_fini(req);
        rc = ask(ld);
        if (rc < 0) {
            load_end(ld, rc, NULL);
        }
        return;
    }
    if (rc == 0 && ld->req.n_rows == 0) {
        rc = MF_ENOTFOUND;
    }
    if (rc == 0) {
        mf_directory_remember(d, ld->kind, &ld->req.rows[0]);
        k = mf_directory_find(d, ld->kind, mf_id_slice(&ld->id));
        rc = k == NULL ? MF_ENOMEM : 0;
    }
    load_end(ld, rc, k);
}

MF_LOOP static int ask(struct load *ld)
{
    memset(&ld->req, 0, sizeof(ld->req));
    if (ld->d->store == NULL) {
        return MF_ECLOSED;
    }
    ld->n_forgotten = ld->d->n_forgotten;
    ld->req.req.op = MF_STORE_GET;
    ld->req.req.done = on_loaded;
    ld->req.req.urgency = MF_URGENT;
    ld->req.kind = ld->kind;
    ld->req.in.id = mf_id_slice(&ld->id);
    return mf_store_submit(ld->d->store, &ld->req.req);
}

int mf_directory_load(struct mf_directory *d, enum mf_entity_kind kind,
                      struct mf_slice id, struct mf_directory_wait *w)
{
    struct load *ld;
    int rc;

    if (!mf_id_is_valid(id)) {
        return MF_ENOTFOUND; /* what is no id, nobody has */
    }
    ld = mf_calloc(1, sizeof(*ld));
    if (ld == NULL) {
        return MF_ENOMEM;
    }
    ld->d = d;
    ld->wait = w;
    ld->kind = kind;
    rc = mf_id_from(&ld->id, id);
    if (rc == 0) {
        rc = ask(ld);
    }
    if (rc < 0) {
        mf_store_req_fini(&ld->req.req);
        mf_free(ld);
    }
    return rc;
}
