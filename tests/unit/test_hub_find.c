/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "hub/disk.h"
#include "hub/find.h"
#include "hub/folder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT "/" MF_HUB_MODELS "/" MF_HUB_DEFAULT_MODEL

/* The case's own folder becomes the working directory. */
static void enter_room(const char *name)
{
    char path[512];
    int dir;

    (void)snprintf(path, sizeof(path), "%s/%s", mf_test_tmpdir(), name);
    dir = mf_hub_open_dir(path, true, NULL);
    MF_CHECK(dir >= 0);
    MF_CHECK_OK(fchdir(dir));
    (void)close(dir);
}

static void make_model(const char *path, const char *config)
{
    int dir = mf_hub_open_dir(path, true, NULL);

    MF_CHECK(dir >= 0);
    MF_CHECK_OK(mf_hub_write_file(dir, "config.json", mf_slice_str(config), NULL));
    (void)close(dir);
}

static const char *find(const char *model)
{
    static char out[MF_HUB_PATH_MAX];

    MF_CHECK_OK(mf_hub_find(out, sizeof(out), model, "data"));
    return out;
}

MF_TEST(hub, auto_is_the_model_here_before_that_of_the_data_before_hash)
{
    enter_room("auto");
    MF_CHECK_STR(find("auto"), "hash");
    MF_CHECK(mf_hub_open_dir("models/all-MiniLM-L6-v2", true, NULL) >= 0);
    MF_CHECK_STR(find("auto"), "hash"); /* an empty folder is no model */
    make_model("data" DEFAULT, "{}");
    MF_CHECK_STR(find("auto"), "data/models/all-MiniLM-L6-v2");
    make_model("models/all-MiniLM-L6-v2", "{}");
    MF_CHECK_STR(find("auto"), "models/all-MiniLM-L6-v2");
}

MF_TEST(hub, every_other_word_names_itself)
{
    char small[8];

    MF_CHECK_STR(find("hash"), "hash");
    MF_CHECK_STR(find("/srv/e5"), "/srv/e5");
    MF_CHECK_STR(find("m.gguf"), "m.gguf");
    MF_CHECK_INT(mf_hub_find(small, sizeof(small), "/srv/bge", "data"), MF_ETOOBIG);
    MF_CHECK_INT(mf_hub_find(small, sizeof(small), "auto", "data"), MF_ETOOBIG);
}

struct seen {
    size_t n;
    char names[256];
    uint32_t dims;
};

static int see(void *arg, const struct mf_hub_folder *f)
{
    struct seen *s = arg;
    size_t n = strlen(s->names);

    s->n++;
    s->dims += f->dim;
    (void)snprintf(s->names + n, sizeof(s->names) - n, "%s ", f->name);
    return 0;
}

MF_TEST(hub, lists_models_by_name_and_hides_those_that_grow)
{
    struct seen s = {.n = 0};

    enter_room("list");
    make_model("models/zeta", "{\"hidden_size\": 384}");
    make_model("models/alpha", "{\"dim\": 768}");
    make_model("models/broken", "{");
    make_model("models/.beta.part", "{\"hidden_size\": 5}");
    MF_CHECK(mf_hub_open_dir("models/empty", true, NULL) >= 0);
    MF_CHECK_OK(mf_hub_list("models", see, &s, NULL));
    MF_CHECK_STR(s.names, "alpha broken zeta ");
    MF_CHECK_INT(s.dims, 384 + 768);
    MF_CHECK_OK(mf_hub_list("nowhere", see, &s, NULL));
    MF_CHECK_INT(s.n, 3);
}

MF_TEST(hub, a_folder_has_its_own_name_and_the_size_of_its_parts)
{
    struct mf_hub_folder f;
    int dir;

    enter_room("folder");
    make_model("e5", "{\"hidden_size\": 12}");
    dir = mf_hub_open_dir("e5", false, NULL);
    MF_CHECK_OK(mf_hub_write_file(dir, "vocab.txt", MF_SLICE("abc"), NULL));
    MF_CHECK_OK(mf_hub_write_file(dir, "README.md", MF_SLICE("abcdef"), NULL));
    MF_CHECK_OK(mf_hub_folder_read(&f, "e5/", NULL));
    MF_CHECK_STR(f.name, "e5");
    MF_CHECK_INT(f.dim, 12);
    MF_CHECK_INT(f.bytes, 19 + 3);
    MF_CHECK_STR(f.revision, "");
    MF_CHECK_OK(fchdir(dir));
    MF_CHECK_OK(mf_hub_folder_read(&f, ".", NULL));
    MF_CHECK_STR(f.name, "e5");
    MF_CHECK_INT(mf_hub_folder_read(&f, "nowhere", NULL), MF_ENOTFOUND);
    (void)close(dir);
}
