/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear_kit: one layer with its rows, for the tests of the kernels: drawn numbers, a
 * run into guarded memory, and the double-precision answer.
 *
 * Owns:    the arrays of struct linear_rig, until linear_rig_fini
 * Thread:  any
 * Limits:  none
 * Fails:   a failed check ends the case
 */
#ifndef MF_TEST_LINEAR_KIT_H
#define MF_TEST_LINEAR_KIT_H

#include "encoder/linear.h"

/* Stands wherever run may not write; bf16 has it, too. */
#define LINEAR_GUARD (-12352.0f)

struct linear_shape {
    size_t rows;
    uint32_t k, n;
    uint32_t gap_x, gap_y; /* ldx = k + gap_x, ldy = n + gap_y */
};

struct linear_rig {
    struct linear_shape shape;
    size_t ldx, ldy;
    float *w, *bias, *absmax;
    float *x; /* rows x ldx; NaN in the gaps: a kernel that reads them is found out */
    float *residual;    /* rows x n */
    bool has_no_bias;   /* pack without one */
    bool has_smoothing; /* pack with absmax */
    bool x_is_bf16;     /* x rounded to it, in the run */
    bool y_is_bf16;     /* y widened from it, after the run */
};

void linear_rig_init(struct linear_rig *rig, const struct linear_shape *shape);
void linear_rig_fini(struct linear_rig *rig);
/* Packs, runs, frees; checks the guards. y: rows x ldy, to be given back with mf_free.
 */
float *linear_rig_run(const struct linear_rig *rig, const struct mf_linear_ops *ops,
                      enum mf_epilogue ep);
/* rows x ldy doubles, by the definition. */
double *linear_rig_answer(const struct linear_rig *rig, enum mf_epilogue ep);
/* The same from 0..1 each time. */
float linear_draw(uint32_t *state);

extern const struct linear_shape linear_shapes[];
extern const size_t linear_n_shapes;
extern const enum mf_epilogue linear_epilogues[5];

#endif
