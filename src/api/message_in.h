/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message_in: the messages of a request, checked.
 *
 * Owns:    nothing; what it makes lives in the request's arena
 * Thread:  loop
 * Limits:  limits.message_bytes (413), limits.metadata_bytes (422)
 * Fails:   faults with the field
 */
#ifndef MF_API_MESSAGE_IN_H
#define MF_API_MESSAGE_IN_H

#include "api/api_priv.h"

/* The list `name` of the body, at most `max`; NULL with a fault. */
MF_LOOP const struct mf_msg *mf_messages_take(struct mf_api_req *r,
                                              const struct mf_json_at *at,
                                              const char *name, uint64_t max,
                                              size_t *n);

#endif
