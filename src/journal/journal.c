/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/journal.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "journal/group.h"
#include "journal/log.h"
#include "journal/record.h"
#include "loop/lane.h"

#define MIN_COMMIT_ERASES 256
#define MAX_COMMIT_ERASES 4096

/* The one job: in flight or waiting to be filled again. */
struct journal_job {
    struct mf_job job;
    struct mf_jlog *log;
    enum mf_group_work work;
    struct mf_jlog_batch batch;
    struct mf_item **items;
    uint64_t *erase;
    struct mf_jlog_park parks[MF_GROUP_MAX_PARKS];
    struct mf_jnote *notes[MF_GROUP_MAX_NOTES];
};

struct mf_journal {
    struct mf_loop *loop;
    struct mf_lane *lane;
    struct mf_group group;
    struct journal_job job;
    struct mf_turn_hook hook;
    uv_timer_t retry;
    uint64_t next_seq, last_seq;
    bool accept_loss, is_ending;
    mf_journal_fatal_fn fatal;
    void *fatal_arg;
    mf_journal_closed_fn closed;
    void *closed_arg;
};

static void on_job_done(struct mf_job *job, int status);
static void on_closed_log(struct mf_job *job, int status);

MF_WORKER static void work_journal(struct mf_job *job)
{
    struct journal_job *jj = mf_container_of(job, struct journal_job, job);

    if (jj->work == MF_GROUP_CHECKPOINT) {
        mf_jlog_checkpoint(jj->log, &jj->batch);
    } else {
        mf_jlog_commit(jj->log, &jj->batch);
    }
}

MF_WORKER static void work_close(struct mf_job *job)
{
    struct journal_job *jj = mf_container_of(job, struct journal_job, job);

    mf_jlog_close(jj->log);
    jj->log = NULL;
}

MF_LOOP static void submit(struct mf_journal *j, mf_job_work_fn work,
                           mf_job_done_fn done)
{
    j->job.job = (struct mf_job){.work = work, .done = done};
    /* One job at a time on a lane that only we close: there is always room. */
    MF_ASSERT(mf_lane_submit(j->lane, &j->job.job, MF_URGENT) == 0);
}

MF_LOOP static void fill_batch(struct mf_journal *j)
{
    struct mf_group *g = &j->group;
    struct mf_jlog_batch *b = &j->job.batch;

    *b = (struct mf_jlog_batch){.items = j->job.items,
                                .erase = j->job.erase,
                                .parks = j->job.parks,
                                .notes = j->job.notes,
                                .is_probe = g->is_probe,
                                .now_ms = mf_loop_now_ms(j->loop)};
    if (j->job.work == MF_GROUP_CHECKPOINT) {
        return;
    }
    mf_list_each (&g->sent_appends, k) {
        j->job.items[b->n_items++] =
            mf_container_of(k, struct mf_journal_append, link)->item;
    }
    mf_list_each (&g->sent_parks, k) {
        struct mf_journal_park *p = mf_container_of(k, struct mf_journal_park, link);

        j->job.parks[b->n_parks++] = (struct mf_jlog_park){p->seq, p->copy, 0};
    }
    mf_list_each (&g->sent_notes, k) {
        j->job.notes[b->n_notes++] = mf_container_of(k, struct mf_jnote, link);
    }
    mf_group_sent_erases(g, j->job.erase);
    b->n_erase = g->n_sent_erases;
}

static void on_retry(uv_timer_t *t);

MF_LOOP static void set_retry(struct mf_journal *j)
{
    uint64_t now_ms = mf_loop_now_ms(j->loop);
    uint64_t at_ms = mf_group_wake_at(&j->group);

    if (j->is_ending) {
        return;
    }
    if (at_ms == MF_GROUP_NEVER) {
        (void)uv_timer_stop(&j->retry);
    } else {
        (void)uv_timer_start(&j->retry, on_retry, at_ms > now_ms ? at_ms - now_ms : 0,
                             0);
    }
}

MF_LOOP static void end_if_closing(struct mf_journal *j)
{
    if (!j->group.is_closing || j->is_ending || !mf_group_is_idle(&j->group)) {
        return;
    }
    j->is_ending = true;
    (void)uv_timer_stop(&j->retry);
    submit(j, work_close, on_closed_log);
}

MF_LOOP static void start_work(struct mf_journal *j)
{
    enum mf_group_work work;

    if (j->is_ending) {
        return;
    }
    work = mf_group_seal(&j->group, mf_loop_now_ms(j->loop));
    if (work != MF_GROUP_NOTHING) { /* else the job may be a worker's just now */
        j->job.work = work;
        fill_batch(j);
        submit(j, work_journal, on_job_done);
    }
    set_retry(j);
}

MF_LOOP static void tell_append(struct mf_journal_append *a)
{
    struct mf_item *it = a->item; /* `a` may be gone after done */

    if (a->rc == MF_ENOSPC) {
        mf_stat_add(MF_STAT_journal_full, 1);
    }
    a->done(a, a->rc);
    mf_item_unref(it);
}

MF_LOOP static void tell_erase(struct mf_journal_erase *e)
{
    if (e->done != NULL) {
        e->done(e, e->rc);
    }
}

MF_LOOP static void tell_park(struct mf_journal_park *p)
{
    mf_free(p->copy);
    p->copy = NULL;
    if (p->done != NULL) {
        p->done(p, p->rc);
    }
}

MF_LOOP static void free_notes(struct mf_journal *j)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&j->group.done_notes)) != NULL) {
        mf_free(mf_container_of(k, struct mf_jnote, link));
    }
}

/* Each `done` may put new requests in line, which are told in a later turn at the
 * earliest: only what is there now is told now. */
MF_LOOP static void tell_done(struct mf_journal *j)
{
    struct mf_list appends, erases, parks, forgets;
    struct mf_link *k;

    mf_list_init(&appends);
    mf_list_init(&erases);
    mf_list_init(&parks);
    mf_list_init(&forgets);
    mf_list_move(&appends, &j->group.done_appends);
    mf_list_move(&erases, &j->group.done_erases);
    mf_list_move(&parks, &j->group.done_parks);
    mf_list_move(&forgets, &j->group.done_forgets);
    free_notes(j);
    while ((k = mf_list_pop_head(&appends)) != NULL) {
        tell_append(mf_container_of(k, struct mf_journal_append, link));
    }
    while ((k = mf_list_pop_head(&erases)) != NULL) {
        tell_erase(mf_container_of(k, struct mf_journal_erase, link));
    }
    while ((k = mf_list_pop_head(&parks)) != NULL) {
        tell_park(mf_container_of(k, struct mf_journal_park, link));
    }
    while ((k = mf_list_pop_head(&forgets)) != NULL) {
        struct mf_journal_forget *f =
            mf_container_of(k, struct mf_journal_forget, link);

        f->done(f, f->rc);
    }
}

static void count(const struct journal_job *job)
{
    if (job->work == MF_GROUP_COMMIT && job->batch.rc == 0) {
        mf_stat_add(MF_STAT_journal_commits, 1);
        mf_stat_add(MF_STAT_journal_rounds, (int64_t)job->batch.n_items);
        mf_stat_observe(MF_STAT_journal_commit_us, job->batch.took_us);
    } else if (job->batch.rc < 0) {
        mf_log_limited(MF_LOG_ERROR, "journal_failed", "code=%s what=\"%s\"",
                       mf_code_name(job->batch.rc), job->batch.err.msg);
    }
}

/* Gives the planner the result: rounds, erased ones and parks find their codes. */
MF_LOOP static void finish_work(struct mf_journal *j)
{
    const struct mf_jlog_batch *b = &j->job.batch;
    struct mf_group_result r = {.rc = b->rc,
                                .free_bytes = b->free_bytes,
                                .erased_bytes = b->erased_bytes,
                                .wal_pages = b->wal_pages};
    size_t i = 0;

    mf_list_each (&j->group.sent_parks, k) {
        mf_container_of(k, struct mf_journal_park, link)->rc = j->job.parks[i++].rc;
    }
    mf_group_finish(&j->group, &r, mf_loop_now_ms(j->loop));
}

static void on_job_done(struct mf_job *job, int status)
{
    struct journal_job *jj = mf_container_of(job, struct journal_job, job);
    struct mf_journal *j = mf_container_of(jj, struct mf_journal, job);
    bool was_full = mf_group_is_full(&j->group);
    struct mf_err err;

    mf_loop_assert(j->loop);
    MF_ASSERT(status == 0); /* nobody closes the lane while a job is out */
    count(jj);
    err = jj->batch.err;
    finish_work(j);
    if (was_full != mf_group_is_full(&j->group)) {
        mf_log_warn("journal_full", "is_full=%d", !was_full);
    }
    start_work(j); /* the disk works while we tell */
    if (j->group.is_dead && j->fatal != NULL) {
        j->fatal(&err, j->fatal_arg);
    }
    tell_done(j);
    end_if_closing(j);
}

static void on_turn_end(struct mf_turn_hook *h)
{
    struct mf_journal *j = mf_container_of(h, struct mf_journal, hook);

    mf_loop_assert(j->loop);
    tell_done(j);
    start_work(j);
    end_if_closing(j);
}

static void on_retry(uv_timer_t *t)
{
    struct mf_journal *j = mf_container_of(t, struct mf_journal, retry);

    mf_loop_assert(j->loop);
    start_work(j);
    end_if_closing(j);
}

int mf_journal_append(struct mf_journal *j, struct mf_journal_append *a)
{
    size_t bytes = mf_record_size(a->item);
    int rc;

    MF_ASSERT(a->item->seq > j->last_seq);
    if (bytes == SIZE_MAX) {
        return MF_ETOOBIG;
    }
    a->bytes = bytes;
    rc = mf_group_append(&j->group, a);
    if (rc < 0) {
        if (rc == MF_ENOSPC) {
            mf_stat_add(MF_STAT_journal_full, 1);
        }
        return rc;
    }
    (void)mf_item_ref(a->item);
    j->last_seq = a->item->seq;
    j->next_seq = j->last_seq + mf_max(a->item->n_msgs, 1U);
    mf_loop_at_turn_end(j->loop, &j->hook);
    return 0;
}

void mf_journal_erase(struct mf_journal *j, struct mf_journal_erase *e)
{
    mf_group_erase(&j->group, e);
    mf_loop_at_turn_end(j->loop, &j->hook);
}

void mf_journal_park(struct mf_journal *j, struct mf_journal_park *p)
{
    p->rc = 0;
    p->copy = NULL;
    if (p->reason != NULL) {
        p->copy = mf_strndup(p->reason, strlen(p->reason));
        p->rc = p->copy == NULL ? MF_ENOMEM : 0;
    }
    mf_group_park(&j->group, p);
    mf_loop_at_turn_end(j->loop, &j->hook);
}

MF_LOOP static void put_note(struct mf_journal *j, struct mf_jnote *n)
{
    if (n == NULL) {
        return; /* no memory: see mf_journal_remember */
    }
    mf_group_note(&j->group, n);
    mf_loop_at_turn_end(j->loop, &j->hook);
}

void mf_journal_remember(struct mf_journal *j, const struct mf_journal_known *k,
                         struct mf_slice drop)
{
    put_note(j, mf_jnote_remember(k, drop));
}

void mf_journal_forget_later(struct mf_journal *j, unsigned kind, struct mf_slice id)
{
    put_note(j, mf_jnote_forget(kind, id));
}

void mf_journal_forget(struct mf_journal *j, struct mf_journal_forget *f)
{
    struct mf_jnote *n = mf_jnote_forget(f->kind, f->id);

    if (n == NULL) {
        f->rc = MF_ENOMEM;
        mf_list_push_tail(&j->group.done_forgets, &f->link);
        mf_loop_at_turn_end(j->loop, &j->hook);
        return;
    }
    n->asked = f;
    n->with_owned = f->with_owned;
    put_note(j, n);
}

static int check_config(const struct mf_journal_config *cfg, struct mf_err *err)
{
    if (cfg->dir == NULL || cfg->dir[0] == '\0') {
        return mf_err_set(err, MF_EINVAL, "data.dir is empty: name a folder");
    }
    if (cfg->max_bytes == 0) {
        return mf_err_set(err, MF_EINVAL, "journal.max_bytes is 0: give at least 1");
    }
    if (cfg->max_commit_rounds == 0 || cfg->max_commit_rounds > 1000000) {
        return mf_err_set(err, MF_EINVAL,
                          "journal.max_commit_rounds is %u: give 1 to 1000000",
                          cfg->max_commit_rounds);
    }
    if (cfg->max_commit_bytes == 0) {
        return mf_err_set(err, MF_EINVAL,
                          "journal.max_commit_bytes is 0: give at least 1");
    }
    if (cfg->checkpoint_pages == 0) {
        return mf_err_set(err, MF_EINVAL,
                          "journal.checkpoint_pages is 0: give at least 1");
    }
    return 0;
}

static struct mf_journal *journal_new(const struct mf_journal_config *cfg)
{
    /* Erasing keeps pace with appending. */
    size_t n_erases =
        mf_max((size_t)MIN_COMMIT_ERASES,
               mf_min((size_t)cfg->max_commit_rounds, (size_t)MAX_COMMIT_ERASES));
    struct mf_group_limits lim = {.max_bytes = cfg->max_bytes,
                                  .min_free_bytes = cfg->min_free_bytes,
                                  .max_commit_rounds = cfg->max_commit_rounds,
                                  .max_commit_bytes = cfg->max_commit_bytes,
                                  .max_commit_erases = n_erases,
                                  .checkpoint_pages = cfg->checkpoint_pages};
    struct mf_journal *j = mf_calloc(1, sizeof(*j));

    if (j == NULL) {
        return NULL;
    }
    j->job.items = mf_array(cfg->max_commit_rounds, sizeof(struct mf_item *));
    j->job.erase = mf_array(n_erases, sizeof(uint64_t));
    mf_group_init(&j->group, &lim);
    j->hook.fn = on_turn_end;
    j->accept_loss = cfg->accept_loss;
    return j;
}

static void journal_free(struct mf_journal *j)
{
    mf_free(j->job.items);
    mf_free(j->job.erase);
    mf_free(j);
}

/* The file last: a handle of the loop cannot be taken back here. */
MF_LOOP static int open_parts(struct mf_journal *j, const struct mf_journal_config *cfg,
                              struct mf_err *err)
{
    int rc;

    if (j->job.items == NULL || j->job.erase == NULL) {
        return mf_err_set(err, MF_ENOMEM, "journal in %s: out of memory", cfg->dir);
    }
    rc = mf_jlog_open(&j->job.log, cfg->dir, cfg->accept_loss, err);
    if (rc < 0) {
        return rc;
    }
    rc = mf_lane_open(&j->lane, j->loop, "journal", 1, 1);
    if (rc < 0) {
        mf_jlog_close(j->job.log);
        return mf_err_set(err, rc, "journal in %s: no lane: %s", cfg->dir,
                          mf_code_sentence(rc));
    }
    return 0;
}

int mf_journal_open(struct mf_journal **out, struct mf_loop *l,
                    const struct mf_journal_config *cfg, mf_journal_fatal_fn fatal,
                    void *arg, struct mf_err *err)
{
    int rc = check_config(cfg, err);
    struct mf_journal *j;

    mf_loop_assert(l);
    if (rc < 0) {
        return rc;
    }
    j = journal_new(cfg);
    if (j == NULL) {
        return mf_err_set(err, MF_ENOMEM, "journal in %s: out of memory", cfg->dir);
    }
    j->loop = l;
    j->fatal = fatal;
    j->fatal_arg = arg;
    rc = open_parts(j, cfg, err);
    if (rc < 0) {
        journal_free(j);
        return rc;
    }
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &j->retry) == 0);
    j->next_seq = j->job.log->next_seq;
    j->last_seq = j->next_seq - 1;
    mf_group_start(&j->group, j->job.log->is_full, j->job.log->free_bytes,
                   mf_loop_now_ms(l));
    set_retry(j);
    mf_log_info("journal_open", "next_seq=%llu is_full=%d sqlite=%s",
                (unsigned long long)j->next_seq, mf_group_is_full(&j->group),
                sqlite3_libversion());
    *out = j;
    return 0;
}

struct replay_to {
    struct mf_journal *journal;
    mf_journal_replay_fn each;
    void *arg;
};

static int count_replayed(struct mf_item *it, const char *reason, size_t bytes,
                          void *arg)
{
    struct replay_to *to = arg;

    mf_group_restore(&to->journal->group, bytes);
    return to->each(it, reason, to->arg);
}

int mf_journal_replay(struct mf_journal *j, mf_journal_replay_fn each, void *arg,
                      struct mf_err *err)
{
    struct replay_to to = {j, each, arg};

    return mf_jlog_replay(j->job.log, j->accept_loss, count_replayed, &to, err);
}

int mf_journal_each_known(struct mf_journal *j, size_t max_of_kind,
                          mf_journal_known_fn each, void *arg, struct mf_err *err)
{
    return mf_jknown_each(j->job.log->db, max_of_kind, each, arg, err);
}

uint64_t mf_journal_next_seq(const struct mf_journal *j)
{
    return j->next_seq;
}

uint64_t mf_journal_bytes(const struct mf_journal *j)
{
    return j->group.bytes;
}

bool mf_journal_is_full(const struct mf_journal *j)
{
    return mf_group_is_full(&j->group);
}

bool mf_journal_is_dead(const struct mf_journal *j)
{
    return j->group.is_dead;
}

bool mf_journal_is_idle(const struct mf_journal *j)
{
    return mf_group_is_idle(&j->group);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct mf_journal *j = mf_container_of((uv_timer_t *)h, struct mf_journal, retry);
    mf_journal_closed_fn closed = j->closed;
    void *arg = j->closed_arg;

    mf_loop_assert(j->loop);
    journal_free(j);
    closed(arg);
}

static void on_lane_closed(void *arg)
{
    struct mf_journal *j = arg;

    mf_loop_assert(j->loop);
    mf_loop_forget_hook(j->loop, &j->hook);
    uv_close((uv_handle_t *)&j->retry, on_timer_closed);
}

static void on_closed_log(struct mf_job *job, MF_UNUSED int status)
{
    struct journal_job *jj = mf_container_of(job, struct journal_job, job);
    struct mf_journal *j = mf_container_of(jj, struct mf_journal, job);

    mf_loop_assert(j->loop);
    mf_lane_close(j->lane, on_lane_closed, j);
}

void mf_journal_close(struct mf_journal *j, mf_journal_closed_fn closed, void *arg)
{
    if (j->group.is_closing) {
        return;
    }
    j->closed = closed;
    j->closed_arg = arg;
    mf_group_close(&j->group);
    mf_loop_at_turn_end(j->loop, &j->hook);
}
