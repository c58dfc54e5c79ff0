/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/import_priv.h"

#include "base/wallclock.h"
#include "engine/rooms_conf.h"
#include "engine/terms_pool.h"

/* ---- opening ---- */

/* Nothing is appended: a disk that fails is the store's to notice. */
static void on_fatal(MF_UNUSED const struct mf_err *err, MF_UNUSED void *arg)
{
}

static int open_journal(struct mf_import *im, const struct mf_conf *conf,
                        struct mf_err *err)
{
    struct mf_journal_config cfg;
    int rc;

    mf_journal_conf(conf, &cfg);
    rc = mf_journal_open(&im->journal, im->loop, &cfg, on_fatal, NULL, err);
    return rc == MF_EBUSY ? mf_err_wrap(err, rc,
                                        "stop the service that has this data.dir: an "
                                        "import writes into its store beside it")
                          : rc;
}

static bool is_remote(const struct mf_conf *conf)
{
    return strcmp(conf->store_backend, "postgres") == 0;
}

/* A service on the same folder has the node that is drawn from it, so that ours is
 * another one. Two of a thousand may be the same: then two messages of one user could
 * only have one number when they were accepted in the same millisecond. */
static unsigned draw_node(unsigned service)
{
    uint32_t chance;

    mf_random(&chance, sizeof(chance));
    return (service + chance % (MF_SEQS_MAX_NODE - 1)) % MF_SEQS_MAX_NODE + 1;
}

static void init_seqs(struct mf_import *im)
{
    const struct mf_store_info *info = &im->store->info;

    if (info->is_remote) {
        mf_seqs_init_clock(&im->seqs, 1, draw_node(info->node));
    } else {
        mf_seqs_init_count(&im->seqs,
                           mf_max(mf_journal_next_seq(im->journal), info->next_seq));
    }
}

int mf_import_open(struct mf_import **out, struct mf_loop *l,
                   const struct mf_conf *conf, const struct mf_import_events *events,
                   struct mf_err *err)
{
    struct mf_import *im = mf_calloc(1, sizeof(*im));
    struct mf_store_config cfg;
    int rc = 0;

    mf_loop_assert(l);
    if (im == NULL) {
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    im->loop = l;
    im->events = *events;
    mf_import_init_names(im);
    im->terms = mf_terms_pool_new();
    im->maker = (struct mf_record_maker){
        .terms = im->terms, .as_f32 = strcmp(conf->recall_vectors, "f32") == 0};
    if (im->terms == NULL) {
        rc = mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    if (rc == 0 && !is_remote(conf)) {
        rc = open_journal(im, conf, err);
    }
    if (rc == 0) {
        mf_store_conf(conf, 0, &cfg);
        rc = mf_store_open(&im->store, l, &cfg, err);
    }
    if (rc < 0) {
        mf_import_close(im);
        return rc;
    }
    init_seqs(im);
    *out = im;
    return 0;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

void mf_import_close(struct mf_import *im)
{
    bool is_closed = false;

    if (im == NULL) {
        return;
    }
    if (im->store != NULL) {
        mf_store_close(im->store, on_closed, &is_closed);
        (void)mf_loop_run_until(im->loop, &is_closed, MF_LOOP_FOR_EVER_MS);
    }
    is_closed = false;
    if (im->journal != NULL) {
        mf_journal_close(im->journal, on_closed, &is_closed);
        (void)mf_loop_run_until(im->loop, &is_closed, MF_LOOP_FOR_EVER_MS);
    }
    mf_import_forget_names(im);
    mf_map_fini(&im->names);
    mf_buf_fini(&im->key);
    mf_terms_pool_free(im->terms);
    mf_free(im);
}

const struct mf_record_maker *mf_import_maker(const struct mf_import *im)
{
    return &im->maker;
}

/* ---- requests ---- */

MF_LOOP static void take_answer(struct mf_import *im, int rc)
{
    im->answer = rc;
    im->is_answered = true;
}

static void on_entity(struct mf_store_req *req, int rc)
{
    struct mf_import *im = mf_container_of(req, struct mf_import, entity.req);

    mf_loop_assert(im->loop);
    take_answer(im, rc);
}

static void on_written(struct mf_store_req *req, int rc)
{
    struct mf_import *im = mf_container_of(req, struct mf_import, write.req);

    mf_loop_assert(im->loop);
    take_answer(im, rc);
}

int mf_import_ask(struct mf_import *im, struct mf_store_req *req, struct mf_err *err)
{
    int rc;

    req->done = req == &im->entity.req ? on_entity : on_written;
    req->urgency = MF_ORDINARY;
    im->is_answered = false;
    rc = mf_store_submit(im->store, req);
    if (rc == 0) {
        MF_ASSERT(mf_loop_run_until(im->loop, &im->is_answered, MF_LOOP_FOR_EVER_MS));
        rc = im->answer;
    }
    if (rc < 0) {
        *err = req->err;
        err->code = rc;
    }
    return rc;
}

/* ---- rows ---- */

MF_LOOP static int write_as(struct mf_import *im, enum mf_store_op op,
                            const struct mf_store_row *rows, size_t n,
                            struct mf_import_counts *counts, struct mf_err *err)
{
    int rc;

    im->write = (struct mf_store_write){.req = {.op = op}, .rows = rows, .n_rows = n};
    rc = mf_import_ask(im, &im->write.req, err);
    if (rc == 0) {
        counts->n_stored += im->write.n_changed;
        counts->n_there += n - im->write.n_changed;
    }
    mf_store_req_fini(&im->write.req);
    return rc;
}

/* What runs for the second time finds rows that are there. */
MF_LOOP static int write_rows(struct mf_import *im, const struct mf_store_row *rows,
                              size_t n, struct mf_import_counts *counts,
                              struct mf_err *err)
{
    int rc = n == 0 ? 0 : write_as(im, MF_STORE_LOAD_ROUNDS, rows, n, counts, err);

    return rc == MF_EEXIST ? write_as(im, MF_STORE_WRITE_ROUNDS, rows, n, counts, err)
                           : rc;
}

MF_LOOP static int refuse(struct mf_import *im, const struct mf_import_line *line,
                          struct mf_err *err)
{
    bool goes_on = im->events.refused(im->events.arg, line, err->msg);

    return goes_on ? 0 : MF_ECANCELED;
}

/* Lines [from, to). The store refuses them all for one of them: they are halved until
 * that one stands alone. */
MF_LOOP static int write_lines(struct mf_import *im, const struct mf_import_batch *b,
                               size_t from, size_t to, struct mf_import_counts *counts,
                               struct mf_err *err)
{
    size_t first = b->lines[from].first;
    size_t end = to < b->n_lines ? b->lines[to].first : b->n_rows;
    size_t middle = from + (to - from) / 2;
    int rc = write_rows(im, b->rows + first, end - first, counts, err);

    if (rc != MF_EPOISON) {
        counts->n_lines += rc == 0 ? to - from : 0;
        return rc;
    }
    if (to - from == 1) {
        return refuse(im, &b->lines[from], err);
    }
    rc = write_lines(im, b, from, middle, counts, err);
    return rc < 0 ? rc : write_lines(im, b, middle, to, counts, err);
}

/* Gives the rows of a line their owner and order numbers. */
MF_LOOP static int own_rows(struct mf_import *im, struct mf_import_batch *b,
                            const struct mf_import_line *line, struct mf_err *err)
{
    struct mf_slice user_id, session_id;
    uint64_t seq;
    int rc = mf_import_resolve(im, line, &b->arena, &user_id, &session_id, err);

    if (rc < 0 || line->n_msgs == 0) {
        return rc;
    }
    seq = mf_seqs_take(&im->seqs, line->n_msgs, (uint64_t)mf_wallclock_us() / 1000);
    for (uint32_t i = 0; i < line->n_msgs; i++) {
        struct mf_store_row *row = &b->rows[line->first + i];

        row->user_id = user_id;
        row->session_id = session_id;
        row->seq = seq + i;
    }
    return 0;
}

static void keep_line(struct mf_import_batch *b, struct mf_import_line line,
                      size_t *n_lines, size_t *n_rows)
{
    memmove(b->rows + *n_rows, b->rows + line.first, line.n_msgs * sizeof(*b->rows));
    line.first = *n_rows;
    b->lines[(*n_lines)++] = line;
    *n_rows += line.n_msgs;
}

/* Leaves those lines in the batch that can be stored. `rc` of the first that ends it.
 */
MF_LOOP static int own_lines(struct mf_import *im, struct mf_import_batch *b,
                             struct mf_err *err)
{
    size_t n_lines = 0, n_rows = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->n_lines; i++) {
        struct mf_import_line line = b->lines[i];

        rc = own_rows(im, b, &line, err);
        if (rc == MF_EUNPROCESSABLE || rc == MF_EPOISON) {
            rc = refuse(im, &line, err);
        } else if (rc == 0) {
            keep_line(b, line, &n_lines, &n_rows);
        }
    }
    b->n_lines = n_lines;
    b->n_rows = n_rows;
    return rc;
}

int mf_import_store(struct mf_import *im, struct mf_import_batch *b,
                    struct mf_import_counts *counts, struct mf_err *err)
{
    int owned = own_lines(im, b, err);
    struct mf_err late = {0};
    int rc = b->n_lines == 0 ? 0 : write_lines(im, b, 0, b->n_lines, counts, &late);

    mf_import_batch_reset(b);
    if (rc < 0) { /* of lines that stood before the one that ended it */
        *err = late;
        return rc;
    }
    return owned;
}
