/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: what the service and its helper process say to each other: one packet of a
 * SOCK_SEQPACKET socket is one message. Little-endian, every field of a fixed size, the
 * length checked to the byte, so that what was decoded encodes to the same bytes. Pure.
 *
 * Head: version u16, type u16, length of the packet u32, seq u64. An answer carries the
 * seq of its request; requests that are not answered: CANCEL. Memories and plans have
 * numbers that the service gives out; offsets are those of the shared memory.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  MF_NPU_WIRE_MAX bytes a message, MF_NPU_WIRE_OPS runs a job
 * Fails:   MF_EINVAL: not a message of this version, with what is wrong
 */
#ifndef MF_NPU_WIRE_H
#define MF_NPU_WIRE_H

#include "base/base.h"
#include "base/err.h"
#include "npu/npu.h"

#define MF_NPU_WIRE_VERSION 1
#define MF_NPU_WIRE_MAX     4096
#define MF_NPU_WIRE_OPS     64
#define MF_NPU_WIRE_PATH    1024
#define MF_NPU_WIRE_MEMS    4096 /* numbers of memories are less */
#define MF_NPU_WIRE_PLANS   256
#define MF_NPU_WIRE_SHARED  (1UL * 1024 * 1024 * 1024) /* bytes of the shared memory */

enum mf_npu_msg_type {
    MF_NPU_MSG_OPEN = 1, /* the first one: which backend, which device */
    MF_NPU_MSG_PROBE,    /* as OPEN, but the device is not kept */
    MF_NPU_MSG_MEM_NEW,
    MF_NPU_MSG_MEM_PUT,
    MF_NPU_MSG_FLUSH,
    MF_NPU_MSG_INVAL,
    MF_NPU_MSG_WEIGHT, /* floats lie in `range`, the packed bytes go to `mem` */
    MF_NPU_MSG_PLAN,
    MF_NPU_MSG_SUBMIT, /* answered when the job is finished */
    MF_NPU_MSG_CANCEL, /* seq: the job's; its SUBMIT is answered all the same */
    MF_NPU_MSG_VERIFY,
    MF_NPU_MSG_ANSWER
};

struct mf_npu_msg_open {
    char inner[16];
    char dir[MF_NPU_WIRE_PATH], module[MF_NPU_WIRE_PATH]; /* "": none */
    uint32_t index, queue_depth;
};

struct mf_npu_msg_mem {
    uint32_t id;
    enum mf_npu_mem_kind kind;
    uint64_t at, bytes; /* in the shared memory */
};

struct mf_npu_msg_range { /* `at` counts from the memory's begin */
    uint32_t id;
    uint64_t at, bytes;
};

struct mf_npu_msg_weight {
    struct mf_npu_gemm gemm;
    struct mf_npu_msg_mem mem;
    uint64_t floats_at; /* k x n of them, in the shared memory */
};

struct mf_npu_msg_plan {
    uint32_t id;
    struct mf_npu_gemm gemm;
};

struct mf_npu_msg_op {
    uint32_t plan, a, w, c, rows;
    uint64_t a_at, c_at;
};

struct mf_npu_msg_submit {
    int64_t deadline_ns;
    uint32_t n;
    struct mf_npu_msg_op ops[MF_NPU_WIRE_OPS];
};

struct mf_npu_msg_answer {
    enum mf_npu_msg_type to; /* the type that is answered */
    int rc;                  /* 0 or negative enum mf_code */
    int sys;
    enum mf_npu_state state; /* of the inner device after this */
    char text[240];
    uint64_t busy_ns, queue_ns;      /* of the inner device, in all */
    double last_cosine, max_abs_err; /* VERIFY */
    struct mf_npu_caps caps;         /* OPEN, PROBE */
};

struct mf_npu_msg {
    enum mf_npu_msg_type type;
    uint64_t seq;

    union {
        struct mf_npu_msg_open open; /* PROBE, too */
        struct mf_npu_msg_mem mem;
        struct mf_npu_msg_range range; /* MEM_PUT (only id), FLUSH, INVAL */
        struct mf_npu_msg_weight weight;
        struct mf_npu_msg_plan plan;
        struct mf_npu_msg_submit submit;
        struct mf_npu_msg_answer answer;
    } u;
};

/* How many bytes it has in `out` (MF_NPU_WIRE_MAX of them); never fails: what does not
 * fit a message was refused before. */
MF_ANY size_t mf_npu_wire_encode(uint8_t *out, const struct mf_npu_msg *m);
MF_MUST MF_ANY int mf_npu_wire_decode(struct mf_npu_msg *m, const uint8_t *p, size_t n,
                                      struct mf_err *err);
/* "submit"; "?" for a number that is none. */
MF_ANY const char *mf_npu_wire_name(enum mf_npu_msg_type t);
/* Bytes of B and of C's or A's number. */
MF_ANY size_t mf_npu_dtype_bytes(enum mf_npu_dtype t);

#endif
