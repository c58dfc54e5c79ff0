/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "encoder/encoder_in.h"

#include <string.h>

static int embed_with(const struct mf_stack *st, struct mf_scratch *s,
                      const struct mf_ids *texts, float *out)
{
    int *rc = mf_array(texts->n, sizeof(*rc));

    if (rc == NULL) {
        return MF_ENOMEM;
    }
    mf_forward(st, s, texts, 0, out, rc); /* a text that fails has a vector of zeros */
    mf_free(rc);
    return 0;
}

int mf_embed_texts(const struct mf_stack *st, const struct mf_ids *texts, float *out)
{
    struct mf_scratch *s;
    int rc = mf_scratch_make(&s, st, MF_CHUNK_ROWS);

    if (rc == 0) {
        rc = embed_with(st, s, texts, out);
        mf_scratch_free(s);
    }
    return rc;
}

int mf_calibrate(const struct mf_stack *f32, const struct mf_ids *texts, float *absmax)
{
    size_t hidden = f32->frame->info.hidden;
    float *out = mf_array(texts->n * hidden, sizeof(*out));
    struct mf_scratch *s = NULL;
    int rc = out == NULL ? MF_ENOMEM : mf_scratch_make(&s, f32, MF_CHUNK_ROWS);

    memset(absmax, 0, mf_absmax_count(f32->frame) * sizeof(float));
    if (rc == 0) {
        s->absmax = absmax;
        rc = embed_with(f32, s, texts, out);
    }
    mf_scratch_free(s);
    mf_free(out);
    return rc;
}
