/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_choice: the settings embed.model and embed.precision become an open model, and
 * one line of the log says which one serves; embed.device and embed.npu.* become the
 * device that computes its products.
 *
 * Owns:    nothing; the model and the device are the caller's
 * Thread:  loop, at start
 * Limits:  none of its own
 * Fails:   what mf_model_open says; MF_EIO when the cache's folder cannot be made; what
 *          npu/offload.h says, where embed.device is npu
 */
#ifndef MF_ENGINE_MODEL_CHOICE_H
#define MF_ENGINE_MODEL_CHOICE_H

#include "base/base.h"
#include "base/err.h"
#include "conf/conf.h"
#include "embed/model.h"
#include "npu/offload.h"

MF_MUST MF_LOOP int mf_engine_choose_model(struct mf_model **out,
                                           const struct mf_conf *conf,
                                           struct mf_err *err);
/* Before the model's first text. 0 and *out NULL: the CPU computes; err says why
 * when a device was looked for and not taken. Close it before the model, after the last
 * text. */
MF_MUST MF_LOOP int mf_engine_choose_device(struct mf_npu_offload **out,
                                            struct mf_model *model,
                                            const struct mf_conf *conf,
                                            struct mf_err *err);

#endif
