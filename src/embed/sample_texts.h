/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample_texts: built-in texts of many scripts, lengths and kinds, on which a model's
 * reduced precision is calibrated and judged. The two sets have no text in common.
 *
 * Owns:    nothing; the texts are constants
 * Thread:  any
 * Limits:  MF_SAMPLE_CALIBRATION and MF_SAMPLE_GUARD texts
 * Fails:   never
 */
#ifndef MF_EMBED_SAMPLE_TEXTS_H
#define MF_EMBED_SAMPLE_TEXTS_H

#include "base/base.h"

#define MF_SAMPLE_CALIBRATION 54
#define MF_SAMPLE_GUARD       64

extern const char *const mf_sample_calibration[MF_SAMPLE_CALIBRATION];
extern const char *const mf_sample_guard[MF_SAMPLE_GUARD];

#endif
