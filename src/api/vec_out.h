/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vec_out: vectors as text: JSON numbers, the shortest that read back as the same
 * 32-bit float, or base64 of the little-endian floats.
 *
 * The numbers are made after Raffaello Giulietti, "The Schubfach way to render
 * doubles" (2020), for 32 bits.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   as the buffer does; a number that is not finite becomes null
 */
#ifndef MF_API_VEC_OUT_H
#define MF_API_VEC_OUT_H

#include "base/base.h"
#include "base/str.h"

#define MF_FLOAT_TEXT 20 /* bytes a number takes at most */

/* Writes no NUL. Returns the bytes written. */
MF_ANY size_t mf_float_format(float v, char at[MF_FLOAT_TEXT]);
/* "[0.1,-0.25]" */
MF_ANY void mf_vec_put_json(struct mf_buf *b, const float *v, size_t n);
/* Standard alphabet, padded, without quotes. */
MF_ANY void mf_vec_put_base64(struct mf_buf *b, const float *v, size_t n);
/* The first n brought to unit length again; a vector of zeros stays. */
MF_ANY void mf_vec_normalize(float *v, size_t n);

#endif
