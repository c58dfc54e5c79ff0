/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_dsn: where the database is: store.postgres.dsn (libpq URI or keywords), what libpq
 * reads from the environment, and our defaults.
 *
 * Ours: application_name memfuse; connect_timeout; for a host that is not local (no
 * socket path, no loopback address) sslmode verify-full, with the system's bundle of
 * certificates as sslrootcert when neither is said. The password comes from the DSN,
 * the password file (mode 0600 or stricter, first line) or PGPASSWORD / .pgpass, and is
 * never in a sentence or a log.
 *
 * Owns:    copies of all words; the password is wiped by fini
 * Thread:  any
 * Limits:  MF_PG_MAX_HOSTS hosts
 * Fails:   MF_EINVAL with a sentence that names the key and what to do, MF_ENOMEM
 */
#ifndef MF_STORE_PG_DSN_H
#define MF_STORE_PG_DSN_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MF_PG_MAX_HOSTS 16
#define MF_PG_MAX_WORDS 64

struct mf_pg_host {
    const char *name; /* host, or folder of a socket */
    const char *port;
    bool is_local;
    bool is_numeric; /* or a socket: no resolver is asked */
};

struct mf_pg_dsn {
    /* For PQconnectStartParams: NULL at the end. `hostaddr` is left to the connection,
     * which resolves the names anew for each attempt. */
    const char *keywords[MF_PG_MAX_WORDS + 1];
    const char *values[MF_PG_MAX_WORDS + 1];
    size_t n;
    struct mf_pg_host hosts[MF_PG_MAX_HOSTS];
    size_t n_hosts;
    const char *dbname;
};

/* On failure there is nothing to fini. `password_file` may be NULL or empty. */
MF_MUST MF_ANY int mf_pg_dsn_parse(struct mf_pg_dsn *d, const char *dsn,
                                   const char *password_file,
                                   uint64_t connect_timeout_ms, struct mf_err *err);
/* "host:port[,host:port]/dbname", without user and password. */
MF_ANY void mf_pg_dsn_show(const struct mf_pg_dsn *d, struct mf_buf *out);
MF_ANY void mf_pg_dsn_fini(struct mf_pg_dsn *d);

#endif
