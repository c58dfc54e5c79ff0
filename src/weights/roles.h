/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roles: finds the tensor of each role by its published name and holds it against the
 * plan.
 *
 * Owns:    the list of layers, until freed; the data is the mapped file's
 * Thread:  any
 * Limits:  those of the plan
 * Fails:   MF_EINVAL with file, tensor and what was expected; MF_ENOMEM
 */
#ifndef MF_WEIGHTS_ROLES_H
#define MF_WEIGHTS_ROLES_H

#include "weights/plan.h"
#include "weights/wtable.h"

struct mf_roles {
    struct mf_tensor model[MF_W_MODEL_ROLES];
    struct mf_tensor (*layer)[MF_W_LAYER_ROLES];
};

/* Sizes that the plan left open are filled in, and info.dtype. */
MF_MUST MF_ANY int mf_roles_bind(struct mf_roles *r, const struct mf_wtable *t,
                                 struct mf_plan *plan, struct mf_err *err);
MF_ANY void mf_roles_free(struct mf_roles *r);

#endif
