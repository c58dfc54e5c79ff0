/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_commands: memfuse model pull, list, info, verify. argv is what follows the
 * word.
 *
 * Owns:    nothing
 * Thread:  the main thread
 * Limits:  none
 * Fails:   the exit code: see enum mf_exit
 */
#ifndef MF_MAIN_MODEL_COMMANDS_H
#define MF_MAIN_MODEL_COMMANDS_H

#include "base/base.h"
#include "base/err.h"

MF_ANY int mf_cmd_model_pull(int argc, char **argv);
MF_ANY int mf_cmd_model_list(int argc, char **argv);
MF_ANY int mf_cmd_model_info(int argc, char **argv);
MF_ANY int mf_cmd_model_verify(int argc, char **argv);

/* One word of a command line: `value` is where what follows goes, `flag` is set when
 * the word is there; one of the two is NULL. */
struct mf_word {
    const char *name; /* "--to" */
    const char **value;
    bool *flag;
};

/* Takes the words that are known, and exactly one other into *operand (NULL: none is
 * wanted). 0, or MF_EXIT_USAGE after a sentence. */
MF_ANY int mf_take_words(int argc, char **argv, const struct mf_word *words,
                         size_t n_words, const char **operand);
/* The sentence to stderr; MF_EXIT_FAILED. */
MF_ANY int mf_say_failed(const struct mf_err *err, int rc);

#endif
