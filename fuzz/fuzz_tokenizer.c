/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a text: pieces lie inside it and begin where characters do; a bound
 * gives the beginning or the end of the whole, and the count is that of the whole. The
 * first byte chooses the tokenizer and the bound, or says that the rest is a
 * tokenizer.json, which may be refused but not crash; one that opens encodes.
 */
#include "base/mem.h"
#include "tokenizer/normalise.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_TOKENIZERS 4
#define IS_FILE      0x80

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];

static void write_file(const char *text, size_t n)
{
    char path[96];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/tokenizer.json", folder);
    f = fopen(path, "wb");
    MF_ASSERT(f != NULL && fwrite(text, 1, n, f) == n);
    MF_ASSERT(fclose(f) == 0);
}

static void remove_folder(void)
{
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/tokenizer.json", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

/* With and without cleaning, accents and tokens looked for in the normalised text. */
static struct mf_tokenizer *make(unsigned i)
{
    struct mf_tokenizer *t = NULL;
    struct mf_err err;
    char text[2048];
    const char *off = (i & 1) != 0 ? "false" : "true";
    const char *token_flag = (i & 2) != 0 ? "true" : "false";
    int n = snprintf(
        text, sizeof(text),
        "{\"added_tokens\":["
        "{\"id\":2,\"content\":\"[S]\",\"normalized\":false,\"rstrip\":%s},"
        "{\"id\":3,\"content\":\"X\",\"normalized\":%s,\"lstrip\":true},"
        "{\"id\":4,\"content\":\"\\u4e2d\",\"normalized\":%s,\"rstrip\":true}],"
        "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":%s,"
        "\"handle_chinese_chars\":true,\"strip_accents\":%s,\"lowercase\":true},"
        "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
        "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"\",0],"
        "\"sep\":[\"\",1]},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\","
        "\"max_input_chars_per_word\":20,\"vocab\":{\"c\":0,\"s\":1,\"?\":5,\"a\":6,"
        "\"##a\":7,\"ab\":8,\"##b\":9,\".\":10,\"\\u1112\":11,\"##\\u1161\":12,"
        "\"\\u6587\":13,\"##\\u302e\":14,\"##\\u4e2d\":15}}}",
        token_flag, token_flag, token_flag, off, off);

    write_file(text, (size_t)n);
    MF_ASSERT(mf_tokenizer_open(&t, folder, &err) == 0);
    return t;
}

static bool is_valid(struct mf_slice text)
{
    uint32_t cp;

    for (size_t at = 0; at < text.n;) {
        size_t n = mf_norm_decode(text, at, &cp);

        if (cp == 0xFFFD) { /* or what stands for damage */
            return false;
        }
        at += n;
    }
    return true;
}

static void check_offsets(struct mf_slice text, const struct mf_pieces *p)
{
    bool valid = is_valid(text);

    for (size_t i = 0; i < p->n; i++) {
        size_t at = p->start[i];

        MF_ASSERT(at <= p->end[i] && p->end[i] <= text.n);
        MF_ASSERT(!valid || at == text.n || ((unsigned char)text.p[at] & 0xC0) != 0x80);
    }
}

/* The same text with `cap` pieces: they are those at `skip` of the whole. */
static void check_bound(const struct mf_tokenizer *t, struct mf_slice text,
                        const struct mf_pieces *whole, unsigned flags, size_t cap)
{
    uint32_t ids[128];
    struct mf_pieces p = {.id = ids, .cap = cap};
    size_t n = mf_tokenizer_encode(t, text, flags, &p);
    size_t kept = mf_min(cap, whole->n);
    size_t skip = (flags & MF_ENCODE_LEFT) != 0 ? whole->n - kept : 0;

    MF_ASSERT(p.n == kept && p.n_bytes <= text.n);
    MF_ASSERT(n ==
              ((flags & MF_ENCODE_COUNT) != 0 ? whole->n : kept + (whole->n > kept)));
    MF_ASSERT(kept == 0 || memcmp(ids, whole->id + skip, kept * sizeof(*ids)) == 0);
}

static void check_text(const struct mf_tokenizer *t, struct mf_slice text, size_t cap)
{
    size_t n = mf_tokenizer_offsets(t, text, NULL, 0);
    uint32_t *all = mf_array(3 * n + 1, sizeof(*all));
    struct mf_pieces whole = {
        .id = all, .start = all + n, .end = all + 2 * n, .cap = n};

    MF_ASSERT(mf_tokenizer_encode(t, text, 0, &whole) == n && whole.n == n);
    MF_ASSERT(whole.n_bytes == text.n);
    for (size_t i = 0; i < n; i++) {
        MF_ASSERT(all[i] < mf_tokenizer_info(t)->n_vocab);
    }
    check_offsets(text, &whole);
    check_bound(t, text, &whole, 0, cap);
    check_bound(t, text, &whole, MF_ENCODE_COUNT, cap);
    check_bound(t, text, &whole, MF_ENCODE_LEFT, cap);
    check_bound(t, text, &whole, MF_ENCODE_LEFT | MF_ENCODE_COUNT, cap);
    mf_free(all);
}

static void check_file(const char *text, size_t n)
{
    struct mf_tokenizer *t = NULL;
    struct mf_err err;
    int rc;

    write_file(text, n);
    rc = mf_tokenizer_open(&t, folder, &err);
    MF_ASSERT(rc == 0 || (rc == MF_EINVAL && t == NULL && err.msg[0] != '\0'));
    if (rc == 0) {
        check_text(t, MF_SLICE("playing [SEP] caf\u00e9 \u4e2d."), 3);
        mf_tokenizer_close(t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mf_tokenizer *all[N_TOKENIZERS];
    struct mf_slice text = {(const char *)data + 1, size - 1};

    if (all[0] == NULL) {
        (void)snprintf(folder, sizeof(folder), "/tmp/fuzz-tokenizer-XXXXXX");
        MF_ASSERT(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
        for (unsigned i = 0; i < N_TOKENIZERS; i++) {
            all[i] = make(i);
        }
    }
    if (size == 0) {
        return 0;
    }
    if ((data[0] & IS_FILE) != 0) {
        check_file(text.p, text.n);
    } else {
        check_text(all[data[0] % N_TOKENIZERS], text, data[0]);
    }
    return 0;
}
