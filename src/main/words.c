/* SPDX-License-Identifier: Apache-2.0 */
#include "main/words.h"

#include "main/commands.h"

#include <string.h>

void mf_print_commands(FILE *to, const char *of, const struct mf_command *commands,
                       size_t n)
{
    (void)fprintf(to, "usage: memfuse %sCOMMAND\n\n", of);
    for (size_t i = 0; i < n; i++) {
        if (commands[i].what != NULL) {
            (void)fprintf(to, "  %s %s\n      %s\n", commands[i].name, commands[i].args,
                          commands[i].what);
        }
    }
}

int mf_run_command(const char *of, const struct mf_command *commands, size_t n,
                   int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : "";

    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (argc > 0) {
        (void)fprintf(stderr, "memfuse: unknown command '%s%s'\n\n", of, name);
    }
    mf_print_commands(stderr, of, commands, n);
    return MF_EXIT_USAGE;
}

int mf_take_words(int argc, char **argv, const struct mf_word *words, size_t n_words,
                  const char **operand)
{
    int n_operands = 0;

    for (int i = 0; i < argc; i++) {
        const struct mf_word *w = NULL;

        for (size_t k = 0; k < n_words && w == NULL; k++) {
            w = strcmp(argv[i], words[k].name) == 0 ? &words[k] : NULL;
        }
        if (w != NULL && w->flag != NULL) {
            *w->flag = true;
        } else if (w != NULL && i + 1 < argc) {
            *w->value = argv[++i];
        } else if (w != NULL) {
            (void)fprintf(stderr, "memfuse: something must follow '%s'\n", argv[i]);
            return MF_EXIT_USAGE;
        } else if (argv[i][0] == '-' || operand == NULL || n_operands++ > 0) {
            (void)fprintf(stderr, "memfuse: unknown argument '%s'\n", argv[i]);
            return MF_EXIT_USAGE;
        } else {
            *operand = argv[i];
        }
    }
    if (operand != NULL && n_operands == 0) {
        (void)fprintf(stderr, "memfuse: which model?\n");
        return MF_EXIT_USAGE;
    }
    return 0;
}

int mf_say_failed(const struct mf_err *err, int rc)
{
    (void)fprintf(stderr, "memfuse: %s\n",
                  err->msg[0] != '\0' ? err->msg : mf_code_sentence(rc));
    return MF_EXIT_FAILED;
}
