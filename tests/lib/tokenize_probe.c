/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenize_probe FOLDER: encodes texts for comparison with another library. Each on
 * stdin is "flags cap n_bytes\n" and the bytes; each answer is 32-bit words: what
 * mf_tokenizer_encode returned, n_bytes, n, then n times id, start, end.
 */
#include "base/mem.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>

static int write_words(const uint32_t *words, size_t n)
{
    return fwrite(words, sizeof(*words), n, stdout) == n ? 0 : -1;
}

static int answer(const struct mf_tokenizer *t, struct mf_slice text, unsigned flags,
                  size_t cap)
{
    uint32_t *all = mf_array(cap * 3 + 1, sizeof(*all)), head[3];
    struct mf_pieces p = {.id = all, .cap = cap};
    int rc = 0;

    if (all == NULL) {
        return -1;
    }
    p.start = all + cap;
    p.end = all + 2 * cap;
    head[0] = (uint32_t)mf_tokenizer_encode(t, text, flags, &p);
    head[1] = (uint32_t)p.n_bytes;
    head[2] = (uint32_t)p.n;
    rc = write_words(head, 3);
    for (size_t i = 0; rc == 0 && i < p.n; i++) {
        uint32_t words[3] = {p.id[i], p.start[i], p.end[i]};

        rc = write_words(words, 3);
    }
    mf_free(all);
    return rc;
}

static int serve(const struct mf_tokenizer *t)
{
    unsigned flags;
    size_t cap, n;
    char line[80];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *text = NULL;
        int rc = -1;

        /* NOLINTNEXTLINE(cert-err34-c): the test that writes this line is ours */
        if (sscanf(line, "%u %zu %zu", &flags, &cap, &n) == 3) {
            text = mf_malloc(n + 1);
        }
        if (text != NULL && fread(text, 1, n, stdin) == n) {
            rc = answer(t, mf_slice_of(text, n), flags, cap);
        }
        mf_free(text);
        if (rc < 0) {
            return 1;
        }
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct mf_tokenizer *t;
    struct mf_err err;
    int rc;

    if (argc != 2 || mf_tokenizer_open(&t, argv[1], &err) < 0) {
        (void)fprintf(stderr, "tokenize_probe: %s\n",
                      argc != 2 ? "which folder?" : err.msg);
        return 2;
    }
    rc = serve(t);
    mf_tokenizer_close(t);
    return rc;
}
