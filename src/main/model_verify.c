/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse model verify: the sums, then the weights and the tokenizer themselves. */
#include "hub/disk.h"
#include "hub/folder.h"
#include "hub/manifest.h"
#include "main/commands.h"
#include "main/model_commands.h"
#include "main/words.h"
#include "tokenizer/tokenizer.h"
#include "weights/weights.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool say(const char *what, int rc, const struct mf_err *err)
{
    if (rc < 0) {
        (void)printf("%s: BAD: %s\n", what,
                     err->msg[0] != '\0' ? err->msg : mf_code_sentence(rc));
    } else {
        (void)printf("%s: ok\n", what);
    }
    return rc == 0;
}

static bool check_files(const struct mf_manifest *m, int dir)
{
    bool is_good = true;

    for (size_t i = 0; i < m->n_files; i++) {
        struct mf_err err = {0};
        int rc = mf_manifest_check(&m->files[i], dir, &err);

        is_good &= say(m->files[i].path, rc, &err);
    }
    return is_good;
}

/* Which sums there are: the folder's own list; else, by its name, the default model's.
 */
static bool check_sums(int dir, const char *folder)
{
    struct mf_manifest m;
    struct mf_hub_folder f;
    struct mf_err err = {0};
    int rc = mf_manifest_read(&m, dir, &err);

    if (rc == MF_ENOTFOUND) {
        rc = mf_hub_folder_read(&f, folder, &err);
        if (rc < 0) {
            return say(folder, rc, &err);
        }
        if (strcmp(f.name, MF_HUB_DEFAULT_MODEL) != 0) {
            (void)printf("no sums to compare with: there is no " MF_MANIFEST_NAME "\n");
            return true;
        }
        mf_manifest_of_default(&m);
    }
    return rc < 0 ? say(MF_MANIFEST_NAME, rc, &err) : check_files(&m, dir);
}

static bool check_parts(const char *folder)
{
    struct mf_weights *w = NULL;
    struct mf_tokenizer *t = NULL;
    struct mf_err err = {0};
    int rc = mf_weights_open(&w, folder, &err);
    bool is_good = say("weights", rc, &err);

    err = (struct mf_err){0};
    rc = mf_tokenizer_open(&t, folder, &err);
    is_good &= say("tokenizer", rc, &err);
    if (w != NULL && t != NULL &&
        mf_tokenizer_info(t)->n_vocab > mf_weights_info(w)->n_vocab) {
        (void)printf("vocabulary: BAD: the tokenizer knows %u pieces, the weights %u\n",
                     mf_tokenizer_info(t)->n_vocab, mf_weights_info(w)->n_vocab);
        is_good = false;
    }
    mf_tokenizer_close(t);
    mf_weights_close(w);
    return is_good;
}

int mf_cmd_model_verify(int argc, char **argv)
{
    const char *folder = NULL;
    struct mf_err err = {0};
    int rc = mf_take_words(argc, argv, NULL, 0, &folder);
    bool is_good;
    int dir;

    if (rc != 0) {
        return rc;
    }
    dir = mf_hub_open_dir(folder, false, &err);
    if (dir < 0) {
        return mf_say_failed(&err, dir);
    }
    is_good = check_sums(dir, folder);
    is_good &= check_parts(folder);
    (void)close(dir);
    (void)printf("%s: %s\n", folder, is_good ? "ok" : "BAD");
    return is_good && fflush(stdout) == 0 ? MF_EXIT_OK : MF_EXIT_FAILED;
}
