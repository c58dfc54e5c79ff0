/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/str.h"
#include "npu/wire.h"

#include <stdio.h>
#include <string.h>

static struct mf_npu_msg sample(enum mf_npu_msg_type type)
{
    struct mf_npu_msg m = {.type = type, .seq = 0x1122334455667788};

    if (type == MF_NPU_MSG_OPEN || type == MF_NPU_MSG_PROBE) {
        m.u.open = (struct mf_npu_msg_open){"xrt", "/opt/npu", "", 3, 4};
    } else if (type == MF_NPU_MSG_MEM_NEW) {
        m.u.mem = (struct mf_npu_msg_mem){7, MF_NPU_MEM_OUT, 8192, 100};
    } else if (type == MF_NPU_MSG_MEM_PUT) {
        m.u.range.id = 9;
    } else if (type == MF_NPU_MSG_FLUSH || type == MF_NPU_MSG_INVAL) {
        m.u.range = (struct mf_npu_msg_range){9, 64, 128};
    } else if (type == MF_NPU_MSG_WEIGHT) {
        m.u.weight.gemm = (struct mf_npu_gemm){256, 512, 64, 1, 1, 0, 1};
        m.u.weight.mem = (struct mf_npu_msg_mem){7, MF_NPU_MEM_WEIGHT, 8192, 65536};
        m.u.weight.floats_at = 1 << 20;
    } else if (type == MF_NPU_MSG_PLAN) {
        m.u.plan.id = 255;
        m.u.plan.gemm = (struct mf_npu_gemm){256, 512, 64, 1, 1, 0, 0};
    } else if (type == MF_NPU_MSG_SUBMIT) {
        m.u.submit.deadline_ns = 123456789;
        m.u.submit.n = MF_NPU_WIRE_OPS;
        for (uint32_t i = 0; i < MF_NPU_WIRE_OPS; i++) {
            m.u.submit.ops[i] = (struct mf_npu_msg_op){1, 2, 3, i, 5, 6, 7};
        }
    } else if (type == MF_NPU_MSG_ANSWER) {
        m.u.answer.to = MF_NPU_MSG_SUBMIT;
        m.u.answer.rc = MF_EBACKEND;
        m.u.answer.sys = -5;
        m.u.answer.state = MF_NPU_DEGRADED;
        (void)snprintf(m.u.answer.text, sizeof(m.u.answer.text), "it failed");
        m.u.answer.last_cosine = 0.25;
        m.u.answer.caps.verified = true;
        m.u.answer.caps.m_max = 2048;
    }
    return m;
}

static int decode(const uint8_t *p, size_t n)
{
    struct mf_npu_msg m;
    struct mf_err err = {0};
    int rc = mf_npu_wire_decode(&m, p, n, &err);

    MF_CHECK(rc == 0 || (rc == MF_EINVAL && err.msg[0] != '\0'));
    return rc;
}

MF_TEST(npu_wire, gives_every_message_back_as_it_was)
{
    for (int t = MF_NPU_MSG_OPEN; t <= MF_NPU_MSG_ANSWER; t++) {
        struct mf_npu_msg m = sample((enum mf_npu_msg_type)t), back;
        uint8_t buf[MF_NPU_WIRE_MAX], again[MF_NPU_WIRE_MAX];
        struct mf_err err;
        size_t n = mf_npu_wire_encode(buf, &m);

        MF_CHECK_OK(mf_npu_wire_decode(&back, buf, n, &err));
        MF_CHECK(back.type == m.type && back.seq == m.seq);
        MF_CHECK_INT(mf_npu_wire_encode(again, &back), n);
        MF_CHECK_MEM(again, buf, n);
        MF_CHECK(strcmp(mf_npu_wire_name(m.type), "?") != 0);
    }
    MF_CHECK_STR(mf_npu_wire_name(MF_NPU_MSG_ANSWER + 1), "?");
}

MF_TEST(npu_wire, keeps_the_fields_of_jobs_and_answers)
{
    struct mf_npu_msg m = sample(MF_NPU_MSG_SUBMIT), back;
    uint8_t buf[MF_NPU_WIRE_MAX];
    struct mf_err err;
    size_t n = mf_npu_wire_encode(buf, &m);
    const struct mf_npu_msg_op *op = &back.u.submit.ops[63];

    MF_CHECK_OK(mf_npu_wire_decode(&back, buf, n, &err));
    MF_CHECK(back.u.submit.deadline_ns == 123456789 && back.u.submit.n == 64);
    MF_CHECK(op->plan == 1 && op->a == 2 && op->w == 3 && op->c == 63);
    MF_CHECK(op->rows == 5 && op->a_at == 6 && op->c_at == 7);

    m = sample(MF_NPU_MSG_ANSWER);
    n = mf_npu_wire_encode(buf, &m);
    MF_CHECK_OK(mf_npu_wire_decode(&back, buf, n, &err));
    MF_CHECK(back.u.answer.rc == MF_EBACKEND && back.u.answer.sys == -5);
    MF_CHECK(back.u.answer.state == MF_NPU_DEGRADED);
    MF_CHECK_STR(back.u.answer.text, "it failed");
    MF_CHECK(back.u.answer.last_cosine == 0.25 && back.u.answer.caps.m_max == 2048);
    MF_CHECK(back.u.answer.caps.verified && !back.u.answer.caps.simulated);
}

static void check_lengths(const struct mf_npu_msg *m)
{
    uint8_t buf[MF_NPU_WIRE_MAX + 1] = {0};
    size_t n = mf_npu_wire_encode(buf, m);

    for (size_t i = 0; i <= sizeof(buf); i++) {
        MF_CHECK_INT(decode(buf, i) == 0, i == n);
        if (i >= 8 && i != n) {
            mf_put_u32(buf + 4, (uint32_t)i); /* and where the head agrees */
            MF_CHECK_INT(decode(buf, i), MF_EINVAL);
            mf_put_u32(buf + 4, (uint32_t)n);
        }
    }
}

MF_TEST(npu_wire, refuses_every_other_length)
{
    for (int t = MF_NPU_MSG_OPEN; t <= MF_NPU_MSG_ANSWER; t++) {
        struct mf_npu_msg m = sample((enum mf_npu_msg_type)t);

        check_lengths(&m);
    }
}

/* One field of the sample, 32 bits wide, behind the head. */
static int with_u32(enum mf_npu_msg_type type, size_t at, uint32_t v)
{
    struct mf_npu_msg m = sample(type);
    uint8_t buf[MF_NPU_WIRE_MAX];
    size_t n = mf_npu_wire_encode(buf, &m);

    mf_put_u32(buf + at, v);
    return decode(buf, n);
}

MF_TEST(npu_wire, refuses_numbers_beyond_their_limits)
{
    MF_CHECK_INT(with_u32(MF_NPU_MSG_MEM_NEW, 16, MF_NPU_WIRE_MEMS), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_MEM_NEW, 20, MF_NPU_MEM_PROGRAM + 1), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_MEM_NEW, 28, 1), MF_EINVAL); /* at: 4 GiB */
    MF_CHECK_INT(with_u32(MF_NPU_MSG_FLUSH, 28, 0x40000001), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_PLAN, 16, MF_NPU_WIRE_PLANS), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_PLAN, 32, MF_NPU_I8 + 1), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_SUBMIT, 24, MF_NPU_WIRE_OPS + 1), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_SUBMIT, 24, MF_NPU_WIRE_OPS - 1), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_WEIGHT, 20, 0xffffffff), MF_EINVAL); /* k */
    MF_CHECK_INT(with_u32(MF_NPU_MSG_ANSWER, 20, 1), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_ANSWER, 20, (uint32_t)(MF_ENOSPC - 1)), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_ANSWER, 16, MF_NPU_MSG_ANSWER), MF_EINVAL);
    MF_CHECK_INT(with_u32(MF_NPU_MSG_ANSWER, 16, 0), MF_EINVAL);
}

MF_TEST(npu_wire, refuses_texts_without_an_end_and_what_hides_behind_one)
{
    struct mf_npu_msg m = sample(MF_NPU_MSG_OPEN);
    uint8_t buf[MF_NPU_WIRE_MAX];
    size_t n = mf_npu_wire_encode(buf, &m);

    buf[16 + 10] = 'x';
    MF_CHECK_INT(decode(buf, n), MF_EINVAL);
    memset(buf + 16, 'x', 16);
    MF_CHECK_INT(decode(buf, n), MF_EINVAL);
}
