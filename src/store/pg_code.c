/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_code.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#define STATE_LEN   5
#define WORKER_AWAY "08006"
#define MAX_MESSAGE 140 /* leaves room for the state and the advice */

#define ROW     MF_PG_BLAME_ROW
#define REQUEST MF_PG_BLAME_REQUEST
#define MOMENT  MF_PG_BLAME_MOMENT
#define SERVER  MF_PG_BLAME_SERVER
#define SETUP   MF_PG_BLAME_SETUP

struct line {
    const char *prefix; /* of the state; the first that fits counts */
    struct mf_pg_meaning is;
};

static const char pooler[] =
    "between us and the server stands a pooler that mixes sessions: let it keep one "
    "session a client (pgbouncer: pool_mode = session)";
static const char worker[] = "a worker of the cluster is not reached";
static const char tables[] = "the tables are not those that memfuse made";

static const struct line table[] = {
    /* connections */
    /* Who says it is there: it is Citus about one of its workers. */
    {WORKER_AWAY, {MF_EUNAVAILABLE, MOMENT, false, worker}},
    {"08", {MF_EUNAVAILABLE, SERVER, true, NULL}},
    /* "cached plan must not change result type": a new connection prepares anew */
    {"0A", {MF_EUNAVAILABLE, SETUP, true, "this server cannot do what memfuse asks"}},
    /* rows */
    {"22", {MF_EPOISON, ROW, false, NULL}},
    {"23505", {MF_EEXIST, REQUEST, false, NULL}},
    {"23", {MF_EPOISON, ROW, false, NULL}},
    {"44", {MF_EPOISON, ROW, false, NULL}},
    {"54", {MF_EPOISON, ROW, false, NULL}},
    {"P0001", {MF_EPOISON, ROW, false, "a trigger of somebody else's refuses the row"}},
    /* transactions */
    {"25006",
     {MF_EUNAVAILABLE, SERVER, true,
      "this server only reads: several hosts and target_session_attrs=read-write in "
      "store.postgres.dsn find the one that writes"}},
    {"25", {MF_EUNAVAILABLE, MOMENT, true, NULL}},
    {"26", {MF_EUNAVAILABLE, SERVER, true, pooler}},
    {"42P05", {MF_EUNAVAILABLE, SERVER, true, pooler}},
    {"40", {MF_EUNAVAILABLE, MOMENT, false, NULL}},
    {"55P03", {MF_EUNAVAILABLE, MOMENT, false, NULL}},
    {"55", {MF_EUNAVAILABLE, MOMENT, false, NULL}},
    {"57014", {MF_ETIMEOUT, REQUEST, false, NULL}},
    /* set up wrongly */
    {"28",
     {MF_EAUTH, SETUP, true,
      "look at store.postgres.dsn, store.postgres.password_file and the server's "
      "pg_hba.conf"}},
    {"3D000",
     {MF_EUNAVAILABLE, SETUP, true, "create the database or name another in the dsn"}},
    {"3F",
     {MF_EUNAVAILABLE, SETUP, false, "the search_path names no schema that is there"}},
    {"42501",
     {MF_EUNAVAILABLE, SETUP, false,
      "grant the rights to the dsn's user, who should own the tables"}},
    /* Who creates IF NOT EXISTS at the moment when another does, sees one of these,
     * or 23505; the next look finds it there. */
    {"42710", {MF_EEXIST, MOMENT, false, NULL}},
    {"42P07", {MF_EEXIST, MOMENT, false, NULL}},
    {"42", {MF_EUNAVAILABLE, SETUP, false, tables}},
    /* the server's state */
    {"53100", {MF_ENOSPC, SERVER, false, "the database's disk is full"}},
    {"53300",
     {MF_EUNAVAILABLE, SERVER, true,
      "lower store.postgres.readers or raise the server's max_connections"}},
    {"53", {MF_EUNAVAILABLE, SERVER, false, NULL}},
    {"57", {MF_EUNAVAILABLE, SERVER, true, NULL}},
    {"58030", {MF_EDB, SERVER, false, "the database cannot read or write its disk"}},
    {"58", {MF_EDB, SERVER, false, NULL}},
    {"XX", {MF_EDB, SERVER, false, NULL}},
};

static const struct mf_pg_meaning broken = {MF_EUNAVAILABLE, SERVER, true, NULL};
static const struct mf_pg_meaning unknown = {MF_EDB, SERVER, false, NULL};

const struct mf_pg_meaning *mf_pg_meaning(const char *state)
{
    if (state == NULL || *state == '\0') {
        return &broken;
    }
    for (size_t i = 0; i < mf_countof(table); i++) {
        if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0) {
            return &table[i].is;
        }
    }
    return &unknown;
}

int mf_pg_state_number(const char *state)
{
    int n = 0;

    if (state == NULL || strlen(state) != STATE_LEN) {
        return 0;
    }
    for (; *state != '\0'; state++) {
        char c = *state;

        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z')) {
            return 0;
        }
        n = n * 36 + (c <= '9' ? c - '0' : c - 'A' + 10);
    }
    return n;
}

/* How much of the sentence can be told: of the refusal of a row only what stands before
 * the first sign after which it may quote the row; of somebody's trigger nothing. */
static size_t length_to_tell(const char *state, const char *message)
{
    const struct mf_pg_meaning *m = mf_pg_meaning(state);
    size_t n = strcspn(message, "\r\n");

    if (state != NULL && strncmp(state, "P0", 2) == 0) {
        return 0;
    }
    if (m->blame == ROW || m->code == MF_EEXIST || m == &unknown) {
        n = mf_min(n, strcspn(message, "\"'`(=:"));
    }
    return mf_min(n, (size_t)MAX_MESSAGE);
}

/* Names of the schema, which are ours or the owner's of the database, not a row's. */
static void tell_place(const PGresult *res, char *out, size_t cap)
{
    const char *name = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    const char *what = "constraint";

    if (name == NULL) {
        name = PQresultErrorField(res, PG_DIAG_COLUMN_NAME);
        what = "column";
    }
    if (name == NULL) {
        name = PQresultErrorField(res, PG_DIAG_TABLE_NAME);
        what = "table";
    }
    *out = '\0';
    if (name != NULL) {
        (void)snprintf(out, cap, " [%s %.63s]", what, name);
    }
}

/* Citus says XX000 or 58030, too, when it did not reach a worker or lost it on the way,
 * in its own words or in those of libpq, by which it speaks with workers. */
static bool is_about_worker(const char *message)
{
    static const char *const words[] = {
        "remote node", "placement", "worker", "essential", "connection failures",
        "to node", "COPY to shard", "COPY on", "prepare transaction",
        /* libpq */
        "closed the connection", "SYSCALL error", "connection not open",
        "no connection to the server", "data from server", "data to server",
        "connection lost"};

    for (size_t i = 0; i < mf_countof(words); i++) {
        if (strstr(message, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static const char *true_state(const char *state, const char *message)
{
    bool is_vague =
        state != NULL && (strcmp(state, "XX000") == 0 || strcmp(state, "58030") == 0);

    return is_vague && is_about_worker(message) ? WORKER_AWAY : state;
}

static const char *message_of(const PGresult *res)
{
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    return message == NULL ? PQresultErrorMessage(res)
                           : message; /* libpq's own words */
}

const struct mf_pg_meaning *mf_pg_meaning_of(const struct pg_result *res)
{
    return mf_pg_meaning(
        true_state(PQresultErrorField(res, PG_DIAG_SQLSTATE), message_of(res)));
}

bool mf_pg_is_worker_away(const struct mf_err *err)
{
    return err->sys == mf_pg_state_number(WORKER_AWAY);
}

bool mf_pg_is_victim(const struct mf_err *err)
{
    return err->sys != 0 && (err->sys == mf_pg_state_number("40001") ||
                             err->sys == mf_pg_state_number("40P01"));
}

int mf_pg_fail_words(const char *state, const char *message, const char *place,
                     struct mf_err *err)
{
    size_t n = length_to_tell(state, message);
    const struct mf_pg_meaning *m;

    state = true_state(state, message);
    m = mf_pg_meaning(state);

    while (n > 0 && isspace((unsigned char)message[n - 1])) {
        n--;
    }
    (void)mf_err_set(err, m->code, "the database says: %.*s%s (%s)%s%s",
                     (int)(n > 0 ? n : strlen("no")), n > 0 ? message : "no", place,
                     state == NULL ? "no state" : state, m->advice == NULL ? "" : ": ",
                     m->advice == NULL ? "" : m->advice);
    if (err != NULL) {
        err->sys = mf_pg_state_number(state);
    }
    return m->code;
}

int mf_pg_fail(const struct pg_result *res, struct mf_err *err)
{
    char place[96];

    tell_place(res, place, sizeof(place));
    return mf_pg_fail_words(PQresultErrorField(res, PG_DIAG_SQLSTATE), message_of(res),
                            place, err);
}

static void state_of_number(int number, char state[STATE_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (size_t i = STATE_LEN; i > 0; i--) {
        state[i - 1] = digits[number % 36];
        number /= 36;
    }
    state[STATE_LEN] = '\0';
}

/* libpq ends its sentences with the reason: "connection to server at .. failed:
 * Connection refused". */
static const char *plain_reason(const char *sentence)
{
    const char *reason = sentence;

    for (const char *at = strstr(sentence, ": "); at != NULL; at = strstr(at, ": ")) {
        at += 2;
        reason = at;
    }
    return strpbrk(reason, "\"/") == NULL ? reason : "the log says why";
}

void mf_pg_hide(struct mf_err *err)
{
    char state[STATE_LEN + 1];
    struct mf_err told = *err;
    const char *advice;

    if (told.sys == 0) {
        (void)mf_err_set(err, told.code, "the database is away: %s",
                         plain_reason(told.msg));
        return;
    }
    state_of_number(told.sys, state);
    advice = mf_pg_meaning(state)->advice;
    (void)mf_err_set(err, told.code, "the database refuses (SQLSTATE %s)%s%s", state,
                     advice == NULL ? "" : ": ", advice == NULL ? "" : advice);
    err->sys = told.sys;
}
