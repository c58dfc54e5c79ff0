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

bool kemu_faults_has(const struct kemu_faults *f, const char *word, uint64_t nth)
{
    for (const char *p = behind(f->words, word); p != NULL; p = behind(p, word)) {
        if (*p == '\0' || *p == ',' ||
            (*p == '@' && strtoull(p + 1, NULL, 10) == nth)) {
            return true;
        }
    }
    return false;
}

uint64_t kemu_faults_number(const struct kemu_faults *f, const char *word)
{
    const char *p = behind(f->words, word);

    return p == NULL || *p != '=' ? 0 : strtoull(p + 1, NULL, 10);
}
