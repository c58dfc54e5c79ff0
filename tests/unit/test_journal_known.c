/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of a remote store, beside the rounds. */
#include "base/stat.h"
#include "journal/journal.h"
#include "lib/fault_vfs.h"
#include "lib/mf_test.h"
#include "unit/journal_groupkit.h"
#include "unit/journal_kit.h"
#include "unit/journal_logkit.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* ---- in line ---- */

/* Awaited by `f` when it is not NULL. */
static void put_note(struct mf_group *g, struct mf_jnote *n,
                     struct mf_journal_forget *f)
{
    memset(n, 0, sizeof(*n));
    n->asked = f;
    if (f != NULL) {
        *f = (struct mf_journal_forget){.rc = 1};
    }
    mf_group_note(g, n);
}

MF_TEST(group, notes_wait_for_a_commit_that_is_made_anyway)
{
    struct mf_journal_append a;
    struct mf_jnote n[2];
    struct mf_group g;

    start(&g);
    put_note(&g, &n[0], NULL);
    put_note(&g, &n[1], NULL);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
    MF_CHECK(mf_group_is_idle(&g));
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_notes.n, 2);
    MF_CHECK_PTR(mf_list_head(&g.sent_notes), &n[0].link);
    mf_group_finish(&g, &fine, 0);
    MF_CHECK_INT(g.done_notes.n, 2);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_NOTHING);
}

MF_TEST(group, few_notes_go_beside_rounds_and_the_line_of_them_is_bounded)
{
    static struct mf_jnote n[MF_GROUP_WAITING_NOTES + 2];
    struct mf_journal_append a;
    struct mf_journal_forget f;
    struct mf_group g;

    start(&g);
    for (size_t i = 0; i < mf_countof(n) - 1; i++) {
        put_note(&g, &n[i], NULL);
    }
    MF_CHECK_INT(g.notes.n, MF_GROUP_WAITING_NOTES);
    MF_CHECK_INT(g.done_notes.n, 1); /* dropped */
    MF_CHECK_OK(add(&g, &a, 1));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    MF_CHECK_INT(g.sent_notes.n, MF_GROUP_NOTES_BESIDE);
    mf_group_finish(&g, &fine, 0);
    /* One that is awaited is never dropped, and takes along all before it. */
    put_note(&g, &n[mf_countof(n) - 1], &f);
    while (f.rc == 1) {
        MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
        MF_CHECK(g.sent_notes.n <= MF_GROUP_MAX_NOTES);
        mf_group_finish(&g, &fine, 0);
    }
    MF_CHECK_INT(f.rc, 0);
    MF_CHECK_INT(g.notes.n, 0);
    MF_CHECK_INT(g.done_forgets.n, 1);
}

MF_TEST(group, without_room_a_note_stays_and_who_waits_is_told)
{
    struct mf_journal_forget f;
    struct mf_jnote n[2];
    struct mf_group g;

    start(&g);
    put_note(&g, &n[0], &f);
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    put_note(&g, &n[1], NULL);
    mf_group_finish(&g, &no_room, 0);
    MF_CHECK_INT(f.rc, MF_ENOSPC);
    MF_CHECK_INT(g.done_forgets.n, 1);
    MF_CHECK_INT(g.notes.n, 2);
    MF_CHECK_PTR(mf_list_head(&g.notes), &n[0].link);
    MF_CHECK_INT(mf_group_seal(&g, 10000), MF_GROUP_COMMIT); /* the probe */
    mf_group_finish(&g, &fine, 10000);
    MF_CHECK_INT(g.done_notes.n, 2);
    MF_CHECK_INT(g.done_forgets.n, 1); /* told once */
}

MF_TEST(group, notes_are_committed_at_the_end_and_dropped_after_a_failure)
{
    struct mf_journal_forget f;
    struct mf_jnote n[3];
    struct mf_group g;

    start(&g);
    put_note(&g, &n[0], NULL);
    mf_group_close(&g);
    MF_CHECK(!mf_group_is_idle(&g));
    MF_CHECK_INT(mf_group_seal(&g, 0), MF_GROUP_COMMIT);
    put_note(&g, &n[1], &f); /* too late */
    MF_CHECK_INT(f.rc, MF_ECLOSED);
    mf_group_finish(&g, &fatal, 0);
    MF_CHECK_INT(g.done_notes.n, 2);
    put_note(&g, &n[2], &f);
    MF_CHECK_INT(f.rc, MF_EFATAL);
}

/* ---- on disk ---- */

MF_LOOP static void remember(struct kit *k, unsigned kind, unsigned nth,
                             const char *drop)
{
    char id[16], name[16];
    struct mf_journal_known what = {.kind = kind,
                                    .user_id = mf_slice_str("user"),
                                    .agent_id = mf_slice_str("agent")};

    (void)snprintf(id, sizeof(id), "id%u", nth);
    (void)snprintf(name, sizeof(name), "name %u", nth);
    what.id = mf_slice_str(id);
    what.name = mf_slice_str(name);
    mf_journal_remember(k->j, &what, mf_slice_str(drop)); /* copies all */
}

struct forgetting {
    struct mf_journal_forget f;
    bool is_done;
    int rc;
};

static void on_forgotten(struct mf_journal_forget *f, int rc)
{
    struct forgetting *w = mf_container_of(f, struct forgetting, f);

    w->rc = rc;
    w->is_done = true;
}

MF_LOOP static void forget(struct kit *k, unsigned kind, const char *id,
                           bool with_owned)
{
    struct forgetting w = {.f = {.kind = kind,
                                 .id = mf_slice_str(id),
                                 .with_owned = with_owned,
                                 .done = on_forgotten}};

    mf_journal_forget(k->j, &w.f);
    MF_CHECK(!w.is_done);
    MF_CHECK(kit_run_until(k, &w.is_done));
    MF_CHECK_OK(w.rc);
}

struct told {
    char text[512];
    size_t n;
};

static int tell(const struct mf_journal_known *k, void *arg)
{
    struct told *t = arg;

    t->n += (size_t)snprintf(t->text + t->n, sizeof(t->text) - t->n,
                             "%u:%.*s:%.*s:%.*s:%.*s ", k->kind, (int)k->id.n, k->id.p,
                             (int)k->user_id.n, k->user_id.p, (int)k->agent_id.n,
                             k->agent_id.p, (int)k->name.n, k->name.p);
    return 0;
}

static const char *told(struct kit *k, size_t max)
{
    static struct told t;
    struct mf_err err = {0};

    memset(&t, 0, sizeof(t));
    if (mf_journal_each_known(k->j, max, tell, &t, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return t.text;
}

MF_TEST(journal, keeps_what_is_known_and_gives_it_back_oldest_first)
{
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};

    as_loop();
    kit_open(&k, dir);
    remember(&k, 2, 1, "");
    remember(&k, 2, 2, "");
    remember(&k, 0, 1, "");
    MF_CHECK_OK(kit_append_and_wait(&k, 1));
    remember(&k, 2, 1, ""); /* once more: it is the youngest now */
    remember(&k, 2, 3, "id2");
    kit_close(&k); /* they go along at the latest now */
    kit_open(&k, dir);
    MF_CHECK_STR(told(&k, 10), "0:id1:user:agent:name 1 2:id1:user:agent:name 1 "
                               "2:id3:user:agent:name 3 ");
    MF_CHECK_STR(told(&k, 1),
                 "0:id1:user:agent:name 1 2:id3:user:agent:name 3 "); /* of each kind */
    kit_close(&k);
    kit_open(&k, dir);
    MF_CHECK_STR(told(&k, 10),
                 "0:id1:user:agent:name 1 2:id3:user:agent:name 3 "); /* for good */
    kit_close(&k);
}

MF_TEST(journal, what_is_forgotten_is_off_the_disk_before_it_is_told)
{
    struct mf_stat_histogram before, after;
    struct kit k = {0};

    as_loop();
    kit_open(&k, mf_test_tmpdir());
    remember(&k, 2, 1, "");
    remember(&k, 2, 2, "");
    mf_stat_read_histogram(MF_STAT_journal_commit_us, &before);
    forget(&k, 2, "id1", false);
    mf_stat_read_histogram(MF_STAT_journal_commit_us, &after);
    MF_CHECK_INT(after.count, before.count + 1);
    MF_CHECK_STR(told(&k, 10), "2:id2:user:agent:name 2 ");
    forget(&k, 0, "stranger", true);
    MF_CHECK_STR(told(&k, 10), "2:id2:user:agent:name 2 ");
    forget(&k, 0, "user", true);
    MF_CHECK_STR(told(&k, 10), "");
    remember(&k, 2, 3, "");
    forget(&k, 1, "agent", true);
    MF_CHECK_STR(told(&k, 10), "");
    kit_close(&k);
}

MF_TEST(journal, forgets_in_order_with_what_is_remembered)
{
    struct kit k = {0};

    as_loop();
    kit_open(&k, mf_test_tmpdir());
    remember(&k, 2, 1, "");
    mf_journal_forget_later(k.j, 2, mf_slice_str("id1"));
    remember(&k, 2, 2, "");
    mf_journal_forget_later(k.j, 2, mf_slice_str("id2"));
    remember(&k, 2, 2, "");
    MF_CHECK_OK(kit_append_and_wait(&k, 1));
    MF_CHECK_STR(told(&k, 10), "2:id2:user:agent:name 2 ");
    kit_close(&k);
}

/* More than the bound is better than nothing. */
MF_TEST(journal, gives_all_that_is_known_when_the_disk_is_too_full_to_drop_any)
{
    struct kit k = {0};

    as_loop();
    fault_vfs_install();
    kit_open(&k, mf_test_tmpdir());
    remember(&k, 2, 1, "");
    remember(&k, 2, 2, "");
    MF_CHECK_OK(kit_append_and_wait(&k, 1));
    fault_vfs_arm(FAULT_WRITE, 1, UINT_MAX, SQLITE_FULL);
    MF_CHECK_STR(told(&k, 1), "2:id1:user:agent:name 1 2:id2:user:agent:name 2 ");
    MF_CHECK(fault_vfs_n_fired() > 0);
    fault_vfs_disarm();
    MF_CHECK_STR(told(&k, 1), "2:id2:user:agent:name 2 ");
    kit_close(&k);
    fault_vfs_remove();
}

/* ---- an older format ---- */

MF_TEST(journal, of_the_first_format_is_brought_forward_with_its_rounds)
{
    const char *dir = mf_test_tmpdir();
    struct kit k = {0};

    as_loop();
    kit_open(&k, dir);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        MF_CHECK_OK(kit_append_and_wait(&k, seq));
    }
    kit_close(&k);
    kit_sql(kit_in(dir, "journal.db"), "DROP TABLE known; PRAGMA user_version=1");
    for (int i = 0; i < 2; i++) {
        static struct kit_rounds r;
        struct mf_err err = {0};

        memset(&r, 0, sizeof(r));
        kit_open(&k, dir);
        MF_CHECK_OK(mf_journal_replay(k.j, kit_count, &r, &err));
        MF_CHECK_INT(r.n, 5);
        MF_CHECK_STR(told(&k, 10), i == 0 ? "" : "2:id1:user:agent:name 1 ");
        remember(&k, 2, 1, "");
        kit_close(&k);
    }
    kit_sql(kit_in(dir, "journal.db"), "PRAGMA user_version=3");
    kit_check_open_fails(dir, MF_EINVAL, "newer memfuse");
}
