/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: yyjson with memory of the seam.
 *
 * Owns:    nothing; the document is the caller's
 * Thread:  any
 * Limits:  the caller's, in bytes
 * Fails:   NULL
 */
#ifndef MF_HUB_JSON_H
#define MF_HUB_JSON_H

#include "base/base.h"
#include "base/str.h"

#include <yyjson.h>

/* NULL when it is no JSON or memory ends: `is_nomem` tells. yyjson_doc_free() ends it.
 */
MF_ANY yyjson_doc *mf_hub_json_read(struct mf_slice text, bool *is_nomem);

#endif
