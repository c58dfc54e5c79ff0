/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope: the five keys around every answer: status, code, data, message, errors.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  none
 * Fails:   as the buffer does
 */
#ifndef MF_API_ENVELOPE_H
#define MF_API_ENVELOPE_H

#include "api/json_in.h"
#include "base/base.h"
#include "base/str.h"

#define MF_JSON_TYPE "application/json"

/* The data is written between the two. */
MF_ANY void mf_envelope_begin(struct mf_buf *b, int status);
MF_ANY void mf_envelope_end(struct mf_buf *b, const char *message);
/* `field` NULL: "general". */
MF_ANY void mf_envelope_error(struct mf_buf *b, int status, const char *field,
                              const char *message);
/* The same with another sentence for the whole. */
MF_ANY void mf_envelope_error_as(struct mf_buf *b, int status, const char *message,
                                 const char *field, struct mf_slice sentence);
/* No such path, or no such method: the framework's {"detail": ...} and ours in one. */
MF_ANY void mf_envelope_detail(struct mf_buf *b, int status, const char *detail);
/* {"detail":[{type, loc, msg}]} and the envelope in one. */
MF_ANY void mf_envelope_faults(struct mf_buf *b, int status, const struct mf_faults *f);
/* Seconds for Retry-After, a little at random so that clients do not come back at once;
 * 0: not a status that passes by itself. */
MF_ANY unsigned mf_retry_after(int status);

#endif
