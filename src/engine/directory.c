/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/directory.h"

#include "engine/away.h"

#include <string.h>

struct shelf_of_kind {
    struct mf_map by_id;
    struct mf_list lru; /* head: least recently used */
};

struct mf_directory {
    struct mf_loop *loop;
    struct mf_store *store;     /* NULL: stopped */
    struct mf_journal *journal; /* NULL: not kept */
    size_t max_of_kind;
    uint64_t max_wait_ms; /* 0: no bound */
    struct mf_list timed; /* struct load that somebody waits for, oldest first */
    uint64_t n_forgotten; /* a row read before a deletion may come after it */
    struct shelf_of_kind kinds[MF_ENTITY_KIND_COUNT];
};

struct load {
    struct mf_store_entity req;
    struct mf_directory *d;
    struct mf_directory_wait *wait; /* NULL: was told that it takes too long */
    struct mf_link in_timed;
    uint64_t until_ms;
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
    mf_list_init(&d->timed);
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
    d->journal = NULL;
}

void mf_directory_bound(struct mf_directory *d, uint64_t max_wait_ms)
{
    d->max_wait_ms = max_wait_ms;
}

void mf_directory_keep(struct mf_directory *d, struct mf_journal *j)
{
    d->journal = j;
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

static bool is_unsure(const struct mf_directory *d, const struct mf_known *k)
{
    bool is_old = d->store != NULL && d->store->info.is_shared &&
                  mf_loop_now_ms(d->loop) - k->said_ms >= MF_DIRECTORY_TRUST_MS;

    return k->is_unsure || is_old;
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
    if (is_unsure(d, k)) {
        return NULL;
    }
    mf_list_remove(&s->lru, &k->link);
    mf_list_push_tail(&s->lru, &k->link);
    return k;
}

static struct mf_known *look(struct mf_directory *d, enum mf_entity_kind kind,
                             struct mf_slice id)
{
    struct mf_map_node *node = mf_map_find(&d->kinds[kind].by_id, id);

    return node == NULL ? NULL : mf_container_of(node, struct mf_known, node);
}

const struct mf_known *mf_directory_guess(struct mf_directory *d,
                                          enum mf_entity_kind kind, struct mf_slice id)
{
    return look(d, kind, id);
}

static bool is_kept(const struct mf_directory *d, enum mf_entity_kind kind)
{
    return d->journal != NULL && (kind == MF_ENTITY_USER || kind == MF_ENTITY_AGENT ||
                                  kind == MF_ENTITY_SESSION);
}

MF_LOOP static void forget(struct mf_directory *d, enum mf_entity_kind kind,
                           struct mf_slice id)
{
    struct mf_known *k = look(d, kind, id);

    if (k == NULL) {
        return;
    }
    if (is_kept(d, kind)) {
        mf_journal_forget_later(d->journal, kind, id);
    }
    known_free(&d->kinds[kind], k);
}

void mf_directory_forget(struct mf_directory *d, enum mf_entity_kind kind,
                         struct mf_slice id)
{
    d->n_forgotten++;
    forget(d, kind, id);
}

static int known_fill(struct mf_known *k, enum mf_entity_kind kind,
                      const struct mf_journal_known *from)
{
    char *name;

    if (mf_id_from(&k->id, from->id) < 0 ||
        (from->user_id.n > 0 && mf_id_from(&k->user_id, from->user_id) < 0) ||
        (from->agent_id.n > 0 && mf_id_from(&k->agent_id, from->agent_id) < 0)) {
        return MF_ECORRUPT;
    }
    name = mf_strndup(from->name.n > 0 ? from->name.p : "", from->name.n);
    if (name == NULL) {
        return MF_ENOMEM;
    }
    k->kind = kind;
    k->name = mf_slice_of(name, from->name.n);
    return 0;
}

/* In the place of one with this id, if there is; NULL: no memory. */
static struct mf_known *known_put(struct mf_directory *d,
                                  const struct mf_journal_known *from)
{
    enum mf_entity_kind kind = (enum mf_entity_kind)from->kind;
    struct shelf_of_kind *s = &d->kinds[kind];
    struct mf_known *old = look(d, kind, from->id);
    struct mf_known *k = mf_calloc(1, sizeof(*k));

    if (old != NULL) {
        known_free(s, old);
    }
    if (k == NULL || known_fill(k, kind, from) < 0) {
        mf_free(k);
        return NULL;
    }
    if (mf_map_insert(&s->by_id, &k->node) < 0) {
        mf_free((char *)(uintptr_t)k->name.p);
        mf_free(k);
        return NULL;
    }
    mf_list_push_tail(&s->lru, &k->link);
    return k;
}

/* The least recently used go; `first` is the id of the first of them. */
static void make_room(struct mf_directory *d, enum mf_entity_kind kind,
                      struct mf_id *first)
{
    struct shelf_of_kind *s = &d->kinds[kind];

    first->n = 0;
    while (s->lru.n > d->max_of_kind) {
        struct mf_known *k =
            mf_container_of(mf_list_head(&s->lru), struct mf_known, link);

        *first = first->n == 0 ? k->id : *first;
        known_free(s, k);
    }
}

int mf_directory_restore(struct mf_directory *d, const struct mf_journal_known *from)
{
    struct mf_id dropped;
    struct mf_known *k;

    if (from->kind > MF_ENTITY_SESSION) {
        return 0;
    }
    k = known_put(d, from);
    if (k == NULL) {
        return MF_ENOMEM;
    }
    k->is_unsure = true;
    make_room(d, k->kind, &dropped);
    return 0;
}

/* The same as what the journal's file has: it need not be written again. */
static bool is_as_kept(const struct mf_known *k, const struct mf_journal_known *row)
{
    return k != NULL && mf_slice_eq(mf_id_slice(&k->user_id), row->user_id) &&
           mf_slice_eq(mf_id_slice(&k->agent_id), row->agent_id) &&
           mf_slice_eq(k->name, row->name);
}

void mf_directory_remember(struct mf_directory *d, enum mf_entity_kind kind,
                           const struct mf_entity *row)
{
    struct mf_journal_known k = {.kind = kind,
                                 .id = row->id,
                                 .user_id = row->user_id,
                                 .agent_id = row->agent_id,
                                 .name = row->name};
    bool is_same = is_as_kept(look(d, kind, row->id), &k);
    struct mf_known *known = known_put(d, &k);
    struct mf_id dropped;

    if (known == NULL) {
        return;
    }
    known->said_ms = mf_loop_now_ms(d->loop);
    make_room(d, kind, &dropped);
    if (is_kept(d, kind) && !is_same) {
        mf_journal_remember(d->journal, &k, mf_id_slice(&dropped));
    }
}

static int ask(struct load *ld);
static void load_owners(struct mf_directory *d, enum mf_entity_kind kind,
                        const struct mf_entity *row);

/* Tells who waits. What was known before the start is all there is while the store is
 * away. */
MF_LOOP static void tell(struct load *ld, int rc, const struct mf_err *err)
{
    struct mf_directory_wait *w = ld->wait;
    struct mf_directory *d = ld->d;
    const struct mf_known *k = NULL;

    if (w == NULL) {
        return;
    }
    if (rc == 0 || mf_store_is_away(d->store, rc)) {
        k = look(d, ld->kind, mf_id_slice(&ld->id));
        rc = k != NULL ? 0 : rc == 0 ? MF_ENOMEM : rc;
    }
    ld->wait = NULL;
    mf_list_remove(&d->timed, &ld->in_timed);
    w->err = *err;
    w->done(w, rc, k);
}

MF_LOOP static void load_end(struct load *ld, int rc)
{
    struct mf_err err = ld->req.req.err;

    tell(ld, rc, &err);
    mf_store_req_fini(&ld->req.req);
    mf_free(ld);
}

void mf_directory_tick(struct mf_directory *d, uint64_t now_ms)
{
    struct mf_link *k;

    while (d->max_wait_ms > 0 && (k = mf_list_head(&d->timed)) != NULL) {
        struct load *ld = mf_container_of(k, struct load, in_timed);
        struct mf_err err = {0};

        if (ld->until_ms > now_ms) {
            break;
        }
        tell(ld,
             mf_err_set(&err, MF_EUNAVAILABLE,
                        "the store did not answer within %llu ms: try again later",
                        (unsigned long long)d->max_wait_ms),
             &err);
    }
}

static void on_loaded(struct mf_store_req *req, int rc)
{
    struct load *ld = mf_container_of(req, struct load, req.req);
    struct mf_directory *d = ld->d;

    mf_loop_assert(d->loop);
    if (rc == 0 && ld->n_forgotten != d->n_forgotten) {
        /* Something was deleted meanwhile, perhaps this: look again. */
        mf_store_req_fini(req);
        rc = ask(ld);
        if (rc < 0) {
            load_end(ld, rc);
        }
        return;
    }
    if (rc == 0 && ld->req.n_rows == 0) {
        rc = MF_ENOTFOUND;
    }
    if (rc == MF_ENOTFOUND) {
        forget(d, ld->kind, mf_id_slice(&ld->id));
    } else if (rc == 0) {
        mf_directory_remember(d, ld->kind, &ld->req.rows[0]);
        load_owners(d, ld->kind, &ld->req.rows[0]);
    }
    load_end(ld, rc);
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

/* `w` NULL: nobody waits. */
MF_LOOP static int load_begin(struct mf_directory *d, enum mf_entity_kind kind,
                              struct mf_slice id, struct mf_directory_wait *w)
{
    struct load *ld = mf_calloc(1, sizeof(*ld));
    int rc;

    if (ld == NULL) {
        return MF_ENOMEM;
    }
    ld->d = d;
    ld->wait = w;
    ld->kind = kind;
    ld->until_ms = mf_loop_now_ms(d->loop) + d->max_wait_ms;
    rc = mf_id_from(&ld->id, id);
    if (rc == 0) {
        rc = ask(ld);
    }
    if (rc < 0) {
        if (w != NULL) {
            w->err = ld->req.req.err;
        }
        mf_store_req_fini(&ld->req.req);
        mf_free(ld);
        return rc;
    }
    if (w != NULL) {
        mf_list_push_tail(&d->timed, &ld->in_timed);
    }
    return 0;
}

/* So that a question about a known session finds its user when the store is away. That
 * it fails costs a look later. */
MF_LOOP static void load_owners(struct mf_directory *d, enum mf_entity_kind kind,
                                const struct mf_entity *row)
{
    if (kind != MF_ENTITY_SESSION || !is_kept(d, kind)) {
        return;
    }
    if (look(d, MF_ENTITY_USER, row->user_id) == NULL) {
        (void)load_begin(d, MF_ENTITY_USER, row->user_id, NULL);
    }
    if (look(d, MF_ENTITY_AGENT, row->agent_id) == NULL) {
        (void)load_begin(d, MF_ENTITY_AGENT, row->agent_id, NULL);
    }
}

int mf_directory_load(struct mf_directory *d, enum mf_entity_kind kind,
                      struct mf_slice id, struct mf_directory_wait *w)
{
    w->err = (struct mf_err){0};
    if (!mf_id_is_valid(id)) {
        return MF_ENOTFOUND; /* what is no id, nobody has */
    }
    return load_begin(d, kind, id, w);
}
