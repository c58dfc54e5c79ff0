/* SPDX-License-Identifier: Apache-2.0 */
/*
 * far_kit: ways to the server of with_far_server.sh.
 *
 * Owns:    nothing
 * Thread:  the case's, on the loop
 * Limits:  a dsn of 1 KiB
 * Fails:   through cmocka's assertions
 */
#ifndef MF_FAR_KIT_H
#define MF_FAR_KIT_H

#include "pg/conn_kit.h"

/* %1 the server's port, %2 the standby's, %3 the folder of certificates, %4 that of the
 * socket, %5 `number`. For conn_kit_open; until the next call. */
const char *far_dsn(const char *pattern, int number);
/* Tries, and closes what came of it. `host`: who answered, or was tried last. */
MF_LOOP void far_attempt(struct conn_kit *k, struct peer *p, size_t host);
void far_leads_to(const char *pattern, int number, size_t host);

#endif
