/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal_logkit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct mf_jlog *kit_open_log(const char *dir)
{
    struct mf_err err = {0};
    struct mf_jlog *log = NULL;

    if (mf_jlog_open(&log, dir, false, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return log;
}

struct mf_jlog_batch kit_commit(struct mf_jlog *log, uint64_t from, size_t n)
{
    struct mf_item *items[512];
    struct mf_jlog_batch b = {.items = items, .n_items = n};

    as_loop();
    MF_ASSERT(n <= mf_countof(items));
    for (size_t i = 0; i < n; i++) {
        items[i] = kit_item(from + i);
    }
    mf_jlog_commit(log, &b);
    for (size_t i = 0; i < n; i++) {
        mf_item_unref(items[i]);
    }
    return b;
}

struct mf_jlog_batch kit_erase(struct mf_jlog *log, const uint64_t *seqs, size_t n)
{
    struct mf_jlog_batch b = {.erase = seqs, .n_erase = n};

    mf_jlog_commit(log, &b);
    return b;
}

struct kit_rounds *kit_replayed(struct mf_jlog *log)
{
    static struct kit_rounds r;
    struct mf_err err = {0};

    memset(&r, 0, sizeof(r));
    if (mf_jlog_replay(log, false, kit_count_bytes, &r, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    MF_CHECK_INT(r.n_wrong, 0);
    MF_CHECK(r.n == 0 || r.is_ascending);
    return &r;
}

const char *kit_in(const char *dir, const char *name)
{
    static char paths[64][4200];
    static unsigned next;
    char *path = paths[next++ % 64];

    (void)snprintf(path, 4200, "%s/%s", dir, name);
    return path;
}

off_t kit_size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

off_t kit_wal_end(const struct mf_jlog *log)
{
    return 32 + (off_t)log->wal_used * (24 + 8192);
}

/* Another program at work on the closed file. */
void kit_sql(const char *path, const char *words)
{
    sqlite3 *db;

    MF_CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    MF_CHECK_INT(sqlite3_exec(db, words, NULL, NULL, NULL), SQLITE_OK);
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

void kit_check_open_fails(const char *dir, int rc, const char *part)
{
    struct mf_err err = {0};
    struct mf_jlog *log = NULL;

    MF_CHECK_INT(mf_jlog_open(&log, dir, false, &err), rc);
    MF_CHECK_INT(err.code, rc);
    if (strstr(err.msg, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
    }
    MF_CHECK_PTR(log, NULL);
}

void kit_write_bytes(const char *path, off_t at, const void *p, size_t n)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    MF_CHECK(fd >= 0);
    MF_CHECK_INT(pwrite(fd, p, n, at), n);
    (void)close(fd);
}
