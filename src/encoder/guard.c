/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "encoder/encoder_in.h"

float mf_guard_bound(const struct mf_choice *c)
{
    switch (c->main->precision) {
    case MF_PREC_INT8: return MF_GUARD_MIN_INT8;
    case MF_PREC_BF16:
    case MF_PREC_FP16: return MF_GUARD_MIN_HALF;
    case MF_PREC_F32:
    default: return 0;
    }
}

/* Of two unit vectors; 0 when one of them failed. */
static double cosine(const float *a, const float *b, uint32_t n)
{
    double sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return mf_min(sum, 1.0);
}

int mf_guard(struct mf_stack *st, const struct mf_ids *texts, const float *reference)
{
    uint32_t hidden = st->frame->info.hidden;
    float *out = mf_array(texts->n * hidden, sizeof(*out));
    int rc = out == NULL ? MF_ENOMEM : mf_embed_texts(st, texts, out);
    double least = 1;
    double sum = 0;

    for (size_t i = 0; rc == 0 && i < texts->n; i++) {
        double c = cosine(out + i * hidden, reference + i * hidden, hidden);

        least = mf_min(least, c);
        sum += c;
    }
    mf_free(out);
    if (rc == 0) {
        st->choice.guard_min = (float)least;
        st->choice.guard_mean = (float)(sum / (double)texts->n);
    }
    return rc;
}
