/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: HTTP words to engine verbs: routes, JSON in and out, authentication.
 *
 * Owns:    the HTTP server, requests under way
 * Thread:  loop
 * Limits:  limits.*, server.*
 * Fails:   open: MF_EINVAL, MF_EIO with the address in the sentence
 */
#ifndef MF_API_API_H
#define MF_API_API_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "engine/engine.h"
#include "item/item.h"
#include "loop/loop.h"

struct mf_api;

/* Listens. Configuration and engine are borrowed. */
MF_MUST MF_LOOP int mf_api_open(struct mf_api **out, struct mf_loop *l,
                                const struct mf_conf *conf, struct mf_engine *engine,
                                struct mf_err *err);
MF_LOOP unsigned mf_api_port(const struct mf_api *a);
/* Stops listening; answers from now on close their connection. */
MF_LOOP void mf_api_drain(struct mf_api *a);
/* The engine is about to go: what still comes in is answered 503. */
MF_LOOP void mf_api_engine_gone(struct mf_api *a);

typedef void (*mf_api_closed_fn)(void *arg);
/* After mf_api_engine_gone: once every request has its answer on the wire (or the
 * lesser of server.write_timeout and drain.timeout passed), closes all connections;
 * then `closed`. */
MF_LOOP void mf_api_close(struct mf_api *a, mf_api_closed_fn closed, void *arg);

/* The answer of an add, for mf_engine_events.format_add. */
MF_ANY void mf_api_format_add(const struct mf_item *it, struct mf_buf *out, void *arg);

#endif
