/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_dsn: where the database is: store.postgres.dsn (libpq URI or keywords), what libpq
 * reads from the environment, and our defaults.
 *
 * Ours: application_name memfuse; connect_timeout; for a host that is not local (no
 * socket path, no loopback address) sslmode verify-full, with the system's bundle of
 * certificates as sslrootcert when neither is said (one host that is not local decides
 * for all); client_encoding UTF8; gssencmode disable, since asking Kerberos may block;
 * tcp_user_timeout 30 s. The password comes from the DSN or the password file (mode
 * 0600 or stricter, first line), else PGPASSWORD / .pgpass, and is never in a sentence
 * or a log. A `service` is refused: its file could name hosts we did not look at.
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
#define MF_PG_ENDPOINT  80 /* "host:port", cut */

struct mf_pg_host {
    const char *name; /* host, or folder of a socket */
    const char *port;
    const char
        *addr; /* where it is, when that is known: a numeric address; else NULL */
    bool is_local;
    bool is_numeric; /* or a socket: no resolver is asked */
};

struct mf_pg_dsn {
    /* For PQconnectStartParams: NULL at the end. `host`, `hostaddr` and `port` are left
     * to the connection, which resolves the names anew for each attempt. */
    const char *keywords[MF_PG_MAX_WORDS + 1];
    const char *values[MF_PG_MAX_WORDS + 1];
    size_t n;
    struct mf_pg_host hosts[MF_PG_MAX_HOSTS];
    size_t n_hosts;
    const char *dbname;
    uint64_t connect_timeout_ms; /* what the dsn says itself; 0: nothing */
};

/* On failure there is nothing to fini. `password_file` may be NULL or empty. */
MF_MUST MF_ANY int mf_pg_dsn_parse(struct mf_pg_dsn *d, const char *dsn,
                                   const char *password_file,
                                   uint64_t connect_timeout_ms, struct mf_err *err);
/* "host:port[,host:port]/dbname", without user and password. */
MF_ANY void mf_pg_dsn_show(const struct mf_pg_dsn *d, struct mf_buf *out);
/* "host:port", "[::1]:port", "/folder:port". */
MF_ANY void mf_pg_host_show(const char *name, const char *port,
                            char out[MF_PG_ENDPOINT]);
MF_ANY void mf_pg_dsn_fini(struct mf_pg_dsn *d);

#endif
