/* SPDX-License-Identifier: Apache-2.0 */
/* What the library knows of one user: made, counted, evicted, forgotten. */
#include "query/library_priv.h"

#include "base/log.h"
#include "base/stat.h"
#include "recall/grow.h"

#include <limits.h>

/* More than this many removals beside running scans: these rank anew. */
#define MAX_GONE    256
/* Freeing a record takes some hundred nanoseconds: above this not on the loop. */
#define LARGE_SHELF 2000

struct shelf_end {
    struct mf_job job;
    struct mf_library *lib;
    struct mf_shelf *shelf;
};

struct mf_slice mf_holder_key(const struct mf_map_node *node)
{
    const struct mf_holder *h =
        (const struct mf_holder *)((const char *)node -
                                   offsetof(struct mf_holder, node));

    return mf_id_slice(&h->user_id);
}

struct mf_holder *mf_holder_find(struct mf_library *lib, struct mf_slice user)
{
    struct mf_map_node *node = mf_map_find(&lib->holders, user);

    return node == NULL ? NULL : mf_container_of(node, struct mf_holder, node);
}

int mf_holder_new(struct mf_library *lib, struct mf_slice user, struct mf_holder **out)
{
    struct mf_holder *h = mf_calloc(1, sizeof(*h));
    int rc;

    if (h == NULL) {
        return MF_ENOMEM;
    }
    rc = mf_id_from(&h->user_id, user);
    if (rc == 0) {
        rc = mf_map_insert(&lib->holders, &h->node);
    }
    if (rc < 0) {
        mf_free(h);
        return rc;
    }
    h->lib = lib;
    h->state = MF_HOLDER_FAILED;
    mf_list_init(&h->waiting);
    mf_list_init(&h->log);
    mf_list_push_tail(&lib->used, &h->in_used);
    *out = h;
    return 0;
}

void mf_holder_want_turn(struct mf_holder *h)
{
    if (!mf_link_is_on(&h->in_turn)) {
        mf_list_push_tail(&h->lib->turn, &h->in_turn);
    }
    mf_library_arm(h->lib);
}

void mf_holder_account(struct mf_holder *h)
{
    struct mf_library *lib = h->lib;
    bool is_counted = h->state == MF_HOLDER_RESIDENT && !h->is_gone;
    size_t bytes = is_counted ? sizeof(*h) + mf_shelf_bytes(h->shelf) : 0;

    MF_ASSERT(lib->bytes >= h->bytes);
    lib->bytes = lib->bytes - h->bytes + bytes;
    h->bytes = bytes;
    mf_stat_set(MF_STAT_shelf_bytes, (int64_t)lib->bytes);
    if (lib->bytes > lib->cfg.max_bytes) {
        mf_library_arm(lib);
    }
}

MF_LOOP static void let_shelf_go(struct mf_holder *h)
{
    if (h->shelf != NULL) {
        mf_library_free_shelf(h->lib, h->shelf);
        h->shelf = NULL;
    }
}

/* A shelf is kept only while LOADING or RESIDENT; nobody may have borrowed it. */
void mf_holder_set_state(struct mf_holder *h, enum mf_holder_state state)
{
    struct mf_library *lib = h->lib;

    lib->n_shelves -= h->state == MF_HOLDER_RESIDENT;
    lib->n_shelves += state == MF_HOLDER_RESIDENT;
    h->state = state;
    if (state == MF_HOLDER_LARGE || state == MF_HOLDER_FAILED) {
        mf_delta_abandon(h);
        let_shelf_go(h);
    }
    if (state != MF_HOLDER_LOADING) {
        mf_load_forget_log(h);
    }
    mf_holder_account(h);
}

void mf_holder_fail_waiting(struct mf_holder *h, int rc)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&h->waiting)) != NULL) {
        mf_run_finish(mf_container_of(k, struct mf_run, link), rc);
    }
}

void mf_holder_drop(struct mf_holder *h)
{
    struct mf_library *lib = h->lib;
    struct mf_link *k;

    if (h->is_gone) {
        return;
    }
    h->is_gone = true;
    mf_map_remove(&lib->holders, &h->node);
    mf_list_remove(&lib->used, &h->in_used);
    lib->n_shelves -= h->state == MF_HOLDER_RESIDENT;
    mf_holder_account(h);
    mf_load_abandon(h);
    mf_delta_abandon(h);
    mf_fresh_abandon(h);
    mf_load_forget_log(h);
    while ((k = mf_list_pop_head(&h->waiting)) != NULL) {
        mf_run_restart(mf_container_of(k, struct mf_run, link));
    }
    mf_holder_want_turn(h);
}

int mf_holder_judge_put(uint64_t seq, int rc)
{
    if (rc == 0 || rc == MF_ENOMEM) {
        return rc;
    }
    mf_log_limited(MF_LOG_WARN, "search_record_refused", "seq=%llu code=%s",
                   (unsigned long long)seq, mf_code_name(rc));
    return 0;
}

bool mf_holder_put_part(struct mf_holder *h, mf_holder_put_fn *put, size_t *at,
                        size_t n)
{
    struct mf_library *lib = h->lib;
    struct mf_userbuf *u;
    int rc = 0;

    if (n > MF_TURN_ROWS && mf_shelf_is_lent(h->shelf)) {
        return false; /* the scan's end wants a turn */
    }
    u = mf_userbuf_find(lib->buffers, mf_id_slice(&h->user_id));
    for (; rc == 0 && *at < n && lib->budget > 0; (*at)++, lib->budget--) {
        rc = put(h, *at, u);
    }
    if (rc < 0) { /* another shelf will have it */
        mf_holder_drop(h);
        return false;
    }
    mf_holder_account(h);
    if (*at < n) {
        mf_holder_want_turn(h);
        return false;
    }
    return true;
}

void mf_holder_free(struct mf_holder *h)
{
    MF_ASSERT(h->is_gone && h->n_active == 0);
    if (mf_link_is_on(&h->in_turn)) {
        mf_list_remove(&h->lib->turn, &h->in_turn);
    }
    let_shelf_go(h);
    mf_free(h->gone);
    mf_free(h);
}

void mf_holder_note_gone(struct mf_holder *h, uint64_t seq)
{
    if (h->n_active == 0) {
        return;
    }
    if (h->n_gone == MAX_GONE ||
        mf_grow_array(&h->gone, &h->cap_gone, h->n_gone + 1, sizeof(*h->gone)) < 0) {
        h->epoch++;
        return;
    }
    h->gone[h->n_gone++] = seq;
}

static bool is_idle(const struct mf_holder *h)
{
    return h->state == MF_HOLDER_RESIDENT && h->n_active == 0 && h->fresh == NULL &&
           mf_list_is_empty(&h->waiting);
}

void mf_holder_evict(struct mf_library *lib)
{
    mf_list_each_safe (&lib->used, k) {
        struct mf_holder *h = mf_container_of(k, struct mf_holder, in_used);

        if (lib->bytes <= lib->cfg.max_bytes) {
            return;
        }
        if (is_idle(h)) {
            mf_holder_drop(h);
            mf_stat_add(MF_STAT_shelf_evictions, 1);
        }
    }
}

/* ---- the end of a shelf ---- */

MF_WORKER static void work_free_shelf(struct mf_job *job)
{
    mf_shelf_free(mf_container_of(job, struct shelf_end, job)->shelf);
}

static void on_shelf_freed(struct mf_job *job, int status)
{
    struct shelf_end *end = mf_container_of(job, struct shelf_end, job);

    mf_loop_assert(end->lib->loop);
    if (status < 0) { /* the lane closes before the job's turn */
        mf_shelf_free(end->shelf);
    }
    mf_free(end);
}

void mf_library_free_shelf(struct mf_library *lib, struct mf_shelf *shelf)
{
    struct shelf_end *end = NULL;

    if (!lib->is_closing && mf_shelf_count(shelf) > LARGE_SHELF) {
        end = mf_malloc(sizeof(*end));
    }
    if (end != NULL) {
        *end =
            (struct shelf_end){.job = {.work = work_free_shelf, .done = on_shelf_freed},
                               .lib = lib,
                               .shelf = shelf};
        if (mf_lane_submit(lib->lane, &end->job, MF_ORDINARY) == 0) {
            return;
        }
        mf_free(end);
    }
    mf_shelf_free(shelf);
}
