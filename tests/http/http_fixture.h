/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_fixture: a server on a loopback port and clients, all on one loop in one thread.
 *
 * The handler writes each request down and answers by its path:
 *   /now    at once, with its method, path and body bytes
 *   /later  is kept: answered by mf_answer
 *   /big    1 MiB at once
 *   /close  at once and closes
 * The head function refuses /refuse with 401.
 *
 * Owns:    loop, server, clients between open and close
 * Thread:  the case's
 * Limits:  MF_MAX_CLIENTS clients, MF_MAX_KEPT requests kept
 * Fails:   through cmocka's assertions; a wait that is too long fails the case
 */
#ifndef MF_HTTP_FIXTURE_H
#define MF_HTTP_FIXTURE_H

#include "http/http.h"
#include "lib/loop_fixture.h"
#include "lib/mf_test.h"

#define MF_MAX_CLIENTS 96
#define MF_MAX_KEPT    64

struct mf_http_fixture {
    struct mf_loop *loop;
    struct mf_http_server *server;
    struct mf_http_config cfg; /* as opened */
    struct mf_buf seen;        /* one line `path body_bytes\n` for each request */
    struct mf_http_req *kept[MF_MAX_KEPT];
    size_t n_kept, n_seen;
    int clients[MF_MAX_CLIENTS]; /* -1: none */
    bool is_closed;
};

MF_ANY struct mf_http_config mf_http_fixture_config(void); /* roomy */
MF_ANY void mf_http_fixture_open(struct mf_http_fixture *f,
                                 const struct mf_http_config *cfg) MF_ASSERTS_LOOP;
/* Closes server and clients, answers what is kept, asserts that nothing is left. */
MF_LOOP void mf_http_fixture_close(struct mf_http_fixture *f);
MF_LOOP void mf_close_server(struct mf_http_fixture *f);

/* Clients: blocking connect to a listening socket, then non-blocking. */
MF_LOOP int mf_connect(struct mf_http_fixture *f);
MF_LOOP void mf_hang_up(struct mf_http_fixture *f, int fd);
MF_LOOP void mf_reset(struct mf_http_fixture *f, int fd); /* RST */
/* All of it, turning the loop as long as the socket is full. */
MF_LOOP void mf_say(struct mf_http_fixture *f, int fd, struct mf_slice bytes);
MF_LOOP void mf_say_str(struct mf_http_fixture *f, int fd, const char *bytes);
/* Answers of `fd` until `n` are there; NUL-terminated, append to `out`. */
MF_LOOP void mf_hear_answers(struct mf_http_fixture *f, int fd, struct mf_buf *out,
                             size_t n);
/* All until the server closes. False: it was a reset. */
MF_LOOP bool mf_hear_to_the_end(struct mf_http_fixture *f, int fd, struct mf_buf *out);
/* Sends and hears to the end on a new connection; the status of the first answer. */
MF_LOOP int mf_ask_once(struct mf_http_fixture *f, const char *bytes,
                        struct mf_buf *out);

MF_LOOP void mf_turns(struct mf_http_fixture *f, unsigned n); /* of a millisecond */
MF_LOOP void mf_wait_kept(struct mf_http_fixture *f, size_t n);
MF_LOOP void mf_answer(struct mf_http_req *req, const char *text);
MF_ANY int mf_status_of(const struct mf_buf *answer);
MF_ANY size_t mf_count(const struct mf_buf *b, const char *part);

#endif
