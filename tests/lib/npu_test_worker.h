/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker of the tests can say wrongly: NPU_TEST_WORKER=fault:NUMBER. */
#ifndef MF_NPU_TEST_WORKER_H
#define MF_NPU_TEST_WORKER_H

enum npu_test_fault {
    NPU_TEST_EMPTY,
    NPU_TEST_SHORT,
    NPU_TEST_CUT,
    NPU_TEST_LONGER,
    NPU_TEST_HUGE,
    NPU_TEST_VERSION,
    NPU_TEST_TYPE,
    NPU_TEST_CODE,
    NPU_TEST_STATE,
    NPU_TEST_TEXT,
    NPU_TEST_FLAG,
    NPU_TEST_TWICE,
    NPU_TEST_OTHER_SEQ,
    NPU_TEST_OTHER_TYPE,
    NPU_TEST_A_REQUEST,
    NPU_TEST_FAULTS
};

#endif
