/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a shelf. The store reads at one moment, which we do not know; so all that is
 * told while it reads is kept in a log and applied when it has ended, in order. Each of
 * these changes may be done twice without harm: whether the store's moment was before
 * or after one does not matter.
 *
 * What is in the buffers is not loaded: it is put before a scan runs (library_fresh.c),
 * and what the store confirms meanwhile is in the log. So a round is never between the
 * two, whatever moment it is stored.
 */
#include "query/library_priv.h"

#include "base/log.h"
#include "base/stat.h"

#define MAX_LOG_BYTES ((size_t)64 * 1024 * 1024)
#define MAX_RELOADS   3
#define PIECE         128

struct mf_load {
    struct mf_store_search req;
    struct mf_library *lib;
    struct mf_holder *h; /* NULL: abandoned */
    struct mf_id user_id;
    struct mf_shelf *shelf; /* nobody else knows it yet */
    size_t max_resident;
    size_t n_damaged;
    bool is_large;
    _Atomic bool is_stopped;
};

struct change {
    struct mf_link link;
    enum mf_change_kind kind;
    struct mf_shelf_row row; /* slices of the bytes below */
    size_t n_bytes;
    char bytes[];
};

/* ---- on the store's worker ---- */

MF_WORKER static int feed_piece(struct mf_load *load,
                                const struct mf_store_search_row *rows, size_t n)
{
    struct mf_shelf_row out[PIECE];
    int rc;

    for (size_t i = 0; i < n; i++) {
        out[i] = (struct mf_shelf_row){rows[i].seq, rows[i].session_id,
                                       rows[i].agent_id, rows[i].search};
    }
    rc = mf_shelf_load(load->shelf, out, n);
    if (rc == MF_ECORRUPT) { /* the others are there */
        load->n_damaged++;
        rc = 0;
    }
    return rc;
}

MF_WORKER static int feed_shelf(struct mf_store_search *req,
                                const struct mf_store_search_row *rows, size_t n)
{
    struct mf_load *load = req->feed_arg;

    for (size_t at = 0; at < n; at += PIECE) {
        int rc = feed_piece(load, rows + at, mf_min(n - at, (size_t)PIECE));

        if (rc < 0) {
            return rc;
        }
    }
    load->is_large = mf_shelf_count(load->shelf) > load->max_resident;
    return load->is_large || atomic_load(&load->is_stopped) ? 1 : 0;
}

/* ---- on the loop ---- */

MF_LOOP static void free_load(struct mf_load *load)
{
    if (load->shelf != NULL) {
        mf_library_free_shelf(load->lib, load->shelf);
    }
    mf_store_req_fini(&load->req.req);
    mf_free(load);
}

/* Without the store: those who wait are answered from memory, and later ones try
 * again. Without memory there is nothing to answer with. */
MF_LOOP static void load_failed(struct mf_holder *h, int rc)
{
    if (rc == MF_ENOMEM) {
        mf_holder_fail_waiting(h, rc);
        mf_holder_drop(h);
        return;
    }
    mf_holder_set_state(h, MF_HOLDER_FAILED);
    mf_list_each_safe (&h->waiting, k) {
        mf_stream_run(mf_container_of(k, struct mf_run, link), true);
    }
    mf_holder_want_turn(h);
}

static void on_loaded(struct mf_store_req *req, int rc)
{
    struct mf_load *load = mf_container_of(req, struct mf_load, req.req);
    struct mf_library *lib = load->lib;
    struct mf_holder *h = load->h;

    mf_loop_assert(lib->loop);
    lib->n_at_store--;
    mf_library_arm(lib);
    if (h == NULL) {
        free_load(load);
        return;
    }
    h->load = NULL;
    if (load->n_damaged > 0) {
        mf_log_limited(MF_LOG_WARN, "search_record_damaged", "user=%s pieces=%zu",
                       h->user_id.s, load->n_damaged);
    }
    if (rc < 0) {
        mf_log_limited(MF_LOG_WARN, "shelf_load_failed", "user=%s code=%s",
                       h->user_id.s, mf_code_name(rc));
        load_failed(h, rc);
    } else if (load->is_large) {
        mf_holder_set_state(h, MF_HOLDER_LARGE);
        mf_holder_want_turn(h);
    } else {
        h->shelf = load->shelf;
        h->store_mark = load->req.mark;
        h->reads_done = h->reads_begun;
        load->shelf = NULL;
        mf_holder_want_turn(h);
    }
    free_load(load);
}

MF_LOOP static int submit(struct mf_holder *h)
{
    struct mf_library *lib = h->lib;
    struct mf_load *load = mf_calloc(1, sizeof(*load));
    int rc = MF_ENOMEM;

    if (load == NULL) {
        return rc;
    }
    load->lib = lib;
    load->h = h;
    load->user_id = h->user_id;
    load->max_resident = lib->cfg.max_resident;
    load->shelf = mf_shelf_new(&lib->cfg.weights);
    load->req.req.op = MF_STORE_LOAD_SEARCH;
    load->req.req.done = on_loaded;
    load->req.req.urgency = MF_URGENT;
    load->req.user_id = mf_id_slice(&load->user_id);
    load->req.feed = feed_shelf;
    load->req.feed_arg = load;
    if (load->shelf != NULL) {
        rc = mf_store_submit(lib->store, &load->req.req);
    }
    if (rc < 0) {
        free_load(load);
        return rc;
    }
    lib->n_at_store++;
    h->load = load;
    return 0;
}

void mf_load_start(struct mf_holder *h)
{
    int rc;

    mf_holder_set_state(h, MF_HOLDER_LOADING);
    h->mark = 0;
    h->reads_begun++;
    rc = submit(h);
    if (rc < 0) {
        load_failed(h, rc);
    }
}

void mf_load_abandon(struct mf_holder *h)
{
    if (h->load != NULL) {
        atomic_store(&h->load->is_stopped, true);
        h->load->h = NULL;
        h->load = NULL;
    }
}

/* ---- what happened meanwhile ---- */

static struct mf_slice take_copy(char **at, struct mf_slice from)
{
    struct mf_slice to = {*at, from.n};

    if (from.n > 0) {
        memcpy(*at, from.p, from.n);
        *at += from.n;
    }
    return to;
}

void mf_load_note(struct mf_holder *h, enum mf_change_kind kind,
                  const struct mf_shelf_row *row)
{
    size_t n = row->session_id.n + row->agent_id.n + row->rec.n;
    struct change *c = NULL;
    char *at;

    if (h->log_bytes + n <= MAX_LOG_BYTES) {
        c = mf_malloc(sizeof(*c) + n);
    }
    if (c == NULL) {
        h->has_lost_log = true;
        return;
    }
    at = c->bytes;
    *c = (struct change){.kind = kind, .row.seq = row->seq, .n_bytes = sizeof(*c) + n};
    c->row.session_id = take_copy(&at, row->session_id);
    c->row.agent_id = take_copy(&at, row->agent_id);
    c->row.rec = take_copy(&at, row->rec);
    mf_list_push_tail(&h->log, &c->link);
    h->log_bytes += c->n_bytes;
}

MF_LOOP static void pop_change(struct mf_holder *h)
{
    struct change *c = mf_container_of(mf_list_pop_head(&h->log), struct change, link);

    h->log_bytes -= c->n_bytes;
    mf_free(c);
}

void mf_load_forget_log(struct mf_holder *h)
{
    while (!mf_list_is_empty(&h->log)) {
        pop_change(h);
    }
    h->has_lost_log = false;
}

MF_LOOP static int apply(struct mf_shelf *s, const struct change *c)
{
    const struct mf_shelf_row *row = &c->row;

    switch (c->kind) {
    case MF_CHANGE_PUT:
        return mf_shelf_put(s, row->seq, row->session_id, row->agent_id, row->rec);
    case MF_CHANGE_REPLACE: return mf_shelf_replace(s, row->seq, row->rec);
    case MF_CHANGE_REMOVE: return mf_shelf_remove(s, row->seq);
    case MF_CHANGE_REMOVE_SESSION: return mf_shelf_remove_session(s, row->session_id);
    }
    return MF_EINVAL;
}

/* Some change is not known: the only honest shelf is another one. */
MF_LOOP static void load_again(struct mf_holder *h)
{
    mf_load_forget_log(h);
    mf_library_free_shelf(h->lib, h->shelf);
    h->shelf = NULL;
    if (h->n_reloads++ == MAX_RELOADS) {
        mf_holder_fail_waiting(h, MF_EBUSY);
        mf_holder_drop(h);
        return;
    }
    mf_list_each (&h->waiting, k) {
        mf_library_time(mf_container_of(k, struct mf_run, link));
    }
    mf_load_start(h);
}

void mf_load_settle(struct mf_holder *h)
{
    struct mf_library *lib = h->lib;

    while (!h->has_lost_log && lib->budget > 0 && !mf_list_is_empty(&h->log)) {
        struct change *c = mf_container_of(mf_list_head(&h->log), struct change, link);

        /* What it does not have need not go, and what is damaged cannot come. */
        if (apply(h->shelf, c) == MF_ENOMEM) {
            h->has_lost_log = true;
            break;
        }
        pop_change(h);
        lib->budget--;
    }
    if (h->has_lost_log) {
        load_again(h);
    } else if (!mf_list_is_empty(&h->log)) {
        mf_holder_want_turn(h);
    } else {
        h->n_reloads = 0;
        mf_stat_add(MF_STAT_shelf_loads, 1);
        mf_holder_set_state(h, MF_HOLDER_RESIDENT);
    }
}
