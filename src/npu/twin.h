/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twin: the device that is this CPU: the same table, line, deadlines and memories, so
 * that everything around a device is tested where none is. bf16 products, f32 sums.
 *
 * Without a folder of artefacts it has a program for every shape of its multiples (256,
 * 512, 64) with m up to 512; with one, for those of the manifest.
 *
 * Faults for tests come by struct mf_npu_twin_faults, never by the environment.
 *
 * Owns:    see npu.h; each memory twice, as the host and as the device sees it. A job
 *          that hangs keeps its memories and the thread that runs it beyond close
 * Thread:  any; one of its own for each device runs the jobs
 * Limits:  conf.queue_depth jobs, the running one included (0: 4)
 * Fails:   as npu.h
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
    bool skips_compute;    /* jobs "complete" and nothing was computed */
    bool skips_input_sync; /* what was not flushed is not seen: always; this leaves
                              the device's own sync out, too */
};

MF_ANY const struct mf_npu_backend *mf_npu_twin(void);
/* NULL: none. Jobs are counted from here on. What hangs is let go: this returns when
 * the last of them has given back what it held. */
MF_ANY void mf_npu_twin_set_faults(const struct mf_npu_twin_faults *f);
/* Jobs that hang now, those of closed devices too. */
MF_ANY size_t mf_npu_twin_n_hanging(void);

#endif
