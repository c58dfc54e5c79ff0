/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_probe MODEL PRECISION: vectors of texts for comparison. Each text on stdin is
 * "n_bytes\n" and the bytes. Answers a line "dim precision kernel guard_min", then for
 * each text two 32-bit words, rc and how many pieces were read, and dim floats.
 */
#include "base/mem.h"
#include "embed/model.h"

#include <stdio.h>

#define BATCH 32

struct batch {
    struct mf_text text[BATCH];
    struct mf_text_result res[BATCH];
    size_t n;
    float *out; /* BATCH x dim */
};

static int batch_run(struct batch *b, struct mf_model *m)
{
    size_t dim = m->info.dim;
    int rc = b->n == 0 ? 0 : m->ops->embed(m, b->text, b->n, b->out, b->res);

    for (size_t i = 0; i < b->n; i++) {
        int32_t head[2] = {b->res[i].rc, (int32_t)b->res[i].n_tokens};

        if (rc == 0 && (fwrite(head, sizeof(head), 1, stdout) != 1 ||
                        fwrite(b->out + i * dim, sizeof(float), dim, stdout) != dim)) {
            rc = MF_EIO;
        }
        mf_free((char *)(uintptr_t)b->text[i].text.p);
    }
    b->n = 0;
    return rc;
}

/* 1: a text; 0: no more; negative: damaged input or no memory */
static int batch_read(struct batch *b)
{
    char line[32];
    char *text;
    size_t n;

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 0;
    }
    /* NOLINTNEXTLINE(cert-err34-c): the test that writes this line is ours */
    if (sscanf(line, "%zu", &n) != 1) {
        return MF_EINVAL;
    }
    text = mf_malloc(n + 1);
    if (text == NULL || fread(text, 1, n, stdin) != n) {
        mf_free(text);
        return MF_EIO;
    }
    b->text[b->n++] = (struct mf_text){.text = mf_slice_of(text, n)};
    return 1;
}

static int serve(struct mf_model *m)
{
    struct batch b = {.n = 0};
    int rc;
    int failed = 0;

    b.out = mf_array(BATCH * (size_t)m->info.dim, sizeof(*b.out));
    if (b.out == NULL) {
        return MF_ENOMEM;
    }
    (void)printf("%u %s %s %.6f\n", (unsigned)m->info.dim, m->info.precision,
                 m->info.kernel, (double)m->info.guard_min);
    do {
        rc = batch_read(&b);
        if (failed == 0 && (rc <= 0 || b.n == BATCH)) {
            failed = batch_run(&b, m);
        }
    } while (rc > 0 && failed == 0);
    mf_free(b.out);
    return failed != 0 ? failed : rc;
}

int main(int argc, char **argv)
{
    struct mf_model_options opt;
    struct mf_model *m;
    struct mf_err err;
    int rc;

    if (argc != 3) {
        (void)fprintf(stderr, "embed_probe MODEL PRECISION\n");
        return 2;
    }
    opt = (struct mf_model_options){.model = argv[1], .precision = argv[2]};
    if (mf_model_open(&m, &opt, &err) < 0) {
        (void)fprintf(stderr, "embed_probe: %s\n", err.msg);
        return 1;
    }
    rc = serve(m);
    mf_model_close(m);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}
