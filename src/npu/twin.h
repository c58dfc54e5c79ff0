/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twin: the device that is this CPU: the same table, line, deadlines and memories, so
 * that everything around a device is tested where none is. bf16 products, f32 sums.
 *
 * Faults for tests come by struct mf_npu_twin_faults, never by the environment.
 */
#ifndef MF_NPU_TWIN_H
#define MF_NPU_TWIN_H

#include "base/base.h"
#include "npu/npu.h"

struct mf_npu_twin_faults {
    uint64_t wrong_every;  /* one element of each n-th job's output is wrong; 0: none */
    uint64_t fail_every;   /* the n-th job fails */
    uint64_t hang_at;      /* the n-th job never ends */
    uint64_t delay_us;     /* each job takes so much longer */
    bool skips_input_sync; /* what was not flushed is not seen: always; this leaves
                              the device's own sync out, too */
};

MF_ANY const struct mf_npu_backend *mf_npu_twin(void);
MF_ANY void mf_npu_twin_set_faults(const struct mf_npu_twin_faults *f); /* NULL: none */

#endif
