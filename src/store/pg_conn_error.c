/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_code.h"
#include "store/pg_conn_priv.h"

#define STATE_LEN 5

static bool is_state(const char *s)
{
    return strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= STATE_LEN &&
           strncmp(s + STATE_LEN, ": ", 2) == 0;
}

/* Of "FATAL:  28P01: password ..": where the state begins. */
static const char *find_state(struct mf_slice line)
{
    for (size_t i = 0; i + STATE_LEN + 5 <= line.n; i++) {
        if (strncmp(line.p + i, ":  ", 3) == 0 && is_state(line.p + i + 3)) {
            return line.p + i + 3;
        }
    }
    return NULL;
}

/* What belongs to the line before it. */
static bool is_remark(struct mf_slice line)
{
    static const char *const prefixes[] = {
        "\t", "LOCATION:", "DETAIL:", "HINT:", "CONTEXT:", "QUERY:", "SCHEMA", "TABLE"};

    for (size_t i = 0; i < mf_countof(prefixes); i++) {
        size_t n = strlen(prefixes[i]);

        if (line.n >= n && memcmp(line.p, prefixes[i], n) == 0) {
            return true;
        }
    }
    return line.n == 0;
}

static bool is_attempt(struct mf_slice line)
{
    static const char begin[] = "connection to server ";

    return line.n >= sizeof(begin) - 1 && memcmp(line.p, begin, sizeof(begin) - 1) == 0;
}

/* libpq writes a line for each address it tried, with remarks behind it: the last such
 * line is why it gave up. Before it tried any there are other lines. */
static struct mf_slice last_line(const char *message)
{
    struct mf_slice found = mf_slice_of(message, strcspn(message, "\n"));
    bool has_attempt = false;

    while (*message != '\0') {
        struct mf_slice line = mf_slice_of(message, strcspn(message, "\n"));

        if (is_attempt(line) || (!has_attempt && !is_remark(line))) {
            has_attempt = is_attempt(line);
            found = line;
        }
        message += line.n + (message[line.n] == '\n');
    }
    return found;
}

int mf_pg_connect_meaning(const char *message, bool needs_password, struct mf_err *err)
{
    struct mf_slice line = last_line(message);
    const char *at = find_state(line);
    const struct mf_pg_meaning *m;
    char state[STATE_LEN + 1];
    int where, rest;

    if (at == NULL && needs_password) {
        return mf_err_set(err, MF_EAUTH,
                          "the server asks for a password: set "
                          "store.postgres.password_file");
    }
    if (at == NULL) {
        return mf_err_set(err, MF_EUNAVAILABLE, "%.*s", (int)mf_min(line.n, MF_ERR_MAX),
                          line.p);
    }
    memcpy(state, at, STATE_LEN);
    state[STATE_LEN] = '\0';
    m = mf_pg_meaning(state);
    where = (int)(at - line.p);
    at += STATE_LEN + 2;
    rest = (int)mf_min((size_t)(line.p + line.n - at), MF_ERR_MAX / 2);
    (void)mf_err_set(err, m->code, "%.*s%.*s (SQLSTATE %s)%s%s", where, line.p, rest,
                     at, state, m->advice == NULL ? "" : "; ",
                     m->advice == NULL ? "" : m->advice);
    if (err != NULL) {
        err->sys = mf_pg_state_number(state);
    }
    return m->code;
}

int mf_pg_connect_error(const PGconn *pg, struct mf_err *err)
{
    if (pg == NULL) {
        return mf_err_set(err, MF_ENOMEM, "%s", mf_code_sentence(MF_ENOMEM));
    }
    return mf_pg_connect_meaning(PQerrorMessage(pg), PQconnectionNeedsPassword(pg) != 0,
                                 err);
}
