/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of the HTTP module: a server that answers each request with {"ok":true} and
 * does nothing else. With no argument a simple client of its own asks it for two
 * seconds; the better figure comes from wrk, beside `return 200` of nginx in the same
 * minute:
 *
 *   bench_http_floor PORT &
 *   wrk -t1 -c64 -d5s http://127.0.0.1:PORT/
 */
#include "http/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_CLIENTS 64
#define SECONDS   2

static const char question[] = "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/json\r\n"
                               "Content-Length: 86\r\n\r\n"
                               "{\"messages\":[{\"role\":\"user\",\"content\":"
                               "\"the quick brown fox jumps over the lazy dog\"}]}";

static void on_request(struct mf_http_req *req, void *arg)
{
    static const struct mf_http_reply ok = {
        .status = 200,
        .content_type = "application/json",
        .body = {"{\"ok\":true}", sizeof("{\"ok\":true}") - 1}};

    mf_loop_assert((const struct mf_loop *)arg);
    mf_http_reply(req, &ok);
}

/* Tells its port to `tell` when that is no -1. */
static int serve(unsigned port, int tell)
{
    static const struct mf_loop_config loop_cfg = {.pool_threads = 4};
    struct mf_http_config cfg = {.host = "127.0.0.1",
                                 .port = port,
                                 .backlog = 1024,
                                 .max_connections = 4096,
                                 .max_body_bytes = 1 << 20,
                                 .max_url_bytes = 8192,
                                 .max_header_bytes = 16384,
                                 .max_headers = 100,
                                 .max_pipelined = 64,
                                 .max_output_bytes = 1 << 20,
                                 .max_buffered_bytes = 64 << 20,
                                 .header_timeout_ms = 10000,
                                 .body_timeout_ms = 30000,
                                 .idle_timeout_ms = 60000,
                                 .write_timeout_ms = 30000};
    struct mf_http_server *server;
    struct mf_loop *loop;
    struct mf_err err = {0};

    if (mf_loop_open(&loop, &loop_cfg, &err) < 0) {
        (void)fprintf(stderr, "http_floor: %s\n", err.msg);
        return 1;
    }
    mf_loop_assert(loop);
    if (mf_http_open(&server, loop, &cfg, on_request, NULL, loop, &err) < 0) {
        (void)fprintf(stderr, "http_floor: %s\n", err.msg);
        return 1;
    }
    port = mf_http_port(server);
    if (tell >= 0 && write(tell, &port, sizeof(port)) != (ssize_t)sizeof(port)) {
        return 1;
    }
    mf_loop_run(loop); /* until a signal ends it */
    return 0;
}

static bool connect_all(struct pollfd *clients, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (size_t i = 0; i < N_CLIENTS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0 ||
            write(fd, question, sizeof(question) - 1) < 0) {
            return false;
        }
        clients[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    return true;
}

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One small answer comes in one piece over loopback. */
static bool ask_again(struct pollfd *client)
{
    char answer[1024];

    return (client->revents & POLLIN) == 0 ||
           (read(client->fd, answer, sizeof(answer)) > 0 &&
            write(client->fd, question, sizeof(question) - 1) > 0);
}

static bool ask_round(struct pollfd *clients, size_t *n)
{
    if (poll(clients, N_CLIENTS, 1000) <= 0) {
        return false;
    }
    for (size_t i = 0; i < N_CLIENTS; i++) {
        if (!ask_again(&clients[i])) {
            return false;
        }
        *n += (clients[i].revents & POLLIN) != 0 ? 1 : 0;
    }
    return true;
}

static bool ask(struct pollfd *clients)
{
    double start = now_s();
    double end = start;
    size_t n = 0;

    for (; end - start < SECONDS; end = now_s()) {
        if (!ask_round(clients, &n)) {
            return false;
        }
    }
    (void)printf("%d connections, one question at a time: %.0f requests/s\n", N_CLIENTS,
                 (double)n / (end - start));
    return true;
}

static int measure(void)
{
    static struct pollfd clients[N_CLIENTS];
    unsigned port = 0;
    bool ok;
    int ends[2];
    pid_t child;

    if (pipe(ends) != 0) {
        return 1;
    }
    child = fork();
    if (child == 0) {
        return serve(0, ends[1]);
    }
    (void)close(ends[1]);
    ok = child > 0 && read(ends[0], &port, sizeof(port)) == (ssize_t)sizeof(port) &&
         connect_all(clients, port) && ask(clients);
    if (child > 0) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
    }
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return 1;
    }
    return argc > 1 ? serve((unsigned)strtoul(argv[1], NULL, 10), -1) : measure();
}
