/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker for tests of the remote backend. NPU_TEST_WORKER says what it is: the real
 * one on the twin, with or without faults, or one that answers with what no worker
 * should say. NPU_TEST_STARTS: a file which gets a line with the time of each start.
 * `npu_test_worker parent PROGRAM` opens a device and waits to be killed.
 */
#include "lib/npu_test_worker.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "npu/remote.h"
#include "npu/twin.h"
#include "npu/wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCK_FD 3
#define MEM_FD  4

static void note_start(void)
{
    const char *path = getenv("NPU_TEST_STARTS");
    struct timespec t;
    int fd;

    if (path == NULL) {
        return;
    }
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    (void)dprintf(fd, "%lld\n", (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000);
    (void)close(fd);
}

static void send_bytes(const uint8_t *p, size_t n)
{
    if (send(SOCK_FD, p, n, MSG_NOSIGNAL) < 0) {
        exit(1);
    }
}

/* A good answer, spoiled; the numbers are those of enum npu_test_fault. */
static void send_spoiled(const struct mf_npu_msg *good, enum npu_test_fault fault)
{
    static const uint8_t zeros[3 * MF_NPU_WIRE_MAX];
    struct mf_npu_msg m = *good;
    uint8_t buf[MF_NPU_WIRE_MAX + 1] = {0};
    size_t n;

    m.seq += fault == NPU_TEST_OTHER_SEQ ? 1000 : 0;
    m.u.answer.to = fault == NPU_TEST_OTHER_TYPE ? MF_NPU_MSG_FLUSH : m.u.answer.to;
    m.type = fault == NPU_TEST_A_REQUEST ? MF_NPU_MSG_VERIFY : m.type;
    n = mf_npu_wire_encode(buf, &m);
    switch (fault) {
    case NPU_TEST_EMPTY: n = 0; break;
    case NPU_TEST_SHORT: n = 5; break;
    case NPU_TEST_CUT: n--; break;
    case NPU_TEST_LONGER: n++; break;
    case NPU_TEST_HUGE: send_bytes(zeros, sizeof(zeros)); return;
    case NPU_TEST_VERSION: mf_put_u16(buf, MF_NPU_WIRE_VERSION + 1); break;
    case NPU_TEST_TYPE: mf_put_u16(buf + 2, 999); break;
    case NPU_TEST_CODE: /* behind head and `to` */ mf_put_u32(buf + 20, 7); break;
    case NPU_TEST_STATE: mf_put_u32(buf + 28, 77); break;
    case NPU_TEST_TEXT: memset(buf + 32, 'x', 240); break;
    case NPU_TEST_FLAG: buf[n - 1] = 9; break;
    case NPU_TEST_TWICE: send_bytes(buf, n); break;
    case NPU_TEST_OTHER_SEQ:
    case NPU_TEST_OTHER_TYPE:
    case NPU_TEST_A_REQUEST:
    case NPU_TEST_FAULTS: break;
    }
    send_bytes(buf, n);
}

/* Says yes to everything and computes nothing; jobs are answered with the fault, or not
 * at all (NPU_TEST_FAULTS). */
static int say_yes(enum npu_test_fault fault)
{
    uint8_t buf[MF_NPU_WIRE_MAX];

    for (;;) {
        ssize_t n = recv(SOCK_FD, buf, sizeof(buf), 0);
        struct mf_npu_msg m, a = {.type = MF_NPU_MSG_ANSWER};
        struct mf_err err;

        if (n <= 0 || mf_npu_wire_decode(&m, buf, (size_t)n, &err) < 0) {
            return n < 0;
        }
        a.seq = m.seq;
        a.u.answer.to = m.type;
        a.u.answer.state = MF_NPU_READY;
        a.u.answer.caps.queue_depth = 4;
        if (m.type != MF_NPU_MSG_SUBMIT) {
            send_bytes(buf, mf_npu_wire_encode(buf, &a));
        } else if (fault != NPU_TEST_FAULTS) {
            send_spoiled(&a, fault);
        }
    }
}

static int be_parent(const char *program)
{
    const struct mf_npu_remote_conf conf = {.inner = "twin", .program = program};
    const struct mf_npu_backend *be = mf_npu_remote(&conf);
    const struct mf_npu_conf npu = {0};
    struct mf_npu_dev *dev;
    struct mf_npu_err err;

    if (be->open(&npu, &dev, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    (void)printf("%d\n", mf_npu_remote_pid(dev));
    (void)fflush(stdout);
    for (;;) {
        (void)pause();
    }
}

/* As a library gone wild: over the first memory there is, which is a weight. */
static int scribble(void)
{
    const uint8_t stroke[] = {0xde, 0xad};

    return pwrite(MEM_FD, stroke, sizeof(stroke), 16) == sizeof(stroke) ? 3 : 1;
}

static int be_worker(const char *mode)
{
    struct mf_npu_twin_faults faults = {0};

    if (strcmp(mode, "exit") == 0) {
        return 7;
    }
    if (strcmp(mode, "scribble") == 0) {
        return scribble();
    }
    if (strcmp(mode, "deaf") == 0) {
        (void)pause();
    }
    if (strcmp(mode, "silent") == 0) {
        return say_yes(NPU_TEST_FAULTS);
    }
    if (strncmp(mode, "fault:", 6) == 0) {
        return say_yes((enum npu_test_fault)strtol(mode + 6, NULL, 10));
    }
    faults.delay_us = strcmp(mode, "slow") == 0 ? 200000 : 0;
    faults.hang_at = strcmp(mode, "hang") == 0 ? 2 : 0;
    faults.wrong_every = strcmp(mode, "wrong") == 0 ? 1 : 0;
    faults.fail_every = strcmp(mode, "fail") == 0 ? 1 : 0;
    mf_npu_twin_set_faults(&faults);
    return mf_npu_worker_main(0, NULL);
}

int main(int argc, char **argv)
{
    const char *mode = getenv("NPU_TEST_WORKER");

    if (argc == 3 && strcmp(argv[1], "parent") == 0) {
        return be_parent(argv[2]);
    }
    if (argc != 2 || strcmp(argv[1], "npu-worker") != 0) {
        return 2;
    }
    note_start();
    return be_worker(mode != NULL ? mode : "twin");
}
