/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite store: which verb runs where, opening, closing, checkpoints.
 *
 * The write lane has one permit, so the writer's connection needs no lock. The read
 * lane has as many permits as there are readers: a job that runs always finds a free
 * one, by one atomic exchange.
 */
#include "base/log.h"
#include "store/sqlite_priv.h"

#include <limits.h>
#include <stdatomic.h>

/* Pages between checkpoints: 64 MiB, some twenty full batches, so that a page that each
 * of them touches is copied once. */
#define CHECKPOINT_PAGES 8000
/* Readers that overlap all the time keep the WAL from starting anew; from here on a
 * checkpoint waits for them (at most the busy time), so that the file stays bounded. */
#define RESTART_PAGES    (8 * CHECKPOINT_PAGES)

struct sqlite_store {
    struct mf_store base; /* first member */
    struct mf_sq_conn writer;
    struct mf_sq_conn readers[MF_SQ_MAX_READERS];
    unsigned n_readers;
    _Atomic unsigned free_readers; /* a bit each */
    struct mf_lane *write_lane, *read_lane;
    size_t max_waiting;
    struct mf_job checkpoint;
    bool is_checkpointing;              /* the job is in the write lane */
    _Atomic bool needs_checkpoint;      /* the writer's word to the loop */
    unsigned wal_pages, n_checkpointed; /* the writer's: in the WAL; at the last one */
    bool is_closing;
    unsigned n_open_lanes;
    uv_work_t close_work;
    mf_store_closed_fn closed;
    void *closed_arg;
};

struct verb {
    mf_sq_body_fn body;
    bool is_write;
};

static const struct verb verbs[] = {
    [MF_STORE_WRITE_ROUNDS] = {mf_sq_write_rounds, true},
    [MF_STORE_GET_MESSAGES] = {mf_sq_get_messages, false},
    [MF_STORE_LIST_MESSAGES] = {mf_sq_list_messages, false},
    [MF_STORE_UPDATE_MESSAGES] = {mf_sq_update_messages, true},
    [MF_STORE_DELETE_MESSAGES] = {mf_sq_delete_messages, true},
    [MF_STORE_PENDING_VECTORS] = {mf_sq_pending, false},
    [MF_STORE_SET_SEARCH] = {mf_sq_set_search, true},
    [MF_STORE_MARK_FOREIGN] = {mf_sq_mark_foreign, true},
    [MF_STORE_LOAD_SEARCH] = {mf_sq_load_search, false},
    [MF_STORE_GET] = {mf_sq_get, false},
    [MF_STORE_FIND] = {mf_sq_find, false},
    [MF_STORE_LIST] = {mf_sq_list, false},
    [MF_STORE_CREATE] = {mf_sq_create, true},
    [MF_STORE_UPDATE] = {mf_sq_update, true},
    [MF_STORE_DELETE] = {mf_sq_delete, true},
    [MF_STORE_IDEM_GET] = {mf_sq_idem_get, false},
    [MF_STORE_IDEM_PURGE] = {mf_sq_idem_purge, true},
    [MF_STORE_LOAD_ROUNDS] = {mf_sq_write_rounds, true},
};

static struct sqlite_store *of_base(struct mf_store *s)
{
    return mf_container_of(s, struct sqlite_store, base);
}

/* --- on workers */

/* SQLite calls this on the writer's thread after each commit. */
static int on_committed(void *arg, MF_UNUSED sqlite3 *db, MF_UNUSED const char *name,
                        int n_pages)
{
    struct sqlite_store *s = arg;

    s->wal_pages = (unsigned)n_pages;
    if (s->wal_pages < s->n_checkpointed) { /* the WAL began anew */
        s->n_checkpointed = 0;
    }
    if (s->wal_pages - s->n_checkpointed >= CHECKPOINT_PAGES) {
        atomic_store(&s->needs_checkpoint, true);
    }
    return SQLITE_OK;
}

MF_WORKER static void work_checkpoint(struct mf_job *job)
{
    struct sqlite_store *s = mf_container_of(job, struct sqlite_store, checkpoint);
    bool is_high = s->wal_pages >= RESTART_PAGES;
    int n_pages = 0;
    int n_done = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->writer.db, NULL,
                                       is_high ? SQLITE_CHECKPOINT_RESTART
                                               : SQLITE_CHECKPOINT_PASSIVE,
                                       &n_pages, &n_done);

    atomic_store(&s->needs_checkpoint, false);
    s->n_checkpointed = s->wal_pages;
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
        mf_log_limited(MF_LOG_WARN, "store_checkpoint_failed", "code=%d pages=%d", rc,
                       n_pages);
        return;
    }
    mf_log_debug("store_checkpoint", "pages=%d done=%d restart=%d", n_pages, n_done,
                 is_high);
}

MF_WORKER static void work_write(struct mf_job *job)
{
    struct mf_store_req *req = mf_container_of(job, struct mf_store_req, job);
    struct sqlite_store *s = of_base(req->store);

    req->rc = mf_sq_transact(&s->writer, true, verbs[req->op].body, req);
}

MF_WORKER static unsigned take_reader(struct sqlite_store *s)
{
    unsigned free = atomic_load(&s->free_readers);
    unsigned at;

    do {
        MF_ASSERT(free != 0); /* the lane has one permit for each reader */
        at = (unsigned)__builtin_ctz(free);
    } while (
        !atomic_compare_exchange_weak(&s->free_readers, &free, free & ~(1U << at)));
    return at;
}

MF_WORKER static void work_read(struct mf_job *job)
{
    struct mf_store_req *req = mf_container_of(job, struct mf_store_req, job);
    struct sqlite_store *s = of_base(req->store);
    unsigned at = take_reader(s);

    req->rc = mf_sq_transact(&s->readers[at], false, verbs[req->op].body, req);
    (void)atomic_fetch_or(&s->free_readers, 1U << at);
}

static void close_connections(struct sqlite_store *s)
{
    for (unsigned i = 0; i < s->n_readers; i++) {
        mf_sq_conn_close(&s->readers[i]);
    }
    mf_sq_conn_close(&s->writer); /* last: it checkpoints and removes the WAL */
}

MF_WORKER static void work_close(uv_work_t *work)
{
    close_connections(mf_container_of(work, struct sqlite_store, close_work));
}

/* --- on the loop */

static void on_checkpointed(struct mf_job *job, MF_UNUSED int status)
{
    struct sqlite_store *s = mf_container_of(job, struct sqlite_store, checkpoint);

    mf_loop_assert(s->base.loop);
    s->is_checkpointing = false;
}

/* Urgent, so that a long line of batches does not keep the WAL growing. The lane has
 * room for this one job beyond the line. */
MF_LOOP static void checkpoint_if_due(struct sqlite_store *s)
{
    if (s->is_checkpointing || s->is_closing || !atomic_load(&s->needs_checkpoint)) {
        return;
    }
    s->checkpoint.work = work_checkpoint;
    s->checkpoint.done = on_checkpointed;
    s->is_checkpointing = mf_lane_submit(s->write_lane, &s->checkpoint, MF_URGENT) == 0;
}

static void on_request_done(struct mf_job *job, int status)
{
    struct mf_store_req *req = mf_container_of(job, struct mf_store_req, job);

    mf_loop_assert(req->store->loop);
    if (status < 0) {
        req->rc = mf_err_set(&req->err, status, "the store was closed before its turn");
    }
    checkpoint_if_due(of_base(req->store));
    req->done(req, req->rc);
}

MF_LOOP static int submit_request(struct mf_store *base, struct mf_store_req *req)
{
    struct sqlite_store *s = of_base(base);
    const struct verb *verb;
    struct mf_lane *lane;

    if ((size_t)req->op >= mf_countof(verbs)) {
        return mf_err_set(&req->err, MF_EINVAL, "no such store verb: %d", (int)req->op);
    }
    if (s->is_closing) {
        return mf_err_set(&req->err, MF_ECLOSED, "the store is closing");
    }
    verb = &verbs[req->op];
    lane = verb->is_write ? s->write_lane : s->read_lane;
    if (mf_lane_n_waiting(lane) >= s->max_waiting) {
        return mf_err_set(&req->err, MF_EBUSY,
                          "%zu requests wait for the store (store.max_waiting): try "
                          "again later",
                          s->max_waiting);
    }
    req->job.work = verb->is_write ? work_write : work_read;
    req->job.done = on_request_done;
    return mf_lane_submit(lane, &req->job, req->urgency);
}

static void on_store_closed(uv_work_t *work, MF_UNUSED int status)
{
    struct sqlite_store *s = mf_container_of(work, struct sqlite_store, close_work);
    mf_store_closed_fn closed = s->closed;
    void *arg = s->closed_arg;

    mf_loop_assert(s->base.loop);
    mf_free(s);
    if (closed != NULL) {
        closed(arg);
    }
}

static void on_lane_closed(void *arg)
{
    struct sqlite_store *s = arg;

    mf_loop_assert(s->base.loop);
    if (--s->n_open_lanes > 0) {
        return;
    }
    /* The last checkpoint syncs: not on the loop. */
    MF_ASSERT(uv_queue_work(mf_loop_uv(s->base.loop), &s->close_work, work_close,
                            on_store_closed) == 0);
}

MF_LOOP static void close_store(struct mf_store *base, mf_store_closed_fn closed,
                                void *arg)
{
    struct sqlite_store *s = of_base(base);

    if (s->is_closing) {
        return;
    }
    s->is_closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    mf_lane_close(s->write_lane, on_lane_closed, s);
    mf_lane_close(s->read_lane, on_lane_closed, s);
}

/* --- opening */

static const struct mf_store_ops sqlite_ops = {
    .name = "sqlite",
    .submit = submit_request,
    .close = close_store,
};

static int open_writer(struct sqlite_store *s, const char *path, size_t cache_bytes,
                       uint32_t space, struct mf_err *err)
{
    const struct mf_sq_step *steps;
    size_t n_steps;
    int rc = mf_sq_conn_open(&s->writer, path, true, cache_bytes, err);

    if (rc < 0) {
        return rc;
    }
    steps = mf_sq_steps(&n_steps);
    rc = mf_sq_migrate(&s->writer, steps, n_steps, err);
    if (rc == 0) {
        rc = mf_sq_prepare(&s->writer, err);
    }
    if (rc == 0) {
        rc = mf_sq_read_info(&s->writer, &s->base.info, err);
    }
    if (rc == 0 && space != 0 && s->base.info.space != space) {
        s->base.info.space = 0;
        rc = mf_sq_set_space(&s->writer, 0, err);
    }
    (void)sqlite3_wal_hook(s->writer.db, on_committed, s);
    return rc;
}

static int open_connections(struct sqlite_store *s, const char *path,
                            const struct mf_store_config *cfg, struct mf_err *err)
{
    int rc = mf_sq_create_private(path, err);

    if (rc == 0) {
        rc = open_writer(s, path, cfg->cache_bytes, cfg->space, err);
    }
    for (; rc == 0 && s->n_readers < cfg->readers; s->n_readers++) {
        struct mf_sq_conn *c = &s->readers[s->n_readers];

        rc = mf_sq_conn_open(c, path, false, cfg->cache_bytes, err);
        if (rc == 0) {
            rc = mf_sq_prepare(c, err);
        }
    }
    atomic_init(&s->free_readers, (1U << s->n_readers) - 1);
    return rc < 0 ? mf_err_wrap(err, rc, "store %s", path) : 0;
}

MF_LOOP static int open_lanes(struct sqlite_store *s, struct mf_err *err)
{
    struct mf_loop *l = s->base.loop;
    int rc = mf_lane_open(&s->write_lane, l, "store_write", 1, s->max_waiting + 1);

    if (rc < 0) {
        return mf_err_set(err, rc, "no memory for the store's lanes");
    }
    rc = mf_lane_open(&s->read_lane, l, "store_read", s->n_readers, s->max_waiting);
    if (rc < 0) {
        mf_lane_close(s->write_lane, NULL, NULL); /* empty: it needs nobody */
        return mf_err_set(err, rc, "no memory for the store's lanes");
    }
    s->n_open_lanes = 2;
    return 0;
}

static int check_config(const struct mf_store_config *cfg, struct mf_err *err)
{
    if (cfg->readers == 0 || cfg->readers > MF_SQ_MAX_READERS) {
        return mf_err_set(err, MF_EINVAL, "store.sqlite.readers is %u: choose 1 to %d",
                          cfg->readers, MF_SQ_MAX_READERS);
    }
    return 0;
}

int mf_store_sqlite_open(struct mf_store **out, struct mf_loop *l,
                         const struct mf_store_config *cfg, struct mf_err *err)
{
    struct sqlite_store *s;
    char path[PATH_MAX];
    int rc = check_config(cfg, err);

    mf_loop_assert(l);
    if (rc == 0) {
        rc = mf_sq_check_library(err);
    }
    if (rc == 0) {
        rc = mf_sq_path(path, sizeof(path), cfg->dir, err);
    }
    if (rc < 0) {
        return rc;
    }
    s = mf_calloc(1, sizeof(*s));
    if (s == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for the store");
    }
    s->base.ops = &sqlite_ops;
    s->base.loop = l;
    s->base.info.backend = sqlite_ops.name;
    s->max_waiting = cfg->max_waiting;
    rc = open_connections(s, path, cfg, err);
    if (rc == 0) {
        rc = open_lanes(s, err);
    }
    if (rc < 0) {
        close_connections(s);
        mf_free(s);
        return rc;
    }
    mf_log_info("store_open", "backend=sqlite readers=%u messages=%llu pending=%llu",
                s->n_readers, (unsigned long long)s->base.info.n_messages,
                (unsigned long long)s->base.info.n_pending);
    *out = &s->base;
    return 0;
}
