/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/stat.h"
#include "http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* At most so many a turn: those who are in are served first. */
#define ACCEPTS_PER_TURN 64

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

MF_LOOP static void send_away(struct mf_http_server *s, int fd)
{
    struct mf_http_fault f;
    struct mf_buf out;

    mf_buf_init(&out);
    mf_http_fault_set(&f, 503, "connections", "too many connections: try again later");
    mf_http_write_fault(&out, &s->stamp, &f, false);
    mf_stat_add(MF_STAT_http_rejected, 1);
    /* As far as it goes at once: there is nothing to hold this client with. Unread
     * input would turn the close into a reset that overtakes the answer. */
    if (send(fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
        (void)shutdown(fd, SHUT_WR);
        (void)recv(fd, s->read_buf, sizeof(s->read_buf), MSG_DONTWAIT);
    }
    (void)close(fd);
    mf_buf_fini(&out);
}

static int reserve_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

MF_LOOP static void pause_accepting(struct mf_http_server *s, int error)
{
    mf_log_limited(MF_LOG_WARN, "http_accept_paused", "errno=%d connections=%zu", error,
                   s->conns.n);
    MF_ASSERT(uv_poll_stop(&s->poll) == 0);
    s->is_polling = false;
    mf_http_sweep_start(s);
}

/* No descriptor is left: one is kept back, so that a client hears it instead of
 * hanging in the backlog. False: stop for now. */
MF_LOOP static bool accept_with_reserve(struct mf_http_server *s)
{
    int error = errno;
    int fd;

    mf_log_limited(MF_LOG_WARN, "http_no_descriptor", "errno=%d connections=%zu", error,
                   s->conns.n);
    (void)close(s->reserve_fd);
    fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        send_away(s, fd);
    }
    s->reserve_fd = reserve_open();
    if (s->reserve_fd < 0) {
        pause_accepting(s, error);
        return false;
    }
    return fd >= 0;
}

MF_LOOP static void welcome(struct mf_http_server *s, int fd)
{
    if (s->conns.n - s->n_extra < s->cfg.max_connections) {
        mf_http_conn_open(s, fd, false);
    } else if (s->n_extra < MF_HTTP_MAX_EXTRA) {
        mf_http_conn_open(s, fd, true);
    } else {
        send_away(s, fd);
    }
}

/* Whether there may be another one. */
MF_LOOP static bool accept_one(struct mf_http_server *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        welcome(s, fd);
        return true;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE: return accept_with_reserve(s);
    case ENOMEM:
    case ENOBUFS: pause_accepting(s, errno); return false;
    case EAGAIN: return false;
    default: return true; /* it gave up in the backlog */
    }
}

static void on_acceptable(uv_poll_t *handle, MF_UNUSED int status, MF_UNUSED int events)
{
    struct mf_http_server *s = mf_container_of(handle, struct mf_http_server, poll);

    mf_loop_assert(s->loop);
    for (int i = 0; i < ACCEPTS_PER_TURN && s->is_polling; i++) {
        if (!accept_one(s)) {
            return;
        }
    }
}

static int address_from_unix(const char *path, union address *a, socklen_t *n,
                             struct mf_err *err)
{
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(a->un.sun_path)) {
        return mf_err_set(err, MF_EINVAL,
                          "server.host: unix:%s: a socket path has 1 to %zu bytes",
                          path, sizeof(a->un.sun_path) - 1);
    }
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path, len + 1);
    *n = sizeof(a->un);
    return 0;
}

static int address_from_host(const struct mf_http_config *cfg, union address *a,
                             socklen_t *n, struct mf_err *err)
{
    const char *host = strcmp(cfg->host, "localhost") == 0 ? "127.0.0.1" : cfg->host;

    memset(a, 0, sizeof(*a));
    if (strncmp(host, "unix:", 5) == 0) {
        return address_from_unix(host + 5, a, n, err);
    }
    if (cfg->port > UINT16_MAX) {
        return mf_err_set(err, MF_EINVAL, "server.port is %u, at most 65535",
                          cfg->port);
    }
    if (uv_ip4_addr(host, (int)cfg->port, &a->v4) == 0) {
        *n = sizeof(a->v4);
        return 0;
    }
    if (uv_ip6_addr(host, (int)cfg->port, &a->v6) == 0) {
        *n = sizeof(a->v6);
        return 0;
    }
    return mf_err_set(err, MF_EINVAL,
                      "server.host \"%s\" is no address: give an IPv4 or IPv6 address, "
                      "localhost, or unix:/path",
                      cfg->host);
}

/* A socket file that nobody listens on is left over from a process that was killed. */
static void remove_stale_socket(const union address *a, socklen_t n)
{
    struct stat st;
    int fd;

    if (a->any.sa_family != AF_UNIX || lstat(a->un.sun_path, &st) != 0 ||
        !S_ISSOCK(st.st_mode)) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return; /* then bind says what is wrong */
    }
    if (connect(fd, &a->any, n) != 0 && errno == ECONNREFUSED) {
        (void)unlink(a->un.sun_path);
    }
    (void)close(fd);
}

MF_LOOP static int bind_and_listen(struct mf_http_server *s, const union address *a,
                                   socklen_t n)
{
    union address mine = {.any = {0}};
    socklen_t mine_n = sizeof(mine);
    int one = 1;
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -errno;
    }
    s->listen_fd = fd;
    if ((a->any.sa_family != AF_UNIX &&
         setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0) ||
        bind(fd, &a->any, n) != 0 || listen(fd, (int)s->cfg.backlog) != 0 ||
        getsockname(fd, &mine.any, &mine_n) != 0) {
        return -errno;
    }
    if (a->any.sa_family == AF_INET) {
        s->port = ntohs(mine.v4.sin_port);
    } else if (a->any.sa_family == AF_INET6) {
        s->port = ntohs(mine.v6.sin6_port);
    }
    return 0;
}

int mf_http_listen(struct mf_http_server *s, struct mf_err *err)
{
    const char *host = s->cfg.host;
    union address a;
    socklen_t n = 0;
    int rc = address_from_host(&s->cfg, &a, &n, err);

    if (rc < 0) {
        return rc;
    }
    if (a.any.sa_family == AF_UNIX) {
        s->unix_path = mf_strndup(a.un.sun_path, strlen(a.un.sun_path));
        if (s->unix_path == NULL) {
            return mf_err_set(err, MF_ENOMEM, "no memory for the path of the socket");
        }
        remove_stale_socket(&a, n);
    }
    rc = bind_and_listen(s, &a, n);
    if (rc == 0) {
        s->reserve_fd = reserve_open();
        rc = s->reserve_fd < 0 ? -errno : 0;
    }
    if (rc == 0) {
        rc = uv_poll_init(mf_loop_uv(s->loop), &s->poll, s->listen_fd);
    }
    if (rc == 0) {
        MF_ASSERT(uv_poll_start(&s->poll, UV_READABLE, on_acceptable) == 0);
        s->is_polling = true;
        return 0;
    }
    if (err != NULL) {
        err->sys = -rc;
    }
    if (s->unix_path != NULL) {
        return mf_err_set(err, MF_EIO, "cannot listen on %s: %s", host,
                          uv_strerror(rc));
    }
    return mf_err_set(err, MF_EIO, "cannot listen on %s port %u: %s", host, s->cfg.port,
                      uv_strerror(rc));
}

void mf_http_listen_resume(struct mf_http_server *s)
{
    if (s->is_polling || s->is_draining) {
        return;
    }
    if (s->reserve_fd < 0) {
        s->reserve_fd = reserve_open();
    }
    if (s->reserve_fd >= 0) {
        MF_ASSERT(uv_poll_start(&s->poll, UV_READABLE, on_acceptable) == 0);
        s->is_polling = true;
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct mf_http_server *s = mf_container_of(handle, struct mf_http_server, poll);

    mf_loop_assert(s->loop);
    mf_http_handle_closed(s);
}

void mf_http_listen_stop(struct mf_http_server *s)
{
    s->is_polling = false;
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    (void)close(s->listen_fd);
    s->listen_fd = -1;
    if (s->unix_path != NULL) {
        (void)unlink(s->unix_path);
    }
    if (s->reserve_fd >= 0) {
        (void)close(s->reserve_fd);
        s->reserve_fd = -1;
    }
}
