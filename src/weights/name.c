/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/name.h"

#include "base/str.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define REVISION_DIGITS 40U

/* Takes the last part off the path. */
static struct mf_slice pop_part(struct mf_slice *path)
{
    size_t n;

    while (path->n > 0 && path->p[path->n - 1] == '/') {
        path->n--;
    }
    n = path->n;
    while (path->n > 0 && path->p[path->n - 1] != '/') {
        path->n--;
    }
    return mf_slice_of(path->p + path->n, n - path->n);
}

static bool is_revision(struct mf_slice part)
{
    for (size_t i = 0; i < part.n; i++) {
        if (strchr("0123456789abcdef", part.p[i]) == NULL) {
            return false;
        }
    }
    return part.n == REVISION_DIGITS;
}

static bool says_nothing(struct mf_slice part)
{
    return part.n == 0 || mf_slice_is(part, ".") || mf_slice_is(part, "..") ||
           mf_slice_is(part, "model") || is_revision(part);
}

/* "models--ORG--NAME" -> "NAME"; empty when it is not written so. */
static struct mf_slice repository_name(struct mf_slice part)
{
    static const char head[] = "models--";
    size_t at = part.n;

    if (part.n < sizeof(head) || memcmp(part.p, head, sizeof(head) - 1) != 0) {
        return MF_SLICE("");
    }
    while (part.p[at - 1] != '-' || part.p[at - 2] != '-') {
        at--;
    }
    return mf_slice_of(part.p + at, part.n - at);
}

/* A name goes into logs and answers: one line of it. */
static void put(char *out, size_t cap, struct mf_slice name)
{
    size_t n = mf_min(name.n, cap - 1);

    (void)snprintf(out, cap, "%.*s", (int)n, n == 0 ? "" : name.p);
    for (char *c = out; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '_';
        }
    }
}

void mf_name_of_folder(char *out, size_t cap, const char *path, const char *published)
{
    char real[PATH_MAX];
    struct mf_slice rest = mf_slice_str(realpath(path, real) == NULL ? path : real);
    struct mf_slice name = pop_part(&rest);

    if (is_revision(name) && mf_slice_is(pop_part(&rest), "snapshots")) {
        name = repository_name(pop_part(&rest));
    }
    if (says_nothing(name) && *published != '\0') {
        name = mf_slice_str(published);
    }
    put(out, cap, says_nothing(name) ? MF_SLICE("model") : name);
}

void mf_name_of_gguf(char *out, size_t cap, const char *path, const char *published)
{
    struct mf_slice rest = mf_slice_str(path), name = pop_part(&rest);

    name.n -= sizeof(".gguf") - 1;
    put(out, cap, *published != '\0' ? mf_slice_str(published) : name);
}
