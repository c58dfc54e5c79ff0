/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote: a device in a helper process (`memfuse npu-worker`), since the vendor's
 * library can abort, exit, crash or hang its process.
 *
 * A socketpair carries requests and answers (wire.h), a memfd holds all memories:
 * mem_map gives an address in it. When the worker ends or does not answer by a deadline
 * it is killed, everything under way ends with MF_EUNAVAILABLE, and a new one is
 * started after a backoff (mf_dep); memories, weights and plans are made again in it,
 * and its canary must be right, before it is used. Handles stay valid across that.
 *
 * Owns:    the child, the socket, the shared memory
 * Thread:  any; one thread of its own reads the answers
 * Limits:  mem bytes in all: 1 GiB
 * Fails:   as npu.h
 */
#ifndef MF_NPU_REMOTE_H
#define MF_NPU_REMOTE_H

#include "base/base.h"
#include "npu/npu.h"

/* Conf of this backend names the inner one: "twin" or "xrt". `program`: the binary that
 * is started with "npu-worker" (NULL: /proc/self/exe). Set before open, once. */
struct mf_npu_remote_conf {
    const char *inner;
    const char *program;
    uint64_t first_backoff_ms, max_backoff_ms; /* 100, 30000 */
    uint64_t answer_ms; /* a worker that is silent longer (beyond a job's own deadline)
                           is killed; 5000 */
};

MF_ANY const struct mf_npu_backend *
mf_npu_remote(const struct mf_npu_remote_conf *conf);
/* The pid of the worker, 0 while there is none: for tests and for health. */
MF_ANY int mf_npu_remote_pid(const struct mf_npu_dev *dev);
/* main() of the worker: serves file descriptor 3 until it is closed; returns an exit
 * code. */
MF_ANY int mf_npu_worker_main(int argc, char **argv);

#endif
