/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse model list, info. */
#include "api/json_out.h"
#include "embed/model.h"
#include "hub/folder.h"
#include "main/commands.h"
#include "main/model_commands.h"
#include "main/words.h"
#include "weights/weights.h"

#include <stdio.h>

#define MIB (1024.0 * 1024)

/* ---- list ---- */

static int show_line(void *arg, const struct mf_hub_folder *f)
{
    size_t *n = arg;
    char dim[16] = "?";

    if ((*n)++ == 0) {
        (void)printf("%-32s %6s %11s  %s\n", "name", "dims", "size", "revision");
    }
    if (f->dim > 0) {
        (void)snprintf(dim, sizeof(dim), "%u", f->dim);
    }
    (void)printf("%-32s %6s %7.1f MiB  %.12s\n", f->name, dim, (double)f->bytes / MIB,
                 f->revision[0] != '\0' ? f->revision : "-");
    return 0;
}

int mf_cmd_model_list(int argc, char **argv)
{
    const char *dir = MF_HUB_MODELS;
    const struct mf_word words[] = {{"--dir", &dir, NULL}};
    int rc = mf_take_words(argc, argv, words, mf_countof(words), NULL);
    struct mf_err err = {0};
    size_t n = 0;

    if (rc != 0) {
        return rc;
    }
    rc = mf_hub_list(dir, show_line, &n, &err);
    if (rc < 0) {
        return mf_say_failed(&err, rc);
    }
    if (n == 0) {
        (void)printf("no models in %s\n", dir);
    }
    return fflush(stdout) == 0 ? MF_EXIT_OK : MF_EXIT_FAILED;
}

/* ---- info ---- */

/* The same rows as lines or as one JSON object. */
struct sheet {
    struct mf_buf out;
    bool as_json;
    size_t n_rows;
};

static void begin_row(struct sheet *s, const char *name)
{
    if (s->as_json) {
        mf_buf_add_str(&s->out, s->n_rows == 0 ? "{" : ", ");
        mf_json_put_str(&s->out, name);
        mf_buf_add_str(&s->out, ": ");
    } else {
        mf_buf_addf(&s->out, "%s%-16s", s->n_rows == 0 ? "" : "\n", name);
    }
    s->n_rows++;
}

static void put_text(struct sheet *s, const char *name, const char *text)
{
    begin_row(s, name);
    if (s->as_json) {
        mf_json_put_str(&s->out, text);
    } else {
        mf_buf_add_str(&s->out, text);
    }
}

static void put_number(struct sheet *s, const char *name, uint64_t v)
{
    begin_row(s, name);
    mf_buf_add_u64(&s->out, v);
}

static void put_real(struct sheet *s, const char *name, double v)
{
    begin_row(s, name);
    mf_json_put_real(&s->out, v);
}

static void put_bool(struct sheet *s, const char *name, bool v)
{
    begin_row(s, name);
    mf_json_put_bool(&s->out, v);
}

static void put_prompts(struct sheet *s, const struct mf_weights_info *i)
{
    if (i->n_prompts == 0) {
        return;
    }
    begin_row(s, "prompts");
    mf_buf_add_char(&s->out, '{');
    for (size_t k = 0; k < i->n_prompts; k++) {
        mf_buf_add_str(&s->out, k == 0 ? "" : ", ");
        mf_json_put_str(&s->out, i->prompts[k].name);
        mf_buf_add_str(&s->out, ": ");
        mf_json_put_str(&s->out, i->prompts[k].text);
    }
    mf_buf_add_char(&s->out, '}');
    if (i->default_prompt != NULL) {
        put_text(s, "default_prompt", i->default_prompt);
    }
}

static const char *arch_name(enum mf_arch arch)
{
    switch (arch) {
    case MF_ARCH_BERT: return "bert";
    case MF_ARCH_DISTILBERT: return "distilbert";
    case MF_ARCH_MPNET: return "mpnet";
    case MF_ARCH_ROBERTA: return "roberta";
    }
    return "?";
}

static const char *activation_name(enum mf_activation a)
{
    switch (a) {
    case MF_ACT_GELU: return "gelu";
    case MF_ACT_GELU_TANH: return "gelu_tanh";
    case MF_ACT_RELU: return "relu";
    }
    return "?";
}

static void put_weights(struct sheet *s, const struct mf_weights_info *i)
{
    put_text(s, "name", i->name);
    put_text(s, "architecture", arch_name(i->arch));
    put_number(s, "layers", i->n_layers);
    put_number(s, "dims", i->hidden);
    put_number(s, "heads", i->n_heads);
    put_number(s, "ffn", i->ffn);
    put_text(s, "activation", activation_name(i->activation));
    put_number(s, "vocabulary", i->n_vocab);
    put_number(s, "window", i->window);
    put_text(s, "pooling", mf_pooling_name(i->pooling));
    put_bool(s, "normalise", i->normalise);
    put_text(s, "dtype", mf_dtype_name(i->dtype));
    put_text(s, "revision", i->revision);
    put_prompts(s, i);
}

/* As the service would: it chooses the kernels and measures their quality. */
static int put_opened(struct sheet *s, const char *path, struct mf_err *err)
{
    struct mf_model_options opt = {.model = path, .precision = "auto"};
    struct mf_model *m = NULL;
    int rc = mf_model_open(&m, &opt, err);

    if (rc < 0) {
        return rc;
    }
    put_text(s, "precision", m->info.precision);
    put_text(s, "kernel", m->info.kernel);
    put_real(s, "guard_min", (double)m->info.guard_min);
    put_real(s, "guard_mean", (double)m->info.guard_mean);
    put_text(s, "space", m->info.space);
    mf_model_close(m);
    return 0;
}

static int show_info(struct sheet *s, const char *path, bool is_opened,
                     struct mf_err *err)
{
    struct mf_weights *w = NULL;
    int rc = mf_weights_open(&w, path, err);

    if (rc < 0) {
        return rc;
    }
    put_weights(s, mf_weights_info(w));
    mf_weights_close(w);
    if (is_opened) {
        rc = put_opened(s, path, err);
    }
    mf_buf_add_str(&s->out, s->as_json ? "}\n" : "\n");
    return rc < 0 ? rc : mf_buf_status(&s->out);
}

int mf_cmd_model_info(int argc, char **argv)
{
    struct sheet s = {.n_rows = 0};
    const char *path = NULL;
    bool is_opened = false;
    const struct mf_word words[] = {{"--json", NULL, &s.as_json},
                                    {"--open", NULL, &is_opened}};
    struct mf_err err = {0};
    int rc = mf_take_words(argc, argv, words, mf_countof(words), &path);

    if (rc != 0) {
        return rc;
    }
    mf_buf_init(&s.out);
    rc = show_info(&s, path, is_opened, &err);
    if (rc == 0) {
        (void)fwrite(s.out.p, 1, s.out.n, stdout);
    }
    mf_buf_fini(&s.out);
    if (rc < 0) {
        return mf_say_failed(&err, rc);
    }
    return fflush(stdout) == 0 ? MF_EXIT_OK : MF_EXIT_FAILED;
}
