/* SPDX-License-Identifier: Apache-2.0 */
#include "main/commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE "memfuse.yaml"

struct words {
    const char *file;
    bool is_told; /* -c was given */
};

static int fail_usage(const char *what, const char *word)
{
    (void)fprintf(stderr, "memfuse: %s '%s'\n", what, word);
    return MF_EXIT_USAGE;
}

static bool is_file_word(const char *word)
{
    return strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0;
}

/* First pass: which file. --set comes after everything else, in order. */
static int find_file(struct words *w, int argc, char **argv,
                     bool (*extra)(const char *word, void *arg), void *arg)
{
    for (int i = 0; i < argc; i++) {
        bool is_file = is_file_word(argv[i]);
        bool is_pair = is_file || strcmp(argv[i], "--set") == 0;

        if (is_pair && i + 1 == argc) {
            return fail_usage("something must follow", argv[i]);
        }
        if (!is_pair && (extra == NULL || !extra(argv[i], arg))) {
            return fail_usage("unknown argument", argv[i]);
        }
        if (is_file) {
            w->file = argv[i + 1];
            w->is_told = true;
        }
        i += is_pair;
    }
    return 0;
}

/* Memory ends everything; else all problems are gathered. */
static int worse(int a, int b)
{
    return a == MF_ENOMEM || b == 0 ? a : b;
}

static int read_files(struct mf_conf *c, const struct words *w,
                      struct mf_conf_report *r)
{
    char dir[4352];
    int rc = 0;

    if (w->is_told || access(w->file, F_OK) == 0) {
        rc = mf_conf_read_file(c, w->file, r);
    }
    (void)snprintf(dir, sizeof(dir), "%s.d", w->file);
    return worse(rc, mf_conf_read_dir(c, dir, r));
}

static int read_all(struct mf_conf *c, const struct words *w, int argc, char **argv,
                    struct mf_conf_report *r)
{
    int rc = read_files(c, w, r);

    rc = worse(rc, mf_conf_read_env(c, environ, r));
    for (int i = 0; i + 1 < argc; i++) {
        bool is_set = strcmp(argv[i], "--set") == 0;

        if (is_set) {
            rc = worse(rc, mf_conf_set(c, argv[i + 1], r));
        }
        i += is_set || is_file_word(argv[i]); /* what follows is no word of ours */
    }
    return worse(rc, mf_conf_check(c, r));
}

static void tell(const struct mf_conf_report *r, int rc)
{
    (void)fprintf(stderr, "%.*s", (int)r->text.n, r->text.n > 0 ? r->text.p : "");
    if (rc == MF_ENOMEM || mf_buf_status(&r->text) < 0) {
        (void)fprintf(stderr, "memfuse: out of memory while reading the settings\n");
    }
    if (r->n_problems > 0) {
        (void)fprintf(stderr, "memfuse: %zu problem%s in the configuration\n",
                      r->n_problems, r->n_problems == 1 ? "" : "s");
    }
}

int mf_load_conf(struct mf_conf *c, int argc, char **argv,
                 bool (*extra)(const char *word, void *arg), void *arg)
{
    struct words w = {.file = DEFAULT_FILE};
    struct mf_conf_report r = {.n_problems = 0};
    int rc = mf_conf_init(c);

    if (rc < 0) {
        (void)fprintf(stderr, "memfuse: out of memory while reading the settings\n");
        return MF_EXIT_FAILED;
    }
    rc = find_file(&w, argc, argv, extra, arg);
    if (rc != 0) {
        return rc;
    }
    mf_buf_init(&r.text);
    rc = read_all(c, &w, argc, argv, &r);
    if (rc < 0) {
        tell(&r, rc);
    }
    mf_buf_fini(&r.text);
    return rc == 0 ? 0 : rc == MF_ENOMEM ? MF_EXIT_FAILED : MF_EXIT_USAGE;
}
