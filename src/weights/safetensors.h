/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors: the header of a .safetensors file: 8 bytes of length, JSON, then the
 * data without gap or overlap.
 *
 * Owns:    on 0 the table is the caller's to mf_wtable_fini
 * Thread:  any
 * Limits:  a header of MF_WEIGHTS_HEADER_MAX bytes
 * Fails:   MF_EINVAL with file and tensor, MF_ENOMEM; the table is then empty
 */
#ifndef MF_WEIGHTS_SAFETENSORS_H
#define MF_WEIGHTS_SAFETENSORS_H

#include "weights/wtable.h"

MF_MUST MF_ANY int mf_safetensors_read(struct mf_wtable *t, const char *file,
                                       struct mf_slice bytes, struct mf_err *err);

#endif
