/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/far_kit.h"

#include "lib/mf_test.h"

#include <stdio.h>
#include <stdlib.h>

static const char *env(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL) {
        fail_msg("%s is not set: with_far_server.sh runs this program", name);
    }
    return value;
}

const char *far_dsn(const char *pattern, int number)
{
    static char out[1024];
    size_t n = 0;

    out[n++] = '=';
    for (; *pattern != '\0' && n < sizeof(out) - 256; pattern++) {
        char own[16];
        const char *const parts[] = {env("MF_TEST_PORT"), env("MF_TEST_STANDBY"),
                                     env("MF_TEST_TLS"), env("MF_TEST_PG_DIR"), own};

        if (*pattern != '%') {
            out[n++] = *pattern;
            continue;
        }
        pattern++;
        (void)snprintf(own, sizeof(own), "%d", number);
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", parts[*pattern - '1']);
    }
    out[n] = '\0';
    return out;
}

void far_attempt(struct conn_kit *k, struct peer *p, size_t host)
{
    peer_open(k, p);
    mf_loop_fixture_wait(k->loop, &p->is_ready);
    MF_CHECK_INT(mf_pg_conn_host(p->conn), host);
    peer_close(p, false);
    mf_loop_fixture_wait(k->loop, &p->is_closed);
}

void far_leads_to(const char *pattern, int number, size_t host)
{
    struct conn_kit k;
    struct peer p;

    conn_kit_open(&k, far_dsn(pattern, number));
    far_attempt(&k, &p, host);
    if (p.rc < 0) {
        fail_msg("%s: %s", pattern, p.err.msg);
    }
    conn_kit_close(&k);
}
