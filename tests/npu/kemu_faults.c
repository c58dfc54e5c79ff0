/* SPDX-License-Identifier: Apache-2.0 */
#include "kemu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kemu_faults_read(struct kemu_faults *f)
{
    const char *text = getenv("MF_FAKE_XRT");

    (void)snprintf(f->words, sizeof(f->words), "%s", text == NULL ? "" : text);
}

/* What stands behind `word` where it begins one of the words, from `from` on. */
static const char *behind(const char *from, const char *word)
{
    size_t n = strlen(word);

    while (from != NULL && strncmp(from, word, n) != 0) {
        from = strchr(from, ',');
        from = from == NULL ? NULL : from + 1;
    }
    return from == NULL ? NULL : from + n;
}

/* `at` stands behind a word: at its end, or at "@N", "@N+". */
static bool is_of(const char *at, uint64_t nth)
{
    char *end;
    uint64_t n;

    if (*at != '@') {
        return *at == '\0' || *at == ',';
    }
    n = strtoull(at + 1, &end, 10);
    return n == nth || (*end == '+' && n < nth);
}

bool kemu_faults_has(const struct kemu_faults *f, const char *word, uint64_t nth)
{
    const char *at = behind(f->words, word);

    return at != NULL && is_of(at, nth);
}

uint64_t kemu_faults_number(const struct kemu_faults *f, const char *word)
{
    const char *p = behind(f->words, word);

    return p == NULL || *p != '=' ? 0 : strtoull(p + 1, NULL, 10);
}
