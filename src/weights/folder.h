/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder: the configuration files of the sentence-transformers layout, each read into
 * the plan by a function of its text alone.
 *
 * Owns:    nothing; prompts go to the arena given
 * Thread:  any
 * Limits:  MF_FOLDER_JSON_MAX a file, MF_FOLDER_MAX_PROMPTS prompts
 * Fails:   MF_EINVAL with file and key, MF_ENOTFOUND (config.json), MF_EIO, MF_ENOMEM
 */
#ifndef MF_WEIGHTS_FOLDER_H
#define MF_WEIGHTS_FOLDER_H

#include "base/mem.h"
#include "weights/plan.h"

#define MF_FOLDER_JSON_MAX    1048576
#define MF_FOLDER_MAX_PROMPTS 256
#define MF_FOLDER_PART_MAX    64

/* Where modules.json says that things are: folders inside the model's. */
struct mf_layout {
    char transformer[MF_FOLDER_PART_MAX]; /* "" usually */
    char pooling[MF_FOLDER_PART_MAX];     /* "1_Pooling"; "" when there is none */
    bool normalise;
};

/* All of the folder's; `weights` gets the folder of model.safetensors (PATH_MAX). */
MF_MUST MF_ANY int mf_folder_read(struct mf_plan *plan, struct mf_arena *arena,
                                  const char *folder, char *weights,
                                  struct mf_err *err);

MF_MUST MF_ANY int mf_folder_parse_config(struct mf_plan *plan, struct mf_slice text,
                                          struct mf_err *err);
MF_MUST MF_ANY int mf_folder_parse_modules(struct mf_layout *l, struct mf_slice text,
                                           struct mf_err *err);
MF_MUST MF_ANY int mf_folder_parse_pooling(struct mf_plan *plan, const char *file,
                                           struct mf_slice text, struct mf_err *err);
/* `key` (max_seq_length, model_max_length) bounds info.window, when it is said. */
MF_MUST MF_ANY int mf_folder_parse_window(struct mf_plan *plan, const char *file,
                                          const char *key, struct mf_slice text,
                                          bool *is_said, struct mf_err *err);
MF_MUST MF_ANY int mf_folder_parse_prompts(struct mf_plan *plan, struct mf_arena *arena,
                                           struct mf_slice text, struct mf_err *err);

#endif
