/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse postgres index: what people who ask in SQL need, and memfuse does not. */
#include "engine/rooms_conf.h"
#include "main/commands.h"
#include "store/pg_index.h"

#include <stdio.h>
#include <string.h>

static void say_line(MF_UNUSED void *arg, const char *sentence)
{
    (void)printf("%s\n", sentence);
    (void)fflush(stdout); /* a build may take hours */
}

static int index_vectors(const struct mf_conf *c, bool drops)
{
    struct mf_store_config cfg;
    struct mf_pg_index_ask ask = {.cfg = &cfg.pg, .drops = drops, .say = say_line};
    struct mf_err err = {0};
    int rc;

    mf_store_conf(c, 0, &cfg);
    if (strcmp(c->store_backend, "postgres") != 0) {
        rc = mf_err_set(&err, MF_EINVAL,
                        "store.backend is %s: there is no vector column to index",
                        c->store_backend);
    } else if (!drops && !cfg.pg.wants_vector) {
        rc = mf_err_set(&err, MF_EINVAL,
                        "store.postgres.vector is off: set it to auto, so that there "
                        "are vectors to index");
    } else {
        rc = mf_pg_index_run(&ask, &err);
    }
    if (rc < 0) {
        (void)fprintf(stderr, "memfuse: %s\n",
                      err.msg[0] != '\0' ? err.msg : mf_code_sentence(rc));
    }
    return rc < 0 ? MF_EXIT_FAILED : MF_EXIT_OK;
}

static bool take_word(const char *word, void *arg)
{
    bool *drops = arg;

    *drops = *drops || strcmp(word, "--drop") == 0;
    return strcmp(word, "--drop") == 0;
}

int mf_cmd_postgres(int argc, char **argv)
{
    struct mf_conf c;
    bool drops = false;
    int rc;

    if (argc == 0 || strcmp(argv[0], "index") != 0) {
        (void)fprintf(stderr, "usage: memfuse postgres index [-c FILE]"
                              " [--set section.key=value]... [--drop]\n");
        return MF_EXIT_USAGE;
    }
    rc = mf_load_conf(&c, argc - 1, argv + 1, take_word, &drops);
    if (rc == 0) {
        rc = index_vectors(&c, drops);
    }
    mf_conf_fini(&c);
    return rc;
}
