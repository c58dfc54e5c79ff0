/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/logfile.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NEW_NAME  "journal.db.new"
#define MAX_MOVED 10000

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

/* EXCLUSIVE before the first access: then the WAL index is in our memory, there is no
 * -shm file, and no other program gets in between. */
static const char settings[] = "PRAGMA locking_mode=EXCLUSIVE;"
                               "PRAGMA journal_mode=WAL;"
                               "PRAGMA synchronous=FULL;"
                               "PRAGMA wal_autocheckpoint=0;"
                               "PRAGMA secure_delete=FAST;"
                               "PRAGMA cell_size_check=ON;"
                               "PRAGMA temp_store=MEMORY;"
                               "PRAGMA cache_size=-32768;";

/* Oldest dropped first: by rowid, which a row that is put again gets anew. */
#define KNOWN_TABLE                                                                    \
    "CREATE TABLE known(kind INTEGER NOT NULL, id TEXT NOT NULL,"                      \
    " user_id TEXT NOT NULL, agent_id TEXT NOT NULL, name TEXT NOT NULL,"              \
    " PRIMARY KEY(kind, id));"

/* steps[i] makes format i + 1 of format i; there is none for the first. */
static const char *const steps[] = {NULL, KNOWN_TABLE "PRAGMA user_version=2;"};
_Static_assert(mf_countof(steps) == MF_LOGFILE_VERSION, "a step for each format");

static const char schema[] =
    "BEGIN;"
    "CREATE TABLE rounds(seq INTEGER PRIMARY KEY, payload BLOB NOT NULL);"
    "CREATE TABLE parked(seq INTEGER PRIMARY KEY, reason TEXT NOT NULL,"
    " at INTEGER NOT NULL);"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL);"
    "INSERT INTO meta VALUES('next_seq', 1);" KNOWN_TABLE "PRAGMA application_id=" TEXT(
        MF_LOGFILE_APP_ID) ";"
                           "PRAGMA user_version=" TEXT(MF_LOGFILE_VERSION) ";"
                                                                           "COMMIT;";

int mf_logfile_path(struct mf_path *path, const char *dir, const char *name,
                    struct mf_err *err)
{
    int n = snprintf(path->s, sizeof(path->s), "%s/%s", dir, name);

    /* SQLite adds "-journal". */
    if (n < 0 || (size_t)n > sizeof(path->s) - 16) {
        return mf_err_set(err, MF_EINVAL, "data.dir is longer than %zu bytes",
                          sizeof(path->s) - 64);
    }
    return 0;
}

/* The errno of the last call that failed on the file, or 0. */
static int last_errno(sqlite3_file *f)
{
    int sys = 0;

    if (f == NULL || f->pMethods == NULL ||
        f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &sys) != SQLITE_OK) {
        return 0;
    }
    return sys;
}

static bool is_no_room(int sys)
{
    return sys == ENOSPC || sys == EDQUOT || sys == EFBIG;
}

/* SQLite calls only ENOSPC "full". A quota or a bound on file sizes is the same to us,
 * but only when no file had any other error: then nothing was written and lost. */
static bool has_hit_a_bound(sqlite3 *db)
{
    sqlite3_file *f = NULL;
    int in_db = 0, in_wal = 0;

    if (sqlite3_file_control(db, NULL, SQLITE_FCNTL_FILE_POINTER, (void *)&f) == 0) {
        in_db = last_errno(f);
    }
    if (sqlite3_file_control(db, NULL, SQLITE_FCNTL_JOURNAL_POINTER, (void *)&f) == 0) {
        in_wal = last_errno(f);
    }
    return (is_no_room(in_db) || is_no_room(in_wal)) &&
           (in_db == 0 || is_no_room(in_db)) && (in_wal == 0 || is_no_room(in_wal));
}

bool mf_logfile_is_no_room(sqlite3 *db, int rc)
{
    /* A refused write loses nothing. A failed fsync does, whatever its errno says. */
    return (rc & 0xff) == SQLITE_FULL ||
           (rc == SQLITE_IOERR_WRITE && has_hit_a_bound(db));
}

static int code_of(sqlite3 *db, int rc)
{
    if (mf_logfile_is_no_room(db, rc)) {
        return MF_ENOSPC;
    }
    if (rc == SQLITE_IOERR_NOMEM) {
        return MF_ENOMEM;
    }
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return MF_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return MF_EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return MF_ECORRUPT;
    default: return MF_EIO;
    }
}

int mf_logfile_fail(sqlite3 *db, int rc, const char *what, struct mf_err *err)
{
    int code = code_of(db, rc);
    int sys = db == NULL ? 0 : sqlite3_system_errno(db);
    const char *words = db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(db);

    if ((rc & 0xff) == SQLITE_IOERR && sys != 0) {
        (void)mf_err_set(err, code, "%s: %s %d (%s)", what, words, rc, strerror(sys));
    } else {
        (void)mf_err_set(err, code, "%s: %s", what, words);
    }
    if (err != NULL) {
        err->sys = rc;
    }
    return code;
}

int mf_logfile_fail_sys(int sys, const char *what, const char *path, struct mf_err *err)
{
    int code = sys == ENOSPC || sys == EDQUOT ? MF_ENOSPC : MF_EIO;

    (void)mf_err_set(err, code, "cannot %s %s: %s", what, path, strerror(sys));
    if (err != NULL) {
        err->sys = sys;
    }
    return code;
}

int mf_logfile_make_dir(const char *dir, struct mf_err *err)
{
    if (mkdir(dir, 0700) == 0 || errno == EEXIST) {
        return 0;
    }
    return mf_logfile_fail_sys(errno, "make", dir, err);
}

int mf_logfile_sync(const char *path, struct mf_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0) {
        return mf_logfile_fail_sys(errno, "open", path, err);
    }
    if (fsync(fd) != 0) {
        rc = mf_logfile_fail_sys(errno, "sync", path, err);
    }
    (void)close(fd);
    return rc;
}

int mf_logfile_run(sqlite3 *db, const char *sql, const char *what, struct mf_err *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : mf_logfile_fail(db, rc, what, err);
}

int mf_logfile_connect(sqlite3 **out, const char *path, int flags, struct mf_err *err)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc != SQLITE_OK) {
        rc = mf_logfile_fail(db, rc, path, err);
        (void)sqlite3_close(db);
        return rc;
    }
    (void)sqlite3_extended_result_codes(db, 1);
    *out = db;
    return 0;
}

/* Closing must not write behind our back: not after a failure, nor when it fails. */
static void keep_wal_on_close(sqlite3 *db)
{
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

/* Messages are private: SQLite gives the WAL the mode that it finds here. */
static int create_private(const char *path, struct mf_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 || close(fd) != 0) {
        return mf_logfile_fail_sys(errno, "create", path, err);
    }
    return 0;
}

int mf_logfile_create(sqlite3 **out, const char *path, struct mf_err *err)
{
    int rc;

    mf_logfile_remove(path); /* of a start that was cut short */
    rc = create_private(path, err);
    if (rc < 0) {
        return rc;
    }
    rc = mf_logfile_connect(out, path, SQLITE_OPEN_READWRITE, err);
    if (rc < 0) {
        return rc;
    }
    rc = mf_logfile_run(*out, "PRAGMA page_size=8192; PRAGMA auto_vacuum=NONE;", path,
                        err);
    if (rc == 0) {
        rc = mf_logfile_run(*out, settings, path, err);
    }
    if (rc == 0) {
        rc = mf_logfile_run(*out, schema, path, err);
    }
    if (rc < 0) {
        (void)sqlite3_close(*out);
        *out = NULL;
    }
    return rc;
}

void mf_logfile_remove(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-journal"};
    char name[PATH_MAX + 16];

    for (size_t i = 0; i < mf_countof(ends); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name);
    }
}

/* Closing checkpoints and removes the WAL: one whole file is left. */
int mf_logfile_finish(sqlite3 *db, const char *path, struct mf_err *err)
{
    int rc =
        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    if (rc != SQLITE_OK) {
        rc = mf_logfile_fail(db, rc, path, err);
        keep_wal_on_close(db);
    }
    (void)sqlite3_close(db);
    return rc < 0 ? rc : mf_logfile_sync(path, err);
}

static int make_new(const char *dir, const char *to, struct mf_err *err)
{
    struct mf_path path;
    sqlite3 *db = NULL;
    int rc = mf_logfile_path(&path, dir, NEW_NAME, err);

    if (rc == 0) {
        rc = mf_logfile_create(&db, path.s, err);
    }
    if (rc == 0) {
        rc = mf_logfile_finish(db, path.s, err);
    }
    if (rc == 0 && rename(path.s, to) != 0) {
        rc = mf_logfile_fail_sys(errno, "rename", path.s, err);
    }
    if (rc < 0) {
        mf_logfile_remove(path.s);
        return rc;
    }
    return mf_logfile_sync(dir, err);
}

static bool has_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > 0;
}

int mf_logfile_make(const char *dir, struct mf_err *err)
{
    struct mf_path db, wal, salvaged;
    struct stat st;
    int rc = mf_logfile_path(&db, dir, MF_LOGFILE_NAME, err);

    if (rc == 0) {
        rc = mf_logfile_path(&wal, dir, MF_LOGFILE_WAL, err);
    }
    if (rc == 0) {
        rc = mf_logfile_path(&salvaged, dir, MF_LOGFILE_SALVAGED, err);
    }
    if (rc < 0 || stat(db.s, &st) == 0) {
        return rc;
    }
    if (errno != ENOENT) {
        return mf_logfile_fail_sys(errno, "read", db.s, err);
    }
    if (has_bytes(salvaged.s)) {
        return mf_logfile_replace(dir, &db, err);
    }
    /* Rounds are in there that a new file would lose silently. */
    if (has_bytes(wal.s)) {
        return mf_err_set(err, MF_ECORRUPT, "%s is missing, but its WAL is there",
                          db.s);
    }
    return make_new(dir, db.s, err);
}

/* Clean pages go first, since after a failed fsync they are not what the disk has;
 * dirty ones are then written, or we learn that they cannot be, and go as well. */
static int cool_file(const char *path, struct mf_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0) {
        return errno == ENOENT ? 0 : mf_logfile_fail_sys(errno, "open", path, err);
    }
    if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
        mf_log_warn("journal_cache_kept", "file=%s", path);
    }
    if (fsync(fd) != 0) {
        rc = mf_logfile_fail_sys(errno, "sync", path, err);
    } else if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
        mf_log_warn("journal_cache_kept", "file=%s", path);
    }
    (void)close(fd);
    return rc;
}

int mf_logfile_cool(const char *dir, struct mf_err *err)
{
    static const char *const names[] = {MF_LOGFILE_NAME, MF_LOGFILE_WAL};
    struct mf_path path;
    int rc = 0;

    for (size_t i = 0; i < mf_countof(names) && rc == 0; i++) {
        rc = mf_logfile_path(&path, dir, names[i], err);
        if (rc == 0) {
            rc = cool_file(path.s, err);
        }
    }
    return rc;
}

static int read_number(sqlite3 *db, const char *sql, int64_t *value, struct mf_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW) {
        *value = sqlite3_column_int64(st, 0);
        rc = SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
        rc = SQLITE_CORRUPT;
    }
    if (rc != SQLITE_OK) {
        rc = mf_logfile_fail(db, rc, "cannot be read", err);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int check_kind(sqlite3 *db, struct mf_err *err)
{
    int64_t app_id = 0, version = 0;
    int rc = read_number(db, "PRAGMA application_id", &app_id, err);

    if (rc == 0) {
        rc = read_number(db, "PRAGMA user_version", &version, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (app_id != MF_LOGFILE_APP_ID || version < 1) {
        return mf_err_set(err, MF_ECORRUPT, "is not a journal of memfuse");
    }
    if (version > MF_LOGFILE_VERSION) {
        return mf_err_set(err, MF_EINVAL,
                          "was made by a newer memfuse (format %lld, this one knows "
                          "%d): start the newer one",
                          (long long)version, MF_LOGFILE_VERSION);
    }
    return 0;
}

/* Forward only: what an older memfuse made becomes ours, all steps or none. */
static int migrate(sqlite3 *db, struct mf_err *err)
{
    int64_t version = 0;
    int rc = read_number(db, "PRAGMA user_version", &version, err);

    if (rc < 0 || version >= MF_LOGFILE_VERSION) {
        return rc;
    }
    rc = mf_logfile_run(db, "BEGIN IMMEDIATE", "cannot be brought up to date", err);
    for (; rc == 0 && version < MF_LOGFILE_VERSION; version++) {
        rc = mf_logfile_run(db, steps[version], "cannot be brought up to date", err);
    }
    return rc < 0 ? rc
                  : mf_logfile_run(db, "COMMIT", "cannot be brought up to date", err);
}

/* The b-trees hold together; what is in the records is the replay's to check. */
static int check_structure(sqlite3 *db, struct mf_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
    }
    if (rc != SQLITE_ROW) {
        rc = mf_logfile_fail(db, rc, "cannot be checked", err);
    } else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0) {
        rc = 0;
    } else {
        rc = mf_err_set(err, MF_ECORRUPT, "%s",
                        (const char *)sqlite3_column_text(st, 0));
    }
    (void)sqlite3_finalize(st);
    return rc;
}

int mf_logfile_open(sqlite3 **out, const char *dir, struct mf_err *err)
{
    struct mf_path path;
    int rc = mf_logfile_path(&path, dir, MF_LOGFILE_NAME, err);

    *out = NULL;
    if (rc == 0) {
        rc = mf_logfile_connect(out, path.s, SQLITE_OPEN_READWRITE, err);
    }
    if (rc < 0) {
        return rc;
    }
    keep_wal_on_close(*out);
    rc = mf_logfile_run(*out, "PRAGMA locking_mode=EXCLUSIVE", "cannot be locked", err);
    if (rc == 0) {
        rc = check_kind(*out, err); /* before anything is written to a foreign file */
    }
    if (rc == 0) {
        rc = mf_logfile_run(*out, settings, "cannot be set up", err);
    }
    if (rc == 0) {
        rc = check_structure(*out, err);
    }
    if (rc == 0) {
        rc = migrate(*out, err);
    }
    if (rc < 0) {
        (void)sqlite3_close(*out);
        *out = NULL;
        return mf_err_wrap(err, rc, "%s", path.s);
    }
    return 0;
}

static int rename_in(const char *dir, const char *from, const struct mf_path *to,
                     struct mf_err *err)
{
    struct mf_path path;
    int rc = mf_logfile_path(&path, dir, from, err);

    if (rc == 0 && rename(path.s, to->s) != 0 && errno != ENOENT) {
        rc = mf_logfile_fail_sys(errno, "rename", path.s, err);
    }
    return rc;
}

static int free_name(const char *dir, struct mf_path *db, struct mf_path *wal,
                     struct mf_err *err)
{
    char name[64];
    int rc = 0;

    for (unsigned n = 1; n < MAX_MOVED && rc == 0; n++) {
        (void)snprintf(name, sizeof(name), "journal-damaged-%u.db", n);
        rc = mf_logfile_path(db, dir, name, err);
        (void)snprintf(name, sizeof(name), "journal-damaged-%u.db-wal", n);
        if (rc == 0) {
            rc = mf_logfile_path(wal, dir, name, err);
        }
        if (rc == 0 && access(db->s, F_OK) != 0 && access(wal->s, F_OK) != 0) {
            return 0;
        }
    }
    return rc < 0
               ? rc
               : mf_err_set(err, MF_EEXIST, "%s holds %d damaged journals: remove them",
                            dir, MAX_MOVED - 1);
}

int mf_logfile_replace(const char *dir, struct mf_path *moved, struct mf_err *err)
{
    struct mf_path wal, db;
    int rc = free_name(dir, moved, &wal, err);

    /* Before the salvaged file has its name, so that it never meets that WAL. */
    if (rc == 0) {
        rc = rename_in(dir, MF_LOGFILE_NAME, moved, err);
    }
    if (rc == 0) {
        rc = rename_in(dir, MF_LOGFILE_WAL, &wal, err);
    }
    if (rc == 0) {
        rc = mf_logfile_sync(dir, err);
    }
    if (rc == 0) {
        rc = mf_logfile_path(&db, dir, MF_LOGFILE_NAME, err);
    }
    if (rc == 0) {
        rc = rename_in(dir, MF_LOGFILE_SALVAGED, &db, err);
    }
    return rc < 0 ? rc : mf_logfile_sync(dir, err);
}

uint64_t mf_logfile_free_bytes(const char *dir)
{
    struct statvfs st;

    if (statvfs(dir, &st) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)st.f_bavail * st.f_frsize;
}
