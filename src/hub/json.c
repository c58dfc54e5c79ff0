/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/json.h"

#include "base/mem.h"

static void *json_malloc(MF_UNUSED void *ctx, size_t n)
{
    return mf_malloc(n);
}

static void *json_realloc(MF_UNUSED void *ctx, void *p, MF_UNUSED size_t old, size_t n)
{
    return mf_realloc(p, n);
}

static void json_free(MF_UNUSED void *ctx, void *p)
{
    mf_free(p);
}

yyjson_doc *mf_hub_json_read(struct mf_slice text, bool *is_nomem)
{
    static const yyjson_alc alc = {json_malloc, json_realloc, json_free, NULL};
    yyjson_read_err why = {0};
    yyjson_doc *doc;

    /* Without YYJSON_READ_INSITU the text is only read; the type forgot to say so. */
    doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, 0, &alc, &why);
    *is_nomem = doc == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION;
    return doc;
}
