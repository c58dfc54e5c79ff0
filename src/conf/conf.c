/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include "base/mem.h"
#include "conf/key_table.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define ENV_PREFIX         "MEMFUSE__"
/* What the Python server calls buffer.enabled. */
#define ENV_BUFFER_ENABLED "MEMFUSE_BUFFER_ENABLED="

int mf_conf_init(struct mf_conf *c)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);

    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < n; i++) {
        int rc = mf_conf_key_reset(c, &keys[i]);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void mf_conf_fini(struct mf_conf *c)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);

    for (size_t i = 0; i < n; i++) {
        mf_conf_key_clear(c, &keys[i]);
    }
}

/* MEMFUSE__BUFFER__ROUND_BUFFER__MAX_SIZE -> buffer.round_buffer.max_size */
static size_t key_of_variable(const char *variable, size_t n, char *out, size_t cap)
{
    size_t len = 0;

    for (size_t i = 0; i < n && len + 1 < cap; i++) {
        if (variable[i] == '_' && i + 1 < n && variable[i + 1] == '_') {
            out[len++] = '.';
            i++;
        } else {
            out[len++] = (char)tolower((unsigned char)variable[i]);
        }
    }
    out[len] = '\0';
    return len;
}

static int read_variable(struct mf_conf *c, const char *variable, const char *eq,
                         struct mf_conf_report *r)
{
    const char *rest = variable + strlen(ENV_PREFIX);
    char key[128], where[160];
    size_t n = key_of_variable(rest, (size_t)(eq - rest), key, sizeof(key));

    (void)snprintf(where, sizeof(where), "%.*s", (int)(eq - variable), variable);
    return mf_conf_assign(c, mf_slice_of(key, n), mf_slice_str(eq + 1), where, r);
}

/* MEMFUSE_BUFFER_ENABLED first: the key's own variable wins wherever it stands. */
int mf_conf_read_env(struct mf_conf *c, char *const *env, struct mf_conf_report *r)
{
    size_t n_prefix = strlen(ENV_PREFIX), n_enabled = strlen(ENV_BUFFER_ENABLED);
    int rc = 0;

    for (size_t i = 0; env[i] != NULL; i++) {
        if (strncmp(env[i], ENV_BUFFER_ENABLED, n_enabled) == 0) {
            rc = mf_conf_assign(c, MF_SLICE("buffer.enabled"),
                                mf_slice_str(env[i] + n_enabled),
                                "MEMFUSE_BUFFER_ENABLED", r);
        }
    }
    for (size_t i = 0; env[i] != NULL && rc != MF_ENOMEM; i++) {
        const char *eq = strchr(env[i], '=');
        int one;

        if (eq == NULL || strncmp(env[i], ENV_PREFIX, n_prefix) != 0) {
            continue;
        }
        one = read_variable(c, env[i], eq, r);
        rc = one < 0 ? one : rc;
    }
    return rc;
}

int mf_conf_set(struct mf_conf *c, const char *assignment, struct mf_conf_report *r)
{
    const char *eq = strchr(assignment, '=');

    if (eq == NULL) {
        /* Not all of it: what follows a wrong sign may be a password. */
        return mf_conf_complain(r, "--set", "'%.*s' is not section.key=value",
                                (int)strcspn(assignment, ": "), assignment);
    }
    return mf_conf_assign(c, mf_slice_of(assignment, (size_t)(eq - assignment)),
                          mf_slice_str(eq + 1), "--set", r);
}

static bool is_local(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return strncmp(host, "unix:", 5) == 0 || strcmp(host, "localhost") == 0;
}

static void check_door(const struct mf_conf *c, struct mf_conf_report *r)
{
    if (!is_local(c->server_host) && !c->server_api_key_validation) {
        (void)mf_conf_complain(
            r, "server.host",
            "'%s' is not loopback: everybody on the network could read all memories; "
            "set server.api_key_validation to true",
            c->server_host);
    }
    if (c->server_api_key_validation && c->server_admin_key_file[0] == '\0') {
        (void)mf_conf_complain(
            r, "server.admin_key_file",
            "is needed with server.api_key_validation: the first keys are made with "
            "the administrator's");
    }
    if (c->server_delete_user_status != 200 && c->server_delete_user_status != 204) {
        (void)mf_conf_complain(r, "server.delete_user_status",
                               "must be 200 or 204, not %llu",
                               (unsigned long long)c->server_delete_user_status);
    }
}

/* One bound above another that it could never reach: all such requests would fail, or
 * be told for ever to come back later. */
static void check_sizes(const struct mf_conf *c, struct mf_conf_report *r)
{
    const struct {
        const char *small, *large;
        uint64_t small_bytes, large_bytes;
    } rules[] = {
        {"server.max_body_bytes", "server.max_buffered_bytes", c->server_max_body_bytes,
         c->server_max_buffered_bytes},
        {"limits.message_bytes", "server.max_body_bytes", c->limits_message_bytes,
         c->server_max_body_bytes},
        {"limits.message_bytes", "buffer.max_bytes", c->limits_message_bytes,
         c->buffer_max_bytes},
        {"limits.message_bytes", "journal.max_bytes", c->limits_message_bytes,
         c->journal_max_bytes},
    };

    for (size_t i = 0; i < mf_countof(rules); i++) {
        if (rules[i].small_bytes > rules[i].large_bytes) {
            (void)mf_conf_complain(
                r, rules[i].small,
                "is larger than %s: what is so large could never pass", rules[i].large);
        }
    }
}

static void check_store(const struct mf_conf *c, struct mf_conf_report *r)
{
    if (c->store_shared && strcmp(c->store_backend, "postgres") != 0) {
        (void)mf_conf_complain(r, "store.shared",
                               "needs store.backend postgres: the file of %s is this "
                               "process's alone",
                               c->store_backend);
    }
}

int mf_conf_check(const struct mf_conf *c, struct mf_conf_report *r)
{
    size_t before = r->n_problems;

    check_door(c, r);
    check_sizes(c, r);
    check_store(c, r);
    if (c->flush_priority_levels == 4) {
        (void)mf_conf_complain(r, "flush.priority_levels", "must be 3 or 5, not 4");
    }
    if (c->flush_retry_first_ms > c->flush_retry_max_ms) {
        (void)mf_conf_complain(r, "flush.retry_first",
                               "is longer than flush.retry_max");
    }
    if (c->embed_retry_first_ms > c->embed_retry_max_ms) {
        (void)mf_conf_complain(r, "embed.retry_first",
                               "is longer than embed.retry_max");
    }
    return r->n_problems > before ? MF_EINVAL : 0;
}
