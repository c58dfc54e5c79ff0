/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/worker_priv.h"

#include "base/mem.h"
#include "npu/remote.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCK_FD    3
#define MEM_FD     4
#define EXIT_USAGE 2

void mf_worker_send(struct mf_worker *w, const struct mf_npu_msg *m)
{
    uint8_t buf[MF_NPU_WIRE_MAX];
    size_t n = mf_npu_wire_encode(buf, m);

    /* Nobody there: the main thread is about to hear that, and ends. */
    while (send(w->sock, buf, n, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

void mf_worker_answer(struct mf_worker *w, uint64_t seq, enum mf_npu_msg_type to,
                      int rc, const struct mf_npu_err *err)
{
    struct mf_npu_msg m = {.type = MF_NPU_MSG_ANSWER, .seq = seq};
    struct mf_npu_msg_answer *a = &m.u.answer;
    struct mf_npu_health health;
    struct mf_npu_stats stats;

    a->to = to;
    /* The module is another's: a code that is none of ours is a failure all the same.
     */
    a->rc = rc > 0 || rc < MF_ENOSPC ? MF_EBACKEND : rc;
    if (rc != 0 && err != NULL) {
        a->sys = err->sys;
        (void)snprintf(a->text, sizeof(a->text), "%s", err->text);
    }
    if (w->dev != NULL) {
        w->be->health(w->dev, &health);
        w->be->stats(w->dev, &stats);
        a->state = health.state;
        a->busy_ns = stats.busy_ns;
        a->queue_ns = stats.queue_ns;
        a->last_cosine = health.last_cosine;
        a->max_abs_err = health.max_abs_err;
        w->be->caps(w->dev, &a->caps);
    }
    mf_worker_send(w, &m);
}

static void handle(struct mf_worker *w, const struct mf_npu_msg *m)
{
    struct mf_npu_err err = {0};
    int rc;

    if (m->type == MF_NPU_MSG_OPEN || m->type == MF_NPU_MSG_PROBE) {
        mf_worker_open(w, m);
        return;
    }
    if (w->dev == NULL) {
        (void)snprintf(err.text, sizeof(err.text), "no device is open");
        mf_worker_answer(w, m->seq, m->type, MF_EINVAL, &err);
        return;
    }
    if (m->type == MF_NPU_MSG_SUBMIT) {
        mf_worker_submit(w, m);
    } else if (m->type == MF_NPU_MSG_CANCEL) {
        mf_worker_cancel(w, m->seq);
    } else {
        rc = mf_worker_do(w, m, &err);
        mf_worker_answer(w, m->seq, m->type, rc, &err);
    }
}

/* Until the other side closes: 0. */
static int serve(struct mf_worker *w)
{
    uint8_t buf[MF_NPU_WIRE_MAX];
    struct mf_npu_msg m;
    struct mf_err err;

    for (;;) {
        ssize_t n = recv(w->sock, buf, sizeof(buf), MSG_TRUNC);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return 0;
        }
        if ((size_t)n > sizeof(buf) ||
            mf_npu_wire_decode(&m, buf, (size_t)n, &err) < 0 ||
            m.type == MF_NPU_MSG_ANSWER) {
            (void)fprintf(stderr, "memfuse npu-worker: a message that is no request\n");
            return 1;
        }
        handle(w, &m);
    }
}

static void free_all(struct mf_worker *w)
{
    for (size_t i = 0; i < MF_NPU_WIRE_MEMS && w->dev != NULL; i++) {
        if (w->mems[i].mem != NULL) {
            w->be->mem_put(w->mems[i].mem);
        }
    }
    if (w->dev != NULL) {
        w->be->close(w->dev);
    }
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    (void)munmap(w->base, MF_NPU_WIRE_SHARED);
    mf_free(w);
}

static struct mf_worker *worker_new(void)
{
    struct mf_worker *w = mf_calloc(1, sizeof(*w));
    void *base;

    if (w == NULL) {
        return NULL;
    }
    base = mmap(NULL, MF_NPU_WIRE_SHARED, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_NORESERVE, MEM_FD, 0);
    if (base == MAP_FAILED) {
        mf_free(w);
        return NULL;
    }
    w->base = base;
    w->sock = SOCK_FD;
    mf_list_init(&w->jobs);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    return w;
}

/* What a person would start by hand has neither. */
static bool has_its_files(void)
{
    struct stat st;
    int type = 0;
    socklen_t n = sizeof(type);

    return getsockopt(SOCK_FD, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
           type == SOCK_SEQPACKET && fstat(MEM_FD, &st) == 0 &&
           (uint64_t)st.st_size == MF_NPU_WIRE_SHARED;
}

/* The service decides when this ends: by the socket, or by its own end. What asks a
 * whole control group to end is for the service to answer. */
static void mind_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < mf_countof(ignored); i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
}

int mf_npu_worker_main(int argc, MF_UNUSED char **argv)
{
    struct mf_worker *w;
    int rc = 1;

    if (argc > 0 || !has_its_files()) {
        (void)fprintf(stderr,
                      "memfuse npu-worker: started by the service, not by hand\n");
        return EXIT_USAGE;
    }
    mind_signals();
    w = worker_new();
    if (w == NULL || mf_worker_jobs_start(w) < 0) {
        (void)fprintf(stderr, "memfuse npu-worker: out of memory\n");
        return 1;
    }
    rc = serve(w);
    mf_worker_jobs_stop(w);
    free_all(w);
    return rc;
}
