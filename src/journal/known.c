/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/known.h"

#include "base/mem.h"
#include "journal/logfile.h"

static struct mf_slice take_copy(char **at, struct mf_slice from)
{
    struct mf_slice to = {*at, from.n};

    if (from.n > 0) {
        memcpy(*at, from.p, from.n);
        *at += from.n;
    }
    return to;
}

struct mf_jnote *mf_jnote_remember(const struct mf_journal_known *k,
                                   struct mf_slice drop)
{
    size_t n = k->id.n + k->user_id.n + k->agent_id.n + k->name.n + drop.n;
    struct mf_jnote *note = mf_calloc(1, sizeof(*note) + n);
    char *at;

    if (note == NULL) {
        return NULL;
    }
    at = note->bytes;
    note->what.kind = k->kind;
    note->what.id = take_copy(&at, k->id);
    note->what.user_id = take_copy(&at, k->user_id);
    note->what.agent_id = take_copy(&at, k->agent_id);
    note->what.name = take_copy(&at, k->name);
    note->drop = take_copy(&at, drop);
    return note;
}

struct mf_jnote *mf_jnote_forget(unsigned kind, struct mf_slice id)
{
    struct mf_jnote *note = mf_calloc(1, sizeof(*note) + id.n);
    char *at;

    if (note == NULL) {
        return NULL;
    }
    at = note->bytes;
    note->is_forget = true;
    note->what.kind = kind;
    note->what.id = take_copy(&at, id);
    return note;
}

/* The bound may have been lowered since. Without anything to drop nothing is written.
 */
static int trim(sqlite3 *db, size_t max_of_kind)
{
    static const char sql[] =
        "DELETE FROM known WHERE rowid IN (SELECT rowid FROM"
        " (SELECT rowid, row_number() OVER (PARTITION BY kind ORDER BY rowid DESC)"
        " AS nth FROM known) WHERE nth > ?1)";
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_int64(st, 1, (sqlite3_int64)max_of_kind);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    (void)sqlite3_finalize(st);
    /* On a full disk they are read all the same. */
    return rc == SQLITE_DONE || mf_logfile_is_no_room(db, rc) ? SQLITE_OK : rc;
}

static struct mf_slice text_at(sqlite3_stmt *st, int column)
{
    const char *p = (const char *)sqlite3_column_text(st, column);

    return mf_slice_of(p, (size_t)sqlite3_column_bytes(st, column));
}

int mf_jknown_each(sqlite3 *db, size_t max_of_kind, mf_journal_known_fn each, void *arg,
                   struct mf_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    int step = trim(db, max_of_kind);

    if (step == SQLITE_OK) {
        step = sqlite3_prepare_v2(db,
                                  "SELECT kind, id, user_id, agent_id, name FROM known"
                                  " ORDER BY rowid",
                                  -1, &st, NULL);
    }
    while (rc == 0 && (step == SQLITE_OK || step == SQLITE_ROW)) {
        step = sqlite3_step(st);
        if (step == SQLITE_ROW) {
            struct mf_journal_known k = {.kind = (unsigned)sqlite3_column_int(st, 0),
                                         .id = text_at(st, 1),
                                         .user_id = text_at(st, 2),
                                         .agent_id = text_at(st, 3),
                                         .name = text_at(st, 4)};

            rc = each(&k, arg);
        }
    }
    if (rc == 0 && step != SQLITE_DONE) {
        rc = mf_logfile_fail(db, step, "what was known", err);
    }
    (void)sqlite3_finalize(st);
    return rc;
}
