/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_choice: the settings embed.model and embed.precision become an open model, and
 * one line of the log says which one serves.
 *
 * Owns:    nothing; the model is the caller's
 * Thread:  loop, at start
 * Limits:  none of its own
 * Fails:   what mf_model_open says; MF_EIO when the cache's folder cannot be made
 */
#ifndef MF_ENGINE_MODEL_CHOICE_H
#define MF_ENGINE_MODEL_CHOICE_H

#include "base/base.h"
#include "base/err.h"
#include "conf/conf.h"
#include "embed/model.h"

MF_MUST MF_LOOP int mf_engine_choose_model(struct mf_model **out,
                                           const struct mf_conf *conf,
                                           struct mf_err *err);

#endif
