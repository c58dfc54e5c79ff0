/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowops_exp: e^x of a register, in the words of whoever includes it.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  x <= 0, as scores are below their maximum; NaN stays NaN
 * Fails:   never
 */
#ifndef MF_ENCODER_ROWOPS_EXP_H
#define MF_ENCODER_ROWOPS_EXP_H

#define LOG2_E 1.44269504F

/* Cody-Waite reduction and a polynomial of degree 6: within 2 units of the last place.
 */
MF_INLINE vf v_exp(vf x)
{
    vf clamped = v_max(v_all(-87.3F), x);
    vf n = v_round(v_mul(clamped, v_all(LOG2_E)));
    vf r = v_fma(n, v_all(-0.693359375F), clamped);
    vf p = v_all(1.9875691500e-4F);

    r = v_fma(n, v_all(2.12194440e-4F), r);
    p = v_fma(p, r, v_all(1.3981999507e-3F));
    p = v_fma(p, r, v_all(8.3334519073e-3F));
    p = v_fma(p, r, v_all(4.1665795894e-2F));
    p = v_fma(p, r, v_all(1.6666665459e-1F));
    p = v_fma(p, r, v_all(5.0000001201e-1F));
    p = v_fma(p, v_mul(r, r), v_add(r, v_all(1)));
    return v_scale(p, n);
}

/* 2^x on [-1/2, 1/2] by a cubic: within 1e-4, less than what bf16 rounds away. */
MF_INLINE vf v_exp_fast(vf x)
{
    vf y = v_max(v_all(-120), v_mul(x, v_all(LOG2_E)));
    vf n = v_round(y);
    vf r = v_sub(y, n);
    vf p = v_fma(v_all(0.0558263180F), r, v_all(0.2402264923F));

    p = v_fma(p, r, v_all(0.6931471825F));
    p = v_fma(p, r, v_all(1));
    return v_scale(p, n);
}

#endif
