/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cutting text into pieces costs: million pieces and megabytes a second of CPU
 * time on one thread, ids alone and with offsets; the median of several rounds.
 *
 *   bench_tokenize [FOLDER [TEXT]]
 *
 * FOLDER holds a tokenizer, TEXT has one text a line. Without them a small vocabulary
 * and made-up messages are taken. bench/tokenize_peer.py sets the peer library beside
 * it.
 */
#include "base/mem.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define N_ROUNDS   9
#define N_MESSAGES 20000
#define MAX_PIECES 4096

static const char *const words[] = {
    "the",         "I",         "to",      "and",         "of",          "a",
    "we",          "my",        "was",     "in",          "for",         "that",
    "yesterday",   "meeting",   "garden",  "travelling",  "museum",      "project",
    "birthday",    "keyboard",  "station", "library",     "sister",      "Lisbon",
    "cinnamon",    "bicycle",   "morning", "photographs", "unreachable", "database",
    "Z\u00fcrich", "caf\u00e9", "don't",   "2023",        "really?",     "fine."};

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

static void make_messages(struct mf_buf *text)
{
    uint32_t seed = 1;

    for (size_t i = 0; i < N_MESSAGES; i++) {
        for (size_t n = 5 + next_random(&seed) % 40; n > 0; n--) {
            mf_buf_add_str(text, words[next_random(&seed) % mf_countof(words)]);
            mf_buf_add_char(text, n == 1 ? '\n' : ' ');
        }
    }
}

static bool put_file(const char *folder, const char *name, const struct mf_buf *text)
{
    char path[128];
    FILE *f;
    bool ok;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "wb");
    ok = f != NULL && fwrite(text->p, 1, text->n, f) == text->n;
    return f != NULL && fclose(f) == 0 && ok;
}

/* Letters, their continuations, and the shorter of the words. */
static struct mf_tokenizer *open_made_up(struct mf_err *err)
{
    char folder[] = "/tmp/bench-tokenize-XXXXXX", path[128];
    static const char *const names[] = {"vocab.txt", "tokenizer_config.json"};
    struct mf_tokenizer *t = NULL;
    struct mf_buf vocab, config;

    mf_buf_init(&vocab);
    mf_buf_init(&config);
    mf_buf_add_str(&vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n.\n?\n'\n");
    for (int c = '0'; c <= 'z'; c++) {
        mf_buf_addf(&vocab, "%c\n##%c\n", c, c);
    }
    for (size_t i = 0; i < mf_countof(words); i++) {
        mf_buf_addf(&vocab, "%.6s\n", words[i]);
    }
    mf_buf_add_str(&config, "{\"do_lower_case\":true}");
    if (mkdtemp(folder) != NULL && put_file(folder, names[0], &vocab) &&
        put_file(folder, names[1], &config) && mf_tokenizer_open(&t, folder, err) < 0) {
        t = NULL;
    }
    for (size_t i = 0; i < mf_countof(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
    mf_buf_fini(&vocab);
    mf_buf_fini(&config);
    return t;
}

static bool read_file(const char *path, struct mf_buf *text)
{
    FILE *f = fopen(path, "rb");
    size_t n = 1;

    while (f != NULL && n > 0) {
        char *to = mf_buf_reserve(text, 1 << 16);

        n = to == NULL ? 0 : fread(to, 1, 1 << 16, f);
        text->n += n;
    }
    return f != NULL && fclose(f) == 0 && !text->failed;
}

static double cpu_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t encode_lines(const struct mf_tokenizer *t, const struct mf_buf *text,
                           struct mf_pieces *p)
{
    size_t n_pieces = 0;

    for (size_t at = 0; at < text->n;) {
        const char *end = memchr(text->p + at, '\n', text->n - at);
        size_t n = end == NULL ? text->n - at : (size_t)(end - text->p) - at;

        (void)mf_tokenizer_encode(t, mf_slice_of(text->p + at, n), MF_ENCODE_SPECIAL,
                                  p);
        n_pieces += p->n;
        at += n + 1;
    }
    return n_pieces;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const struct mf_tokenizer *t, const struct mf_buf *text,
                    bool with_offsets)
{
    static uint32_t id[MAX_PIECES], start[MAX_PIECES], end[MAX_PIECES];
    struct mf_pieces p = {.id = id, .cap = MAX_PIECES};
    double s[N_ROUNDS];
    size_t n = 0;

    if (with_offsets) {
        p.start = start;
        p.end = end;
    }
    for (size_t i = 0; i < N_ROUNDS; i++) {
        s[i] = cpu_s();
        n = encode_lines(t, text, &p);
        s[i] = cpu_s() - s[i];
    }
    qsort(s, N_ROUNDS, sizeof(s[0]), by_value);
    (void)printf("%-12s %6.2f M pieces/s, %6.1f MB/s (%zu pieces, best %.2f M/s)\n",
                 with_offsets ? "with offsets" : "ids",
                 (double)n / s[N_ROUNDS / 2] / 1e6,
                 (double)text->n / s[N_ROUNDS / 2] / 1e6, n, (double)n / s[0] / 1e6);
}

int main(int argc, char **argv)
{
    struct mf_tokenizer *t = NULL;
    struct mf_buf text;
    struct mf_err err = {0};
    double load[3] = {0};
    int rc = 1;

    mf_buf_init(&text);
    if (argc < 2) {
        t = open_made_up(&err);
    } else if (mf_tokenizer_open(&t, argv[1], &err) < 0) {
        t = NULL;
    }
    if (argc < 3) {
        make_messages(&text);
    }
    if (t == NULL || (argc > 2 && !read_file(argv[2], &text))) {
        (void)fprintf(stderr, "bench_tokenize: %s\n",
                      t == NULL ? err.msg : "the text is not readable");
    } else {
        measure(t, &text, false);
        measure(t, &text, true);
        rc = 0;
    }
    if (getloadavg(load, 3) == 3) {
        (void)printf("load average %.2f %.2f %.2f\n", load[0], load[1], load[2]);
    }
    mf_buf_fini(&text);
    mf_tokenizer_close(t);
    return rc;
}
