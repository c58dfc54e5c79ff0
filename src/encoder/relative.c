/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MPNet adds to each score a number that depends on head and distance. Distances share
 * buckets: one each when near, wider and wider ones up to MAX_DISTANCE.
 */
#include "encoder/encoder_in.h"

#include <math.h>

#define MAX_DISTANCE 128

/* In float, as the models were trained: where a bucket ends depends on rounding. */
static uint32_t bucket_of(int32_t distance, uint32_t n_buckets)
{
    uint32_t half = n_buckets / 2;
    uint32_t exact = half / 2;
    uint32_t far = (uint32_t)(distance < 0 ? -distance : distance);
    uint32_t side = distance > 0 ? half : 0;
    float steps;

    if (far < exact) {
        return side + far;
    }
    steps = logf((float)far / (float)exact) / (float)log((double)MAX_DISTANCE / exact) *
            (float)(half - exact);
    return side + mf_min(exact + (uint32_t)steps, half - 1);
}

void mf_relative_fill(const struct mf_frame *f, float *out)
{
    const struct mf_tensor *t = mf_weights_of_model(f->weights, MF_W_RELATIVE);
    uint32_t window = f->info.window;
    size_t ld = 2 * (size_t)window - 1;
    float row[MF_LINEAR_MAX / 4];

    for (size_t i = 0; i < ld; i++) {
        int32_t distance = (int32_t)i - (int32_t)(window - 1); /* key - query */

        mf_tensor_read(t, bucket_of(distance, t->rows), 1, row);
        for (uint32_t h = 0; h < f->info.n_heads; h++) {
            out[h * ld + i] = row[h];
        }
    }
}
