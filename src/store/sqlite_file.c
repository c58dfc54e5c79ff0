/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "store/sqlite_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define OLDEST_SQLITE 3037000 /* STRICT tables */

static bool has_reset_fix(int version)
{
    return version >= 3051003 || (version >= 3050007 && version < 3051000) ||
           (version >= 3044006 && version < 3045000);
}

/* What runs is what counts, not what was compiled against. */
int mf_sq_check_library(struct mf_err *err)
{
    int version = sqlite3_libversion_number();

    if (version < OLDEST_SQLITE) {
        return mf_err_set(err, MF_EUNAVAILABLE,
                          "SQLite %s is too old: 3.37.0 is the first that will do",
                          sqlite3_libversion());
    }
    if (sqlite3_threadsafe() == 0) {
        return mf_err_set(err, MF_EUNAVAILABLE,
                          "SQLite %s was built without threads: use another build",
                          sqlite3_libversion());
    }
    mf_log_info("store_sqlite", "version=%s wal_reset_bug=%s writers=1 checkpointers=1",
                sqlite3_libversion(), has_reset_fix(version) ? "fixed" : "present");
    return 0;
}

int mf_sq_path(char *out, size_t cap, const char *dir, struct mf_err *err)
{
    static const char name[] = "/memfuse.db";

    if (strlen(dir) > cap - sizeof(name)) {
        return mf_err_set(err, MF_EINVAL,
                          "data.dir is longer than %zu bytes: choose a shorter one",
                          cap - sizeof(name));
    }
    (void)stpcpy(stpcpy(out, dir), name);
    return 0;
}

/* Messages are private: SQLite gives the WAL the mode that it finds here. An existing
 * file is never opened here, for closing it would drop SQLite's locks. */
int mf_sq_create_private(const char *path, struct mf_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        return errno == EEXIST
                   ? 0
                   : mf_err_set(err, mf_code_from_errno(errno),
                                "not able to create it: %s", strerror(errno));
    }
    if (close(fd) != 0) {
        return mf_err_set(err, mf_code_from_errno(errno), "not able to close it: %s",
                          strerror(errno));
    }
    return 0;
}
