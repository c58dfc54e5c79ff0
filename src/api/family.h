/* SPDX-License-Identifier: Apache-2.0 */
/*
 * family: whose words a path speaks, and how each of them says that something is wrong.
 *
 *   native   /api/v1/..               the envelope
 *   OpenAI   /v1/.., /embeddings      {"error":{"message","type","param","code"}}
 *   TEI      /embed, /info, ..        {"error","error_type"}
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   as the buffer does
 */
#ifndef MF_API_FAMILY_H
#define MF_API_FAMILY_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

enum mf_family { MF_FAMILY_NATIVE, MF_FAMILY_OPENAI, MF_FAMILY_TEI };

MF_ANY enum mf_family mf_family_of(struct mf_slice path);
/* The status of a code (enum mf_code) in this family. */
MF_ANY int mf_family_status(enum mf_family f, int code);
/* Not for MF_FAMILY_NATIVE: see envelope.h. */
MF_ANY void mf_family_error(struct mf_buf *b, enum mf_family f, int status,
                            const char *field, const char *message);

/* Answers that must be there without memory, and before a body is read. */
MF_ANY struct mf_slice mf_family_no_memory(enum mf_family f);
MF_ANY struct mf_slice mf_family_no_key(enum mf_family f);

#endif
