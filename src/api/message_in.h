/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message_in: the messages of a request, and names, checked.
 *
 * Owns:    nothing; what it makes lives in the arena of the faults, the request's
 * Thread:  any
 * Limits:  limits.message_bytes (413), limits.metadata_bytes, limits.name_bytes (422)
 * Fails:   faults with the field
 */
#ifndef MF_API_MESSAGE_IN_H
#define MF_API_MESSAGE_IN_H

#include "api/json_in.h"
#include "conf/conf.h"
#include "item/item.h"

/* The list `name` of the body, at most `max`; NULL with a fault. */
MF_ANY const struct mf_msg *mf_messages_take(const struct mf_conf *conf,
                                             const struct mf_json_at *at,
                                             const char *name, uint64_t max, size_t *n);
/* A name of a user, agent or session in field `key`, checked. */
MF_ANY void mf_name_check(const struct mf_conf *conf, const struct mf_json_at *at,
                          const char *key, struct mf_slice name);

#endif
