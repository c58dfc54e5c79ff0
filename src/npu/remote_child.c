/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process. Standard error is inherited, not piped: what a library says before it
 * aborts must reach people even when this process is gone, and a pipe would be one more
 * thing that can fill up and hold a worker.
 */
#include "npu/remote_priv.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FREE_FD 10   /* above those the worker is given: dup2 hits none of ours */
#define KILL_MS       2000 /* a killed process is gone by then, or stuck in the driver */

extern char **environ;

/* Settings may hold credentials, which a vendor's library has no business with. */
static bool is_secret(const char *var)
{
    return strncmp(var, "MEMFUSE_", 8) == 0 || strncmp(var, "PG", 2) == 0;
}

static char **clean_environ(void)
{
    size_t n = 0, k = 0;
    char **env;

    while (environ[n] != NULL) {
        n++;
    }
    env = mf_array(n + 1, sizeof(*env));
    if (env == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_secret(environ[i])) {
            env[k++] = environ[i];
        }
    }
    env[k] = NULL;
    return env;
}

static int add_files(posix_spawn_file_actions_t *fa, int sock, int memfd)
{
    int e = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);

    e = e != 0 ? e : posix_spawn_file_actions_addopen(fa, 1, "/dev/null", O_WRONLY, 0);
    e = e != 0 ? e : posix_spawn_file_actions_adddup2(fa, sock, 3);
    e = e != 0 ? e : posix_spawn_file_actions_adddup2(fa, memfd, 4);
    return e != 0 ? e : posix_spawn_file_actions_addclosefrom_np(fa, 5);
}

/* Its own process group: what is typed at the terminal is for the service to answer.
 * No signal is blocked or ignored in it, whatever the service does with its own. */
static int add_signals(posix_spawnattr_t *at)
{
    sigset_t none, all;
    int e;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    e = posix_spawnattr_setsigmask(at, &none);
    e = e != 0 ? e : posix_spawnattr_setsigdefault(at, &all);
    e = e != 0 ? e : posix_spawnattr_setpgroup(at, 0);
    return e != 0 ? e
                  : posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF |
                                                     POSIX_SPAWN_SETPGROUP);
}

static int spawn(pid_t *pid, const char *program, int sock, int memfd)
{
    char name[] = "memfuse", word[] = "npu-worker";
    char *argv[] = {name, word, NULL};
    char **env = clean_environ();
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    int e;

    if (env == NULL) {
        return ENOMEM;
    }
    e = posix_spawn_file_actions_init(&fa);
    if (e != 0) {
        goto free_env;
    }
    e = posix_spawnattr_init(&at);
    if (e != 0) {
        goto free_files;
    }
    e = add_files(&fa, sock, memfd);
    e = e != 0 ? e : add_signals(&at);
    e = e != 0 ? e : posix_spawn(pid, program, &fa, &at, argv, env);
    (void)posix_spawnattr_destroy(&at);
free_files:
    (void)posix_spawn_file_actions_destroy(&fa);
free_env:
    mf_free((void *)env);
    return e;
}

static void close_both(const int pair[2])
{
    (void)close(pair[0]);
    (void)close(pair[1]);
}

int mf_remote_child_start(struct mf_remote_child *c, const char *program, int memfd,
                          struct mf_err *err)
{
    int pair[2], sock, mem, e = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return mf_err_set(err, MF_EUNAVAILABLE, "no socket for the worker: %s",
                          strerror(errno));
    }
    sock = fcntl(pair[1], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    mem = fcntl(memfd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    if (sock < 0 || mem < 0) {
        e = errno;
    }
    e = e != 0 ? e : spawn(&c->pid, program, sock, mem);
    if (mem >= 0) {
        (void)close(mem);
    }
    if (sock >= 0) {
        (void)close(sock);
    }
    if (e != 0) {
        c->pid = 0;
        close_both(pair);
        return mf_err_set(err, e == ENOMEM ? MF_ENOMEM : MF_EUNAVAILABLE,
                          "%s npu-worker cannot be started: %s", program, strerror(e));
    }
    (void)close(pair[1]);
    c->sock = pair[0];
    return 0;
}

static const char *signal_name(int sig)
{
    const char *name = sigabbrev_np(sig);

    return name != NULL ? name : "unknown";
}

static void tell(int status, char *how, size_t cap)
{
    if (WIFSIGNALED(status)) {
        (void)snprintf(how, cap, "it was ended by signal %d (SIG%s)", WTERMSIG(status),
                       signal_name(WTERMSIG(status)));
    } else {
        (void)snprintf(how, cap, "it ended with exit code %d", WEXITSTATUS(status));
    }
}

/* Whether it was reaped within so many milliseconds. */
static bool reap(struct mf_remote_child *c, unsigned ms, int *status)
{
    const struct timespec nap = {.tv_nsec = 1000000};

    for (unsigned i = 0;; i++) {
        pid_t r = waitpid(c->pid, status, WNOHANG);

        if (r == c->pid || (r < 0 && errno == ECHILD)) {
            c->pid = 0;
            c->is_stuck = false;
            return true;
        }
        if (i >= ms) {
            return false;
        }
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    }
}

bool mf_remote_child_end(struct mf_remote_child *c, unsigned grace_ms, char *how,
                         size_t cap)
{
    int status = 0;

    how[0] = '\0';
    if (c->sock >= 0) {
        (void)close(c->sock);
        c->sock = -1;
    }
    if (c->pid == 0) {
        return true;
    }
    if (!c->is_stuck && reap(c, grace_ms, &status)) {
        tell(status, how, cap);
        return true;
    }
    (void)kill(c->pid, SIGKILL);
    c->is_stuck = !reap(c, KILL_MS, &status);
    if (c->is_stuck) {
        (void)snprintf(how, cap, "process %d does not end: stuck in the driver",
                       (int)c->pid);
    }
    return !c->is_stuck;
}
