/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words: what the commands share in reading their line and answering on it.
 *
 * Owns:    nothing
 * Thread:  the main thread
 * Limits:  none
 * Fails:   the exit code: see enum mf_exit
 */
#ifndef MF_MAIN_WORDS_H
#define MF_MAIN_WORDS_H

#include "base/base.h"
#include "base/err.h"

#include <stdio.h>

struct mf_command {
    const char *name;
    const char *args;
    const char *what; /* NULL: not for people, not in the help */
    int (*run)(int argc, char **argv);
};

/* Runs the command that argv[0] names, with what follows it. No such command: the help
 * to stderr, MF_EXIT_USAGE. `of` are the words before it, "npu ", or "". */
MF_ANY int mf_run_command(const char *of, const struct mf_command *commands, size_t n,
                          int argc, char **argv);
MF_ANY void mf_print_commands(FILE *to, const char *of,
                              const struct mf_command *commands, size_t n);

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
