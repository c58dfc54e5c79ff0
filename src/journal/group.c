/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/group.h"

static struct mf_journal_append *append_of(struct mf_link *k)
{
    return mf_container_of(k, struct mf_journal_append, link);
}

static struct mf_journal_erase *erase_of(struct mf_link *k)
{
    return mf_container_of(k, struct mf_journal_erase, link);
}

static struct mf_journal_park *park_of(struct mf_link *k)
{
    return mf_container_of(k, struct mf_journal_park, link);
}

void mf_group_init(struct mf_group *g, const struct mf_group_limits *lim)
{
    *g = (struct mf_group){.lim = *lim};
    mf_list_init(&g->appends);
    mf_list_init(&g->erases);
    mf_list_init(&g->parks);
    mf_list_init(&g->notes);
    mf_list_init(&g->sent_appends);
    mf_list_init(&g->sent_parks);
    mf_list_init(&g->sent_notes);
    mf_list_init(&g->done_appends);
    mf_list_init(&g->done_erases);
    mf_list_init(&g->done_parks);
    mf_list_init(&g->done_forgets);
    mf_list_init(&g->done_notes);
}

void mf_group_restore(struct mf_group *g, uint64_t bytes)
{
    g->bytes += bytes;
}

static uint64_t backoff_ms(unsigned failures)
{
    unsigned doublings = mf_min(failures - 1, 16U);

    return mf_min(MF_GROUP_FIRST_RETRY_MS << doublings, MF_GROUP_MAX_RETRY_MS);
}

static void count_failure(struct mf_group *g, uint64_t now_ms)
{
    g->failures++;
    g->retry_at_ms = now_ms + backoff_ms(g->failures);
}

static void look_at_free(struct mf_group *g, uint64_t free_bytes, uint64_t now_ms)
{
    bool was_low = g->is_low;

    if (free_bytes != UINT64_MAX) {
        g->is_low = free_bytes < g->lim.min_free_bytes;
    }
    /* Commits that did not look must not put the probe off for ever. */
    if (g->is_low && g->failures == 0 && (!was_low || now_ms >= g->retry_at_ms)) {
        g->retry_at_ms = now_ms + MF_GROUP_LOW_RETRY_MS;
    }
}

void mf_group_start(struct mf_group *g, bool is_refused, uint64_t free_bytes,
                    uint64_t now_ms)
{
    if (is_refused) {
        g->is_refused = true;
        count_failure(g, now_ms);
    }
    look_at_free(g, free_bytes, now_ms);
}

int mf_group_append(struct mf_group *g, struct mf_journal_append *a)
{
    if (g->is_dead) {
        return MF_EFATAL;
    }
    if (g->is_closing) {
        return MF_ECLOSED;
    }
    if (a->bytes > g->lim.max_bytes) {
        return MF_ETOOBIG;
    }
    if (mf_group_is_full(g)) {
        return MF_ENOSPC;
    }
    /* What was replayed may exceed a limit that was lowered since. */
    if (g->bytes > g->lim.max_bytes || a->bytes > g->lim.max_bytes - g->bytes) {
        return MF_EBUSY;
    }
    a->rc = 0;
    g->bytes += a->bytes;
    mf_list_push_tail(&g->appends, &a->link);
    return 0;
}

/* Why nothing can be put in line any more, or 0. */
static int refusal(const struct mf_group *g)
{
    return g->is_dead ? MF_EFATAL : g->is_closing ? MF_ECLOSED : 0;
}

void mf_group_erase(struct mf_group *g, struct mf_journal_erase *e)
{
    e->at = e->sealed = 0;
    e->rc = refusal(g);
    mf_list_push_tail(e->rc < 0 || e->n == 0 ? &g->done_erases : &g->erases, &e->link);
}

void mf_group_park(struct mf_group *g, struct mf_journal_park *p)
{
    int rc = refusal(g);

    if (rc < 0) {
        p->rc = rc;
    }
    mf_list_push_tail(p->rc < 0 ? &g->done_parks : &g->parks, &p->link);
}

static struct mf_jnote *note_of(struct mf_link *k)
{
    return mf_container_of(k, struct mf_jnote, link);
}

/* Who waits is told; the note need not be awaited any more. */
static void tell_note(struct mf_group *g, struct mf_jnote *n, int rc)
{
    if (n->asked != NULL) {
        n->asked->rc = rc;
        mf_list_push_tail(&g->done_forgets, &n->asked->link);
        n->asked = NULL;
    }
}

void mf_group_note(struct mf_group *g, struct mf_jnote *n)
{
    int rc = refusal(g);

    if (rc < 0 || (n->asked == NULL && g->notes.n >= MF_GROUP_WAITING_NOTES)) {
        tell_note(g, n, rc);
        mf_list_push_tail(&g->done_notes, &n->link);
        return;
    }
    g->n_awaited += n->asked != NULL;
    mf_list_push_tail(&g->notes, &n->link);
}

/* Notes alone are no reason for a commit, except for the last one. */
static bool has_line(const struct mf_group *g)
{
    return g->appends.n > 0 || g->erases.n > 0 || g->parks.n > 0 || g->n_awaited > 0 ||
           (g->is_closing && g->notes.n > 0);
}

static void take_appends(struct mf_group *g)
{
    size_t bytes = 0;

    while (g->appends.n > 0 && g->sent_appends.n < g->lim.max_commit_rounds) {
        struct mf_journal_append *a = append_of(mf_list_head(&g->appends));

        /* One round goes alone, however large. */
        if (g->sent_appends.n > 0 && a->bytes > g->lim.max_commit_bytes - bytes) {
            return;
        }
        bytes = mf_min(bytes + a->bytes, g->lim.max_commit_bytes);
        mf_list_remove(&g->appends, &a->link);
        mf_list_push_tail(&g->sent_appends, &a->link);
    }
}

static size_t max_erases(const struct mf_group *g)
{
    size_t beside = mf_max((size_t)MF_GROUP_ERASES_BESIDE, 2 * g->sent_appends.n);

    return g->sent_appends.n == 0 ? g->lim.max_commit_erases
                                  : mf_min(beside, g->lim.max_commit_erases);
}

static void take_erases(struct mf_group *g)
{
    size_t max = max_erases(g);

    g->n_sent_erases = 0;
    mf_list_each (&g->erases, k) {
        struct mf_journal_erase *e = erase_of(k);
        size_t room = max - g->n_sent_erases;

        if (room == 0) {
            return;
        }
        e->sealed = e->at + mf_min(room, e->n - e->at);
        g->n_sent_erases += e->sealed - e->at;
    }
}

static void take_parks(struct mf_group *g)
{
    while (g->parks.n > 0 && g->sent_parks.n < MF_GROUP_MAX_PARKS) {
        mf_list_push_tail(&g->sent_parks, mf_list_pop_head(&g->parks));
    }
}

static void take_notes(struct mf_group *g)
{
    size_t max = g->sent_appends.n > 0 ? MF_GROUP_NOTES_BESIDE : MF_GROUP_MAX_NOTES;

    while (g->notes.n > 0 && g->sent_notes.n < max) {
        struct mf_jnote *n = note_of(mf_list_pop_head(&g->notes));

        g->n_awaited -= n->asked != NULL;
        mf_list_push_tail(&g->sent_notes, &n->link);
    }
}

static bool is_probe_due(const struct mf_group *g, uint64_t now_ms)
{
    return g->is_refused || (g->is_low && now_ms >= g->retry_at_ms);
}

static bool is_checkpoint_due(const struct mf_group *g)
{
    uint64_t soon = g->lim.checkpoint_pages;

    return g->wal_pages >= (has_line(g) ? soon * MF_GROUP_LATE_CHECKPOINT : soon);
}

enum mf_group_work mf_group_seal(struct mf_group *g, uint64_t now_ms)
{
    if (g->in_flight != MF_GROUP_NOTHING || g->is_dead ||
        (g->is_closing && !has_line(g))) {
        return MF_GROUP_NOTHING;
    }
    if (g->failures > 0 && now_ms < g->retry_at_ms && !g->is_closing) {
        return MF_GROUP_NOTHING;
    }
    g->is_probe = is_probe_due(g, now_ms);
    if (!g->is_probe && is_checkpoint_due(g)) {
        g->in_flight = MF_GROUP_CHECKPOINT;
        return g->in_flight;
    }
    if (!g->is_probe && !has_line(g)) {
        return MF_GROUP_NOTHING;
    }
    take_appends(g);
    take_erases(g);
    take_parks(g);
    take_notes(g);
    g->in_flight = MF_GROUP_COMMIT;
    return g->in_flight;
}

void mf_group_sent_erases(const struct mf_group *g, uint64_t *seqs)
{
    size_t n = 0;

    mf_list_each (&g->erases, k) {
        const struct mf_journal_erase *e = erase_of(k);

        if (e->sealed == e->at) {
            break; /* those behind are not sealed either */
        }
        memcpy(seqs + n, e->seqs + e->at, (e->sealed - e->at) * sizeof(*seqs));
        n += e->sealed - e->at;
    }
    MF_ASSERT(n == g->n_sent_erases);
}

static void end_appends(struct mf_group *g, struct mf_list *from, int rc)
{
    mf_list_each (from, k) {
        struct mf_journal_append *a = append_of(k);

        a->rc = rc;
        g->bytes -= rc < 0 ? a->bytes : 0;
    }
    mf_list_move(&g->done_appends, from);
}

static void fail_erases(struct mf_group *g, int rc)
{
    mf_list_each (&g->erases, k) {
        erase_of(k)->rc = rc;
    }
    mf_list_move(&g->done_erases, &g->erases);
}

static void fail_parks(struct mf_group *g, int rc)
{
    mf_list_each (&g->parks, k) {
        park_of(k)->rc = rc;
    }
    mf_list_move(&g->done_parks, &g->parks);
}

static void end_notes(struct mf_group *g, struct mf_list *from, int rc)
{
    mf_list_each (from, k) {
        tell_note(g, note_of(k), rc);
    }
    mf_list_move(&g->done_notes, from);
}

/* Sent erases, parks and notes stand in line again, where they stood. Who waits for a
 * note is told that it is not on disk. */
static void take_back(struct mf_group *g, int rc)
{
    mf_list_each (&g->sent_notes, n) {
        tell_note(g, note_of(n), rc);
    }
    mf_list_move(&g->sent_notes, &g->notes);
    mf_list_move(&g->notes, &g->sent_notes);
    mf_list_each (&g->erases, k) {
        erase_of(k)->sealed = erase_of(k)->at;
    }
    g->n_sent_erases = 0;
    mf_list_move(&g->sent_parks, &g->parks);
    mf_list_move(&g->parks, &g->sent_parks);
    mf_list_each (&g->parks, p) {
        park_of(p)->rc = 0;
    }
}

static void fail_line(struct mf_group *g, int rc)
{
    end_appends(g, &g->appends, rc);
    fail_erases(g, rc);
    fail_parks(g, rc);
    end_notes(g, &g->notes, rc);
    g->n_awaited = 0;
}

static void end_erases(struct mf_group *g)
{
    mf_list_each_safe (&g->erases, k) {
        struct mf_journal_erase *e = erase_of(k);

        if (e->sealed == e->at) {
            break;
        }
        e->at = e->sealed;
        if (e->at == e->n) {
            mf_list_remove(&g->erases, k);
            mf_list_push_tail(&g->done_erases, k);
        }
    }
    g->n_sent_erases = 0;
}

static void die(struct mf_group *g)
{
    g->is_dead = true;
    end_appends(g, &g->sent_appends, MF_EFATAL);
    take_back(g, MF_EFATAL);
    fail_line(g, MF_EFATAL);
}

static void refuse(struct mf_group *g, int rc, uint64_t now_ms)
{
    end_appends(g, &g->sent_appends, rc);
    take_back(g, rc);
    count_failure(g, now_ms);
    if (rc == MF_ENOSPC) {
        g->is_refused = true;
        end_appends(g, &g->appends, rc);
    }
    if (g->is_closing) {
        fail_line(g, rc);
    }
}

static void succeed(struct mf_group *g, const struct mf_group_result *r)
{
    MF_ASSERT(r->erased_bytes <= g->bytes);
    g->bytes -= r->erased_bytes;
    g->failures = 0;
    g->is_refused = false;
    end_appends(g, &g->sent_appends, 0);
    end_erases(g);
    mf_list_move(&g->done_parks, &g->sent_parks);
    end_notes(g, &g->sent_notes, 0);
}

void mf_group_finish(struct mf_group *g, const struct mf_group_result *r,
                     uint64_t now_ms)
{
    MF_ASSERT(g->in_flight != MF_GROUP_NOTHING);
    g->in_flight = MF_GROUP_NOTHING;
    g->is_probe = false;
    g->wal_pages = r->wal_pages;
    if (r->rc == 0) {
        succeed(g, r);
    } else if (r->rc == MF_ENOSPC || r->rc == MF_ENOMEM) {
        refuse(g, r->rc, now_ms);
    } else {
        die(g);
        return;
    }
    look_at_free(g, r->free_bytes, now_ms);
}

uint64_t mf_group_wake_at(const struct mf_group *g)
{
    if (g->is_dead || g->in_flight != MF_GROUP_NOTHING) {
        return MF_GROUP_NEVER;
    }
    return g->failures > 0 || g->is_low ? g->retry_at_ms : MF_GROUP_NEVER;
}

void mf_group_close(struct mf_group *g)
{
    g->is_closing = true;
}

bool mf_group_is_full(const struct mf_group *g)
{
    return g->is_refused || g->is_low;
}

bool mf_group_is_idle(const struct mf_group *g)
{
    return g->in_flight == MF_GROUP_NOTHING && !has_line(g) &&
           mf_list_is_empty(&g->done_appends) && mf_list_is_empty(&g->done_erases) &&
           mf_list_is_empty(&g->done_parks) && mf_list_is_empty(&g->done_forgets) &&
           mf_list_is_empty(&g->done_notes);
}
