/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_batch.h"

#include "base/wallclock.h"
#include "store/pg_row.h"

#include <stdlib.h>

#define US_PER_MS 1000

static int compare_slices(struct mf_slice a, struct mf_slice b)
{
    size_t n = mf_min(a.n, b.n);
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_keys(const struct mf_store_row *row, struct mf_slice user_id,
                        struct mf_slice id)
{
    int order = compare_slices(row->user_id, user_id);

    return order != 0 ? order : compare_slices(row->msg.id, id);
}

static int compare_rows(const struct mf_store_row *a, const struct mf_store_row *b)
{
    return compare_keys(a, b->user_id, b->msg.id);
}

/* Of one message that is written twice the first stays. */
static int first_written(const void *a, const void *b)
{
    const struct mf_store_row *x = ((const struct mf_pg_place *)a)->row;
    const struct mf_store_row *y = ((const struct mf_pg_place *)b)->row;
    int order = compare_rows(x, y);

    if (order == 0) {
        order = (x->seq > y->seq) - (x->seq < y->seq);
    }
    return order != 0 ? order : (x > y) - (x < y);
}

/* Of one that is changed twice the newest text, and of that the last. */
static int last_changed(const void *a, const void *b)
{
    const struct mf_store_row *x = ((const struct mf_pg_place *)a)->row;
    const struct mf_store_row *y = ((const struct mf_pg_place *)b)->row;
    int order = compare_rows(x, y);

    if (order == 0) {
        order = (x->msg.updated_us < y->msg.updated_us) -
                (x->msg.updated_us > y->msg.updated_us);
    }
    return order != 0 ? order : (x < y) - (x > y);
}

/* Room for as many places as there are rows; NULL: no memory. */
MF_WORKER static struct mf_pg_batch *new_batch(struct mf_pg_job *j, size_t cap)
{
    struct mf_pg_batch *b = mf_arena_alloc(&j->kept, sizeof(*b));
    struct mf_pg_place *places = mf_arena_alloc(&j->kept, (cap + 1) * sizeof(*places));

    if (b == NULL || places == NULL) {
        (void)mf_err_set(j->err, MF_ENOMEM, "no memory to sort the rows");
        return NULL;
    }
    *b = (struct mf_pg_batch){.places = places, .env = j->env};
    return b;
}

struct mf_pg_batch *mf_pg_batch_sort(struct mf_pg_job *j, mf_pg_wants_fn wants,
                                     enum mf_pg_keep keep)
{
    const struct mf_store_write *w =
        mf_container_of(j->req, struct mf_store_write, req);
    struct mf_pg_batch *b = new_batch(j, w->n_rows);
    size_t n = 0;

    if (b == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < w->n_rows; i++) {
        b->places[n] = (struct mf_pg_place){.row = &w->rows[i]};
        n += wants == NULL || wants(&b->places[n]);
    }
    qsort(b->places, n, sizeof(*b->places),
          keep == MF_PG_KEEP_FIRST ? first_written : last_changed);
    for (size_t i = 0; i < n; i++) {
        if (b->n == 0 || compare_rows(b->places[b->n - 1].row, b->places[i].row) != 0) {
            b->places[b->n++] = b->places[i];
        }
    }
    return b;
}

struct mf_pg_batch *mf_pg_batch_pick(struct mf_pg_job *j, const struct mf_pg_batch *all,
                                     mf_pg_wants_fn wants)
{
    struct mf_pg_batch *b = new_batch(j, all->n);

    for (size_t i = 0; b != NULL && i < all->n; i++) {
        if (wants(&all->places[i])) {
            b->places[b->n++] = all->places[i];
        }
    }
    return b;
}

/* The first place that is not before (user_id, id). */
static size_t lower_bound(const struct mf_pg_batch *b, struct mf_slice user_id,
                          struct mf_slice id)
{
    size_t from = 0;
    size_t to = b->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (compare_keys(b->places[middle].row, user_id, id) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

struct mf_pg_place *mf_pg_batch_find(const struct mf_pg_batch *b,
                                     struct mf_slice user_id, struct mf_slice id)
{
    size_t i = lower_bound(b, user_id, id);

    return i < b->n && compare_keys(b->places[i].row, user_id, id) == 0 ? &b->places[i]
                                                                        : NULL;
}

int mf_pg_batch_read_changed(struct mf_pg_job *j, size_t at, struct mf_pg_batch *b)
{
    const PGresult *res = mf_pg_result(j, at);

    for (int i = 0; i < PQntuples(res); i++) {
        struct mf_pg_row r = mf_pg_row(res, i, j->err);
        struct mf_slice user_id = mf_pg_peek(&r, 0);
        struct mf_pg_place *p = mf_pg_batch_find(b, user_id, mf_pg_peek(&r, 1));

        if (r.rc < 0) {
            return r.rc;
        }
        if (p != NULL) {
            p->is_changed = true;
        }
    }
    return 0;
}

/* --- marks */

static struct mf_slice user_of(const void *users, size_t i)
{
    return ((const struct mf_slice *)users)[i];
}

static int by_bytes(const void *a, const void *b)
{
    return compare_slices(*(const struct mf_slice *)a, *(const struct mf_slice *)b);
}

/* The batch's users behind the `n` that are there: a batch is sorted by them. */
static size_t add_users(const struct mf_pg_batch *b, struct mf_slice *users, size_t n)
{
    for (size_t i = 0; i < b->n; i++) {
        struct mf_slice user_id = b->places[i].row->user_id;

        if (n == 0 || !mf_slice_eq(users[n - 1], user_id)) {
            users[n++] = user_id;
        }
    }
    return n;
}

/* Each once, in order: who takes marks of several users takes them in the same order as
 * everybody else. */
static size_t sort_users(struct mf_slice *users, size_t n_given)
{
    size_t n = 0;

    qsort(users, n_given, sizeof(*users), by_bytes);
    for (size_t i = 0; i < n_given; i++) {
        if (n == 0 || !mf_slice_eq(users[n - 1], users[i])) {
            users[n++] = users[i];
        }
    }
    return n;
}

int64_t mf_pg_first_mark(void)
{
    return mf_wallclock_us() / US_PER_MS << MF_STORE_MARK_BITS;
}

int mf_pg_take_marks(struct mf_pg_job *j, struct mf_pg_batch *const *batches, size_t n)
{
    size_t n_rows = 0;
    size_t n_users = 0;
    struct mf_slice *users;

    for (size_t k = 0; k < n; k++) {
        n_rows += batches[k]->n;
    }
    users = mf_arena_alloc(&j->kept, (n_rows + 1) * sizeof(*users));
    if (users == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "no memory for the users of the rows");
    }
    for (size_t k = 0; k < n; k++) {
        n_users = add_users(batches[k], users, n_users);
    }
    if (j->env->cfg.is_citus) {
        /* One shard after the other, else the order of the locks is anybody's. */
        mf_pg_add_text(&j->round,
                       "SET LOCAL citus.multi_shard_modify_mode TO 'sequential'");
    }
    mf_pg_add(&j->round, MF_PG_MARKS_TAKE);
    mf_pg_text_array(&j->round, users, sort_users(users, n_users), user_of);
    mf_pg_int(&j->round, mf_pg_first_mark());
    return 0;
}

static void mark_user(struct mf_pg_batch *b, struct mf_slice user_id, int64_t mark)
{
    size_t i = lower_bound(b, user_id, mf_slice_of(NULL, 0));

    for (; i < b->n && mf_slice_eq(b->places[i].row->user_id, user_id); i++) {
        b->places[i].mark = mark;
    }
}

/* A user without a mark: the answer was not what we asked for. */
static bool has_unmarked(const struct mf_pg_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->places[i].mark <= 0) {
            return true;
        }
    }
    return false;
}

int mf_pg_read_marks(struct mf_pg_job *j, struct mf_pg_batch *const *batches, size_t n)
{
    const PGresult *res = mf_pg_result(j, j->n_results - 1);

    for (int i = 0; i < PQntuples(res); i++) {
        struct mf_pg_row r = mf_pg_row(res, i, j->err);
        struct mf_slice user_id = mf_pg_peek(&r, 0);
        int64_t mark = mf_pg_get_int(&r, 1);

        if (r.rc < 0) {
            return r.rc;
        }
        for (size_t k = 0; k < n; k++) {
            mark_user(batches[k], user_id, mark);
        }
    }
    for (size_t k = 0; k < n; k++) {
        if (has_unmarked(batches[k])) {
            return mf_err_set(j->err, MF_ECORRUPT,
                              "the database gave a user of the rows no mark");
        }
    }
    return 0;
}
