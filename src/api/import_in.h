/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_in: a line of `memfuse import`, checked as POST .../messages checks its body.
 *
 *     {"user": name, "agent": name, "session": name,
 *      "messages": [{"role": .., "content": .., "id": .., "metadata": {..}}, ..]}
 *
 * agent, id and metadata may be left out.
 *
 * Owns:    nothing; what it makes lives in the arena of the faults
 * Thread:  any
 * Limits:  limits.* as of a request
 * Fails:   faults with the field
 */
#ifndef MF_API_IMPORT_IN_H
#define MF_API_IMPORT_IN_H

#include "api/json_in.h"
#include "base/str.h"
#include "conf/conf.h"
#include "engine/import.h"

/* Names and messages of the line `text`; 0, or the faults' code. */
MF_MUST MF_ANY int mf_import_line_read(struct mf_json *j, const struct mf_conf *conf,
                                       struct mf_slice text, struct mf_faults *faults,
                                       struct mf_import_line *out);

#endif
