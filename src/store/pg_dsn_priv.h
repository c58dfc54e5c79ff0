/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_dsn_priv: the parts of pg_dsn: lists of hosts, and the password's file.
 *
 * Owns:    nothing: what hosts_split fills is the dsn's
 * Thread:  any
 * Limits:  MF_PG_MAX_HOSTS hosts, MF_PG_MAX_PASSWORD bytes
 * Fails:   MF_EINVAL with a sentence, MF_ENOMEM
 */
#ifndef MF_STORE_PG_DSN_PRIV_H
#define MF_STORE_PG_DSN_PRIV_H

#include "store/pg_dsn.h"

#define MF_PG_MAX_PASSWORD 1024

/* libpq's lists with commas; any may be NULL. On a failure what is in `d` is the
 * caller's to fini. */
MF_MUST MF_ANY int mf_pg_hosts_split(struct mf_pg_dsn *d, const char *names,
                                     const char *addrs, const char *ports,
                                     struct mf_err *err);
MF_MUST MF_ANY int mf_pg_password_read(const char *path,
                                       char out[MF_PG_MAX_PASSWORD + 1],
                                       struct mf_err *err);

#endif
