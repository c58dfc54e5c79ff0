/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "lib/model_folder.h"
#include "weights/weights.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_refused(const char *path, int code, const char *sentence)
{
    struct mf_weights *w = NULL;
    struct mf_err err = {0};
    int rc = mf_weights_open(&w, path, &err);

    if (rc != code || strcmp(err.msg, sentence) != 0) {
        fail_msg("rc %d, \"%s\", expected \"%s\"", rc, err.msg, sentence);
    }
    MF_CHECK(w == NULL);
}

/* Writes the small model with its list changed, and reads it. */
static void check_list_refused(const struct mf_model_tensors *list,
                               const char *sentence)
{
    const char *folder = mf_test_tmpdir();
    struct mf_model_spec s = mf_model_small();

    mf_model_configs(folder, &s);
    mf_model_safetensors(folder, list, s.seed);
    check_refused(folder, MF_EINVAL, sentence);
}

static struct mf_model_tensors small_list(void)
{
    struct mf_model_spec s = mf_model_small();

    return mf_model_tensors(&s);
}

MF_TEST(weights_damage, names_each_missing_tensor)
{
    struct mf_model_tensors all = small_list();

    for (size_t i = 1; i < all.n; i++) {
        struct mf_model_tensors list = small_list();
        const struct mf_model_tensor *t = &all.all[i];
        char sentence[MF_ERR_MAX], shape[48];

        (void)snprintf(shape, sizeof(shape), t->n_dims == 1 ? "%llu" : "%llu x %llu",
                       (unsigned long long)t->dim[0], (unsigned long long)t->dim[1]);
        (void)snprintf(sentence, sizeof(sentence),
                       "model.safetensors: tensor %s is missing (%s was expected)",
                       t->name, shape);
        mf_model_tensor_remove(&list, t->name);
        check_list_refused(&list, sentence);
        mf_model_tensors_free(&list);
    }
    mf_model_tensor_remove(&all, "embeddings.word_embeddings.weight");
    check_list_refused(&all, "model.safetensors: tensor embeddings.word_embeddings."
                             "weight is missing (also with \"bert.\", \"roberta.\", "
                             "\"mpnet.\", \"distilbert.\" before it)");
    mf_model_tensors_free(&all);
}

/* One more in the last dimension: nothing else differs. */
MF_TEST(weights_damage, names_each_tensor_of_a_wrong_shape)
{
    struct mf_model_tensors list = small_list();

    for (size_t i = 0; i < list.n; i++) {
        struct mf_model_tensor *t = &list.all[i];
        uint64_t *last = &t->dim[t->n_dims - 1];
        char sentence[MF_ERR_MAX];

        (*last)++;
        if (t->n_dims == 1) {
            (void)snprintf(sentence, sizeof(sentence),
                           "model.safetensors: tensor %s is %llu, expected %llu",
                           t->name, (unsigned long long)*last,
                           (unsigned long long)*last - 1);
        } else {
            (void)snprintf(
                sentence, sizeof(sentence),
                "model.safetensors: tensor %s is %llu x %llu, expected %llu x %llu",
                t->name, (unsigned long long)t->dim[0], (unsigned long long)*last,
                (unsigned long long)t->dim[0], (unsigned long long)*last - 1);
        }
        check_list_refused(&list, sentence);
        (*last)--;
    }
    mf_model_tensors_free(&list);
}

MF_TEST(weights_damage, names_each_tensor_of_a_type_not_computed_with)
{
    struct mf_model_tensors list = small_list();

    for (size_t i = 0; i < list.n; i++) {
        const char *dtype = list.all[i].dtype;
        char sentence[MF_ERR_MAX];

        (void)snprintf(sentence, sizeof(sentence),
                       "model.safetensors: tensor %s is I64, expected F32, F16 or BF16",
                       list.all[i].name);
        list.all[i].dtype = "I64";
        check_list_refused(&list, sentence);
        list.all[i].dtype = dtype;
    }
    mf_model_tensors_free(&list);
}

MF_TEST(weights_damage, refuses_other_numbers_of_dimensions)
{
    struct mf_model_tensors list = small_list();
    struct mf_model_tensor *t =
        mf_model_tensor(&list, "encoder.layer.1.intermediate.dense.weight");

    t->n_dims = 3;
    t->dim[2] = 1;
    check_list_refused(&list, "model.safetensors: tensor encoder.layer.1.intermediate."
                              "dense.weight is 64 x 32 x 1, expected 64 x 32");
    t->n_dims = 0;
    check_list_refused(&list, "model.safetensors: tensor encoder.layer.1.intermediate."
                              "dense.weight is a single value, expected 64 x 32");
    mf_model_tensors_free(&list);
}

MF_TEST(weights_damage, refuses_to_leave_out_a_layer)
{
    struct mf_model_spec s = mf_model_small();
    struct mf_model_tensors list;

    s.n_layers = 3;
    list = mf_model_tensors(&s);
    check_list_refused(&list,
                       "model.safetensors: tensor encoder.layer.2.attention.self."
                       "query.weight is there, but the configuration says 2 "
                       "layers");
    mf_model_tensors_free(&list);
}

MF_TEST(weights_damage, refuses_a_file_cut_off)
{
    struct mf_model_spec s = mf_model_small();
    const char *folder = mf_test_tmpdir();
    char path[PATH_MAX];
    struct stat st;

    mf_model_folder(folder, &s);
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", folder);
    MF_CHECK_OK(stat(path, &st));
    MF_CHECK_OK(truncate(path, st.st_size - 1));
    check_refused(
        folder, MF_EINVAL,
        "model.safetensors: tensor encoder.layer.1.output.LayerNorm.bias ends "
        "behind the file: the file is cut off");
    MF_CHECK_OK(truncate(path, 0));
    check_refused(folder, MF_EINVAL, "model.safetensors: 0 bytes: the file is cut off");
}

MF_TEST(weights_damage, says_what_to_do_about_weights_of_other_kinds)
{
    struct mf_model_spec s = mf_model_small();
    const char *folder = mf_test_tmpdir();

    mf_model_configs(folder, &s);
    check_refused(folder, MF_ENOTFOUND, "model.safetensors: not there");
    mf_model_text(folder, "pytorch_model.bin", "PK");
    check_refused(
        folder, MF_EINVAL,
        "pytorch_model.bin: not supported: convert it to model.safetensors, or "
        "take a revision of the model published with it");
    mf_model_text(folder, "model.safetensors.index.json", "{}");
    check_refused(folder, MF_EINVAL,
                  "model.safetensors.index.json: weights in several files are not "
                  "supported: save the model as one model.safetensors");
}

MF_TEST(weights_damage, refuses_what_is_no_model)
{
    struct mf_model_spec s = mf_model_small();
    const char *folder = mf_test_tmpdir();
    char path[PATH_MAX], sentence[PATH_MAX + 64];

    check_refused("/nowhere/at/all", MF_ENOTFOUND, "no folder or file /nowhere/at/all");
    check_refused(folder, MF_ENOTFOUND,
                  "config.json: cannot be opened: No such file or directory");
    mf_model_text(folder, "notes.txt", "x");
    (void)snprintf(path, sizeof(path), "%s/notes.txt", folder);
    (void)snprintf(sentence, sizeof(sentence),
                   "%s: neither a model's folder nor a .gguf file", path);
    check_refused(path, MF_EINVAL, sentence);

    mf_model_folder(folder, &s);
    mf_model_remove(folder, "model.safetensors");
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", folder);
    MF_CHECK_OK(mkfifo(path, 0600));
    check_refused(folder, MF_EINVAL, "model.safetensors: is no regular file");
}

MF_TEST(weights_damage, refuses_a_configuration_file_that_is_too_large)
{
    const char *folder = mf_test_tmpdir();
    char path[PATH_MAX];

    mf_model_text(folder, "config.json", "{}");
    (void)snprintf(path, sizeof(path), "%s/config.json", folder);
    MF_CHECK_OK(truncate(path, 1024 * 1024 + 1));
    check_refused(folder, MF_EINVAL,
                  "config.json: 1048577 bytes; at most 1048576 can be read");
}

MF_TEST(weights_damage, needs_the_pooling_that_the_layout_names)
{
    struct mf_model_spec s = mf_model_small();
    const char *folder = mf_test_tmpdir();

    mf_model_folder(folder, &s);
    mf_model_remove(folder, "1_Pooling/config.json");
    check_refused(folder, MF_ENOTFOUND,
                  "1_Pooling/config.json: cannot be opened: No such file or directory");
    mf_model_text(folder, "1_Pooling/config.json",
                  "{\"word_embedding_dimension\": 33, \"pooling_mode\": \"mean\"}");
    check_refused(folder, MF_EINVAL,
                  "1_Pooling/config.json: word_embedding_dimension is 33, the model's "
                  "is 32");
}
