/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server: what the files of this module share: the server, its connections, and the
 * few verbs between them. Nobody outside includes it.
 *
 *   accept.c    listening socket, the way in, 503 at the door
 *   conn.c      bytes in, requests out to the handler, end of a connection
 *   output.c    replies into their slots, one write at the end of the turn
 *   deadline.c  who waits for what, and until when
 *   server.c    open, drain, close
 *
 * A connection is `closing` once and freed in its close callback. Nothing but the
 * sweep, a read callback, the turn hook and mf_http_drain/close closes one; a reply
 * never does, so a handler may reply at any place.
 *
 * Owns:    see the structs
 * Thread:  loop
 * Limits:  struct mf_http_config
 * Fails:   see http.h
 */
#ifndef MF_HTTP_SERVER_H
#define MF_HTTP_SERVER_H

#include "http/parse.h"
#include "http/reply.h"
#include "http/request.h"

#define MF_HTTP_READ_BYTES   65536U
/* Connections beyond max_connections that may hear their 503 out; more are dropped. */
#define MF_HTTP_MAX_EXTRA    64U
/* After an early answer: how much and how long we listen so that the client reads the
 * answer and not a reset. */
#define MF_HTTP_LINGER_BYTES (16U << 20)
#define MF_HTTP_LINGER_MS    3000U

enum mf_http_wait { /* one list each, in the order of the deadlines */
                    MF_HTTP_WAIT_NONE, /* for the handler: no list */
                    MF_HTTP_WAIT_HEADER,
                    MF_HTTP_WAIT_BODY,
                    MF_HTTP_WAIT_IDLE,
                    MF_HTTP_WAIT_LINGER,
                    MF_HTTP_WAIT_WRITE,
                    MF_HTTP_WAIT_COUNT
};

struct mf_http_timer {
    struct mf_link link;
    uint64_t due_ms;
};

struct mf_http_conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct mf_http_server *server;
    struct mf_link link;  /* server's conns */
    struct mf_link dirty; /* server's dirty */
    struct mf_http_parser parser;
    struct mf_http_request *cur; /* being received */
    struct mf_list slots;        /* delivered, in the order of their answers */
    struct mf_buf held;          /* read but not parsed, since the bounds are reached */
    size_t held_at;
    struct mf_buf out;     /* answers to write */
    struct mf_buf writing; /* handed to uv_write */
    uv_write_t write;
    struct mf_http_timer read_timer, write_timer;
    enum mf_http_wait wait; /* list of read_timer */
    uint64_t n_begun;       /* requests; of read_timer's setting: */
    uint64_t wait_of;
    size_t left_to_write; /* when write_timer was set */
    size_t linger_left;
    bool is_closing;
    bool is_extra;      /* beyond max_connections */
    bool is_reading;    /* uv_read_start is on */
    bool is_writing;    /* uv_write is on */
    bool is_lingering;  /* the last answer is out; input is thrown away */
    bool takes_no_more; /* no request is parsed any more */
    bool has_last;      /* the last answer is in `out` */
    bool must_linger;   /* the client may still be sending */
    bool has_eof;
};

struct mf_http_server {
    struct mf_loop *loop;
    struct mf_http_config cfg;
    mf_http_handler_fn handler;
    mf_http_head_fn head;
    void *arg;
    uv_poll_t poll; /* of listen_fd */
    uv_timer_t sweep;
    int listen_fd, reserve_fd;
    unsigned port;
    char *unix_path; /* NULL for TCP */
    bool is_polling, is_sweeping, is_draining, is_closing;
    unsigned n_handles; /* poll, sweep and connections not yet closed */
    size_t n_extra;     /* of conns */
    size_t n_requests;  /* delivered, not yet replied */
    struct mf_list conns, dirty, orphans;
    struct mf_list waits[MF_HTTP_WAIT_COUNT];
    struct mf_turn_hook turn_end;
    struct mf_http_pool pool;
    struct mf_http_bounds bounds;
    struct mf_http_stamp stamp;
    mf_http_closed_fn closed;
    void *closed_arg;
    char read_buf[MF_HTTP_READ_BYTES]; /* of all connections, one at a time */
};

/* accept.c */
MF_MUST MF_LOOP int mf_http_listen(struct mf_http_server *s, struct mf_err *err);
MF_LOOP void mf_http_listen_resume(struct mf_http_server *s); /* after EMFILE */
MF_LOOP void mf_http_listen_stop(struct mf_http_server *s);

/* conn.c */
/* `fd` is ours in any case. */
MF_LOOP void mf_http_conn_open(struct mf_http_server *s, int fd, bool is_extra);
MF_LOOP void mf_http_conn_close(struct mf_http_conn *c);
/* Answers a fault in its place and takes no request any more. */
MF_LOOP void mf_http_conn_fault(struct mf_http_conn *c, const struct mf_http_fault *f);
/* Parses what is held, starts or stops reading, sets the deadline; or ends. */
MF_LOOP void mf_http_conn_go_on(struct mf_http_conn *c);

/* output.c */
MF_LOOP void mf_http_mark_dirty(struct mf_http_conn *c);
/* The answer of `r`, a slot of its connection, is in r->reply: moves on as far as the
 * order allows. */
MF_LOOP void mf_http_release_slots(struct mf_http_conn *c);
MF_LOOP void mf_http_give_request(struct mf_http_server *s, struct mf_http_request *r);
MF_LOOP void mf_http_orphan_slots(struct mf_http_conn *c);
MF_LOOP void mf_http_on_turn_end(struct mf_turn_hook *h);

/* deadline.c */
MF_LOOP void mf_http_set_wait(struct mf_http_conn *c);
MF_LOOP void mf_http_set_write_wait(struct mf_http_conn *c, bool is_on);
MF_LOOP void mf_http_forget_waits(struct mf_http_conn *c);
MF_LOOP void mf_http_sweep_start(struct mf_http_server *s);
MF_LOOP void mf_http_sweep_stop(struct mf_http_server *s);

/* server.c */
MF_LOOP void mf_http_handle_closed(struct mf_http_server *s);

#endif
