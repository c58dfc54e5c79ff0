/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_dsn.h"

#include "base/mem.h"
#include "store/pg_dsn_priv.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY        "store.postgres.dsn"
#define SYSTEM_CA  "/etc/ssl/certs/ca-certificates.crt"
#define MAX_NUMBER 24 /* digits of a uint64_t, a NUL and some */

/* What was written in the dsn, and what libpq would take where nothing is said. */
struct said {
    PQconninfoOption *dsn, *defaults;
};

static const char *value_of(const PQconninfoOption *options, const char *word)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, word) == 0) {
            return o->val != NULL && o->val[0] != '\0' ? o->val : NULL;
        }
    }
    return NULL;
}

static const char *either(const struct said *s, const char *word)
{
    const char *value = value_of(s->dsn, word);

    return value != NULL ? value : value_of(s->defaults, word);
}

/* In the dsn or in the environment; a default that libpq was built with is not said. */
static bool is_said(const struct said *s, const char *word, const char *variable)
{
    const char *env = getenv(variable);

    return value_of(s->dsn, word) != NULL || (env != NULL && env[0] != '\0');
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(word, *list) == 0) {
            return true;
        }
    }
    return false;
}

static void wipe_options(PQconninfoOption *options)
{
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val != NULL && strstr(o->keyword, "password") != NULL) {
            explicit_bzero(o->val, strlen(o->val));
        }
    }
    PQconninfoFree(options);
}

static int add_word(struct mf_pg_dsn *d, const char *word, const char *value)
{
    char *w, *v;

    if (d->n == MF_PG_MAX_WORDS) {
        return MF_ETOOBIG;
    }
    w = mf_strndup(word, strlen(word));
    v = mf_strndup(value, strlen(value));
    if (w == NULL || v == NULL) {
        mf_free(w);
        mf_free(v);
        return MF_ENOMEM;
    }
    d->keywords[d->n] = w;
    d->values[d->n] = v;
    d->n++;
    return 0;
}

static int add_number(struct mf_pg_dsn *d, const char *word, uint64_t value)
{
    char digits[MAX_NUMBER];

    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    return add_word(d, word, digits);
}

/* libpq's own sentence would quote what it could not read, which may be a password. */
static int parse(struct said *s, const char *dsn, struct mf_err *err)
{
    char *msg = NULL;

    s->dsn = PQconninfoParse(dsn, &msg);
    if (s->dsn == NULL && msg != NULL) {
        PQfreemem(msg);
        return mf_err_set(err, MF_EINVAL,
                          KEY " cannot be read: write postgresql://user@host:5432/"
                              "database?word=value, with %%40 for @ and %%2F for / in "
                              "a password, or host=.. dbname=.. with words that libpq "
                              "knows and blanks inside '..'");
    }
    s->defaults = PQconndefaults();
    return s->dsn == NULL || s->defaults == NULL ? MF_ENOMEM : 0;
}

static int refuse_words(const PQconninfoOption *dsn, struct mf_err *err)
{
    static const char *const modes[] = {"disable",   "allow",       "prefer", "require",
                                        "verify-ca", "verify-full", NULL};
    static const char *const attrs[] = {
        "any", "read-write", "read-only", "primary", "standby", "prefer-standby", NULL};
    static const char *const unicode[] = {"UTF8",  "utf8",    "UTF-8",
                                          "utf-8", "unicode", NULL};
    const char *encoding = value_of(dsn, "client_encoding");
    const char *mode = value_of(dsn, "sslmode");
    const char *attr = value_of(dsn, "target_session_attrs");

    if (value_of(dsn, "service") != NULL) {
        return mf_err_set(err, MF_EINVAL,
                          KEY " names a service: write the host and the database "
                              "themselves");
    }
    if (value_of(dsn, "replication") != NULL) {
        return mf_err_set(err, MF_EINVAL,
                          KEY " asks for replication: leave that word out");
    }
    if (encoding != NULL && !is_one_of(encoding, unicode)) {
        return mf_err_set(err, MF_EINVAL,
                          KEY ": client_encoding is always UTF8: leave that word out");
    }
    if (mode != NULL && !is_one_of(mode, modes)) {
        return mf_err_set(err, MF_EINVAL,
                          KEY ": sslmode is one of disable, allow, prefer, require, "
                              "verify-ca, verify-full");
    }
    if (attr != NULL && !is_one_of(attr, attrs)) {
        return mf_err_set(err, MF_EINVAL,
                          KEY ": target_session_attrs is one of any, read-write, "
                              "read-only, primary, standby, prefer-standby");
    }
    return 0;
}

/* Words that others fill in, or that have a meaning of our own. */
static int copy_words(struct mf_pg_dsn *d, const PQconninfoOption *dsn)
{
    static const char *const ours[] = {"host",   "hostaddr",        "port",
                                       "dbname", "connect_timeout", "client_encoding",
                                       NULL};

    for (const PQconninfoOption *o = dsn; o->keyword != NULL; o++) {
        int rc = 0;

        if (o->val != NULL && o->val[0] != '\0' && !is_one_of(o->keyword, ours)) {
            rc = add_word(d, o->keyword, o->val);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int add_timeout(struct mf_pg_dsn *d, const struct said *s, uint64_t timeout_ms,
                       struct mf_err *err)
{
    const char *text = value_of(s->dsn, "connect_timeout");
    uint64_t seconds = 0;

    if (text != NULL && (mf_slice_to_u64(mf_slice_str(text), &seconds) < 0 ||
                         seconds == 0 || seconds > 3600)) {
        return mf_err_set(err, MF_EINVAL,
                          KEY
                          ": connect_timeout is a number of seconds from 1 to 3600");
    }
    d->connect_timeout_ms = seconds * 1000;
    return add_number(d, "connect_timeout",
                      seconds > 0 ? seconds : mf_max(1, (timeout_ms + 999) / 1000));
}

static bool is_all_local(const struct mf_pg_dsn *d)
{
    for (size_t i = 0; i < d->n_hosts; i++) {
        if (!d->hosts[i].is_local) {
            return false;
        }
    }
    return true;
}

/* Who takes what a stranger on the way says for the database's answer loses memories:
 * so it is the name in the certificate that counts unless somebody said otherwise. */
static int add_tls(struct mf_pg_dsn *d, const struct said *s)
{
    int rc;

    if (is_said(s, "sslmode", "PGSSLMODE") || is_all_local(d)) {
        return 0;
    }
    rc = add_word(d, "sslmode", "verify-full");
    if (rc == 0 && !is_said(s, "sslrootcert", "PGSSLROOTCERT") &&
        access(SYSTEM_CA, R_OK) == 0) {
        rc = add_word(d, "sslrootcert", SYSTEM_CA);
    }
    return rc;
}

static int add_defaults(struct mf_pg_dsn *d, const struct said *s)
{
    const char *dbname = either(s, "dbname");
    int rc = add_word(d, "client_encoding", "UTF8");

    if (rc == 0 && dbname == NULL) {
        dbname = either(s, "user"); /* libpq's own rule */
    }
    if (rc == 0) {
        rc = add_word(d, "dbname", dbname != NULL ? dbname : "postgres");
    }
    if (rc < 0) {
        return rc;
    }
    d->dbname = d->values[d->n - 1];
    if (value_of(s->dsn, "fallback_application_name") == NULL) {
        rc = add_word(d, "fallback_application_name", "memfuse");
    }
    if (rc == 0 && !is_said(s, "gssencmode", "PGGSSENCMODE")) {
        rc = add_word(d, "gssencmode", "disable");
    }
    /* Also bounds how long telling a server to give up (PQcancel) may take. */
    if (rc == 0 && value_of(s->dsn, "tcp_user_timeout") == NULL) {
        rc = add_word(d, "tcp_user_timeout", "30000");
    }
    return rc;
}

static int add_password(struct mf_pg_dsn *d, const struct said *s, const char *path,
                        struct mf_err *err)
{
    char password[MF_PG_MAX_PASSWORD + 1];
    int rc;

    if (path == NULL || path[0] == '\0') {
        return 0;
    }
    if (value_of(s->dsn, "password") != NULL) {
        return mf_err_set(err, MF_EINVAL,
                          KEY " holds a password and store.postgres.password_file is "
                              "set too: keep one of them");
    }
    rc = mf_pg_password_read(path, password, err);
    if (rc == 0) {
        rc = add_word(d, "password", password);
    }
    explicit_bzero(password, sizeof(password));
    return rc;
}

static int fill(struct mf_pg_dsn *d, const struct said *s, const char *password_file,
                uint64_t connect_timeout_ms, struct mf_err *err)
{
    int rc = refuse_words(s->dsn, err);

    if (rc == 0) {
        rc = mf_pg_hosts_split(d, either(s, "host"), either(s, "hostaddr"),
                               either(s, "port"), err);
    }
    if (rc == 0) {
        rc = copy_words(d, s->dsn);
    }
    if (rc == 0) {
        rc = add_timeout(d, s, connect_timeout_ms, err);
    }
    if (rc == 0) {
        rc = add_defaults(d, s);
    }
    if (rc == 0) {
        rc = add_tls(d, s);
    }
    return rc < 0 ? rc : add_password(d, s, password_file, err);
}

int mf_pg_dsn_parse(struct mf_pg_dsn *d, const char *dsn, const char *password_file,
                    uint64_t connect_timeout_ms, struct mf_err *err)
{
    struct said s = {0};
    int rc;

    *d = (struct mf_pg_dsn){0};
    rc = parse(&s, dsn == NULL ? "" : dsn, err);
    if (rc == 0) {
        rc = fill(d, &s, password_file, connect_timeout_ms, err);
    }
    wipe_options(s.dsn);
    wipe_options(s.defaults);
    if (rc < 0) {
        mf_pg_dsn_fini(d);
    }
    if (rc == MF_ENOMEM || rc == MF_ETOOBIG) {
        return mf_err_set(err, rc, KEY ": %s", mf_code_sentence(rc));
    }
    return rc;
}

void mf_pg_dsn_show(const struct mf_pg_dsn *d, struct mf_buf *out)
{
    char endpoint[MF_PG_ENDPOINT];

    for (size_t i = 0; i < d->n_hosts; i++) {
        if (i > 0) {
            mf_buf_add_char(out, ',');
        }
        mf_pg_host_show(d->hosts[i].name, d->hosts[i].port, endpoint);
        mf_buf_add_str(out, endpoint);
    }
    mf_buf_add_char(out, '/');
    mf_buf_add_str(out, d->dbname);
}

void mf_pg_host_show(const char *name, const char *port, char out[MF_PG_ENDPOINT])
{
    bool is_v6 = name[0] != '/' && strchr(name, ':') != NULL;

    (void)snprintf(out, MF_PG_ENDPOINT, "%s%s%s:%s", is_v6 ? "[" : "",
                   name[0] == '\0' ? "socket" : name, is_v6 ? "]" : "", port);
}

/* The words are ours alone, const only to their readers. */
static void drop(const char *text)
{
    uintptr_t p = (uintptr_t)text;

    mf_free((void *)p);
}

static void wipe(const char *text)
{
    uintptr_t p = (uintptr_t)text;

    explicit_bzero((void *)p, strlen(text));
}

void mf_pg_dsn_fini(struct mf_pg_dsn *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (strstr(d->keywords[i], "password") != NULL) {
            wipe(d->values[i]);
        }
        drop(d->keywords[i]);
        drop(d->values[i]);
    }
    for (size_t i = 0; i < d->n_hosts; i++) {
        drop(d->hosts[i].name);
        drop(d->hosts[i].port);
        drop(d->hosts[i].addr);
    }
    *d = (struct mf_pg_dsn){0};
}
