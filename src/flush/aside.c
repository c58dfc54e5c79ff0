/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of the store is away, a node of a cluster. The batch that met it asks where
 * its rows belong, and is divided: what belongs elsewhere goes at once, the rest stands
 * aside. Of a part that is away one batch goes now and then, to see; when it is taken
 * all others of that part follow.
 */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "flush/state.h"

#define NEVER UINT64_MAX

static struct flush_batch *batch_at(struct mf_link *k)
{
    return mf_container_of(k, struct flush_batch, link);
}

/* Whom others of the part wait for; NULL: nobody stands aside, or it is on its way. */
static struct flush_batch *first_aside(const struct mf_flush *f, uint32_t part)
{
    mf_list_each (&f->aside, k) {
        if (batch_at(k)->part == part && batch_at(k)->not_before_ms != NEVER) {
            return batch_at(k);
        }
    }
    return NULL;
}

/* The last of the part, when all of `b` finds room in it. */
static struct flush_batch *room_aside(const struct mf_flush *f,
                                      const struct flush_batch *b)
{
    struct flush_batch *last = NULL;

    mf_list_each (&f->aside, k) {
        last = batch_at(k)->part == b->part ? batch_at(k) : last;
    }
    if (last == NULL ||
        !mf_batch_fits(&last->fill, &f->limits, b->fill.n_rows, b->fill.bytes)) {
        return NULL;
    }
    return last;
}

MF_LOOP static void join(struct flush_batch *b, struct flush_batch *other)
{
    struct mf_link *k;

    while ((k = mf_list_head(&b->group.entries)) != NULL) {
        flush_batch_hand_over(b, other, flush_entry_at(k));
    }
    other->is_urgent = other->is_urgent || b->is_urgent;
    flush_batch_free(b);
}

/* Behind those of its part that are there, or in their place to see. */
MF_LOOP static void stand_aside(struct flush_batch *b)
{
    struct mf_flush *f = b->flush;
    struct flush_batch *first = first_aside(f, b->part);
    struct flush_batch *room = first == NULL ? NULL : room_aside(f, b);
    uint32_t chance;

    b->attempts = 0; /* of the store it is no refusal */
    b->is_placed = false;
    if (room != NULL) {
        join(b, room);
        return;
    }
    b->is_aside = true;
    b->not_before_ms = NEVER;
    if (first != NULL) {
        mf_list_push_tail(&f->aside, &b->link);
        return;
    }
    mf_random(&chance, sizeof(chance));
    b->n_asides++;
    b->not_before_ms = mf_loop_now_ms(f->loop) +
                       mf_max(mf_dep_backoff_ms(&f->cfg.dep, b->n_asides, chance), 1);
    mf_list_push_head(&f->aside, &b->link);
    mf_stat_add(MF_STAT_flush_retries, 1);
    mf_log_limited(MF_LOG_WARN, "flush_aside", "part=%u rounds=%zu attempts=%u",
                   b->part, b->group.entries.n, b->n_asides);
}

/* Before anything else, ahead of what is there. */
MF_LOOP static void go_first(struct flush_batch *b)
{
    b->not_before_ms = 0;
    mf_list_push_head(&b->flush->waiting, &b->link);
}

void flush_part_is_away(struct flush_batch *b)
{
    if (b->is_placed) {
        stand_aside(b);
        return;
    }
    b->asks_parts = true;
    go_first(b);
}

/* ---- the answer ---- */

static struct flush_batch *of_part(const struct mf_list *batches, uint32_t part)
{
    mf_list_each (batches, k) {
        if (batch_at(k)->part == part) {
            return batch_at(k);
        }
    }
    return NULL;
}

/* Without memory for one more batch a round stays with others, and waits with them. */
MF_LOOP static void divide(struct flush_batch *b, const uint32_t *parts,
                           struct mf_list *batches)
{
    size_t row = 0;

    b->part = parts[0];
    mf_list_push_tail(batches, &b->link);
    mf_list_each_safe (&b->group.entries, k) {
        struct mf_entry *e = flush_entry_at(k);
        struct flush_batch *to = of_part(batches, parts[row]);

        if (to == NULL && (to = flush_batch_new(b->flush)) != NULL) {
            to->part = parts[row];
            to->is_urgent = b->is_urgent;
            to->serial = b->serial;
            mf_list_push_tail(batches, &to->link);
        }
        row += e->item->n_msgs;
        if (to != NULL && to != b) {
            flush_batch_hand_over(b, to, e);
        }
    }
}

void flush_parts_told(struct flush_batch *b, const uint32_t *parts)
{
    struct mf_flush *f = b->flush;
    struct mf_list batches;
    struct mf_link *k;
    bool is_one;

    mf_list_init(&batches);
    divide(b, parts, &batches);
    is_one = batches.n == 1; /* the one that was found away just now */
    while ((k = mf_list_pop_head(&batches)) != NULL) {
        struct flush_batch *one = batch_at(k);

        one->has_part = one->is_placed = true;
        if (is_one || first_aside(f, one->part) != NULL) {
            stand_aside(one);
        } else {
            go_first(one);
        }
    }
}

/* ---- and back ---- */

struct flush_batch *flush_aside_due(const struct mf_flush *f, uint64_t now_ms)
{
    mf_list_each (&f->aside, k) {
        if (batch_at(k)->not_before_ms <= now_ms) {
            return batch_at(k);
        }
    }
    return NULL;
}

uint64_t flush_aside_due_at_ms(const struct mf_flush *f)
{
    uint64_t at = NEVER;

    mf_list_each (&f->aside, k) {
        at = mf_min(at, batch_at(k)->not_before_ms);
    }
    return at;
}

void flush_aside_take(struct flush_batch *b)
{
    mf_list_remove(&b->flush->aside, &b->link);
    b->is_aside = false;
}

void flush_aside_hurry(struct mf_flush *f)
{
    mf_list_each (&f->aside, k) {
        if (batch_at(k)->not_before_ms != NEVER) {
            batch_at(k)->not_before_ms = 0;
        }
    }
}

void flush_part_is_there(struct mf_flush *f, uint32_t part)
{
    size_t n = 0;

    mf_list_each_safe (&f->aside, k) {
        struct flush_batch *b = batch_at(k);

        if (b->part == part) {
            n++;
            flush_aside_take(b);
            b->n_asides = 0;
            b->not_before_ms = 0;
            mf_list_push_tail(&f->waiting, &b->link);
        }
    }
    if (n > 0) {
        mf_log_info("flush_part_is_back", "part=%u batches=%zu", part, n);
    }
}

/* ---- for others ---- */

size_t mf_flush_n_aside(const struct mf_flush *f)
{
    size_t n = 0;

    mf_list_each (&f->aside, k) {
        n += batch_at(k)->group.entries.n;
    }
    return n;
}

bool mf_flush_is_aside(const struct mf_entry *e)
{
    const struct flush_group *g;

    if (e->place != MF_PLACE_QUEUED) {
        return false;
    }
    g = mf_container_of(e->list, struct flush_group, entries);
    return !g->is_job && mf_container_of(g, struct flush_batch, group)->is_aside;
}
