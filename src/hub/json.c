/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/json.h"

#include "jdoc/jdoc.h"

yyjson_doc *mf_hub_json_read(struct mf_slice text, bool *is_nomem)
{
    yyjson_read_err why = {0};
    yyjson_doc *doc;

    /* Without YYJSON_READ_INSITU the text is only read; the type forgot to say so. */
    doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, 0, &mf_jdoc_memory, &why);
    *is_nomem = doc == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION;
    return doc;
}
