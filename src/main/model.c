/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse model: its words, and what they share. */
#include "main/commands.h"
#include "main/model_commands.h"

#include <stdio.h>
#include <string.h>

struct verb {
    const char *name;
    const char *args;
    const char *what;
    int (*run)(int argc, char **argv);
};

static const struct verb verbs[] = {
    {"pull", "NAME [--base URL] [--to DIR] [--revision REV]",
     "fetches a model from a hub into DIR/NAME (DIR: models; URL: $MEMFUSE_HUB)",
     mf_cmd_model_pull},
    {"list", "[--dir DIR]", "the models in DIR (models)", mf_cmd_model_list},
    {"info", "FOLDER [--json] [--open]",
     "what a model is; --open: and how this machine computes it", mf_cmd_model_info},
    {"verify", "FOLDER", "checks its files against their sums and opens them",
     mf_cmd_model_verify},
};

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

int mf_cmd_model(int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : "";

    for (size_t i = 0; i < mf_countof(verbs); i++) {
        if (strcmp(name, verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    if (argc > 0) {
        (void)fprintf(stderr, "memfuse: unknown command 'model %s'\n\n", name);
    }
    (void)fprintf(stderr, "usage: memfuse model COMMAND\n\n");
    for (size_t i = 0; i < mf_countof(verbs); i++) {
        (void)fprintf(stderr, "  %s %s\n      %s\n", verbs[i].name, verbs[i].args,
                      verbs[i].what);
    }
    return MF_EXIT_USAGE;
}
