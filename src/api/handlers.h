/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handlers: what the routes do; see mf_handler_fn in route.h and api_priv.h.
 *
 * Owns:    nothing
 * Thread:  loop
 * Limits:  limits.*
 * Fails:   a negative code: answered by the caller
 */
#ifndef MF_API_HANDLERS_H
#define MF_API_HANDLERS_H

#include "base/base.h"
#include "base/str.h"

struct mf_api;
struct mf_engine_device;
struct mf_engine_figures;
struct mf_api_req;

MF_LOOP int mf_handle_health(struct mf_api_req *r);
/* What of the health answer never changes. */
MF_LOOP void mf_health_prepare(struct mf_api *a);
/* ,"store":{..} */
MF_ANY void mf_health_put_store(struct mf_buf *out, const struct mf_engine_figures *f);
/* What computes the model's products: ,"device":{..} */
MF_ANY void mf_health_put_device(struct mf_buf *out, const struct mf_engine_device *d);

/* users, agents, sessions: the route's kind */
MF_LOOP int mf_handle_entity_list(struct mf_api_req *r);
MF_LOOP int mf_handle_entity_get(struct mf_api_req *r);
MF_LOOP int mf_handle_entity_create(struct mf_api_req *r);
MF_LOOP int mf_handle_entity_update(struct mf_api_req *r);
MF_LOOP int mf_handle_entity_delete(struct mf_api_req *r);

MF_LOOP int mf_handle_messages_add(struct mf_api_req *r);
MF_LOOP int mf_handle_messages_list(struct mf_api_req *r);
MF_LOOP int mf_handle_messages_read(struct mf_api_req *r);
MF_LOOP int mf_handle_messages_update(struct mf_api_req *r);
MF_LOOP int mf_handle_messages_delete(struct mf_api_req *r);

MF_LOOP int mf_handle_query(struct mf_api_req *r);

MF_LOOP int mf_handle_knowledge_list(struct mf_api_req *r);
MF_LOOP int mf_handle_knowledge_add(struct mf_api_req *r);
MF_LOOP int mf_handle_knowledge_read(struct mf_api_req *r);
MF_LOOP int mf_handle_knowledge_update(struct mf_api_req *r);
MF_LOOP int mf_handle_knowledge_delete(struct mf_api_req *r);

MF_LOOP int mf_handle_keys_list(struct mf_api_req *r);
MF_LOOP int mf_handle_keys_create(struct mf_api_req *r);
MF_LOOP int mf_handle_keys_delete(struct mf_api_req *r);

MF_LOOP int mf_handle_buffer_stats(struct mf_api_req *r);
MF_LOOP int mf_handle_buffer_flush(struct mf_api_req *r);
MF_LOOP int mf_handle_buffer_requeue(struct mf_api_req *r);

MF_LOOP int mf_handle_embed_stats(struct mf_api_req *r);
MF_LOOP int mf_handle_embed_reset(struct mf_api_req *r);
MF_LOOP int mf_handle_embed_clear(struct mf_api_req *r);

/* OpenAI's */
MF_LOOP int mf_handle_openai_embeddings(struct mf_api_req *r);
MF_LOOP int mf_handle_openai_models(struct mf_api_req *r);
MF_LOOP int mf_handle_openai_model(struct mf_api_req *r);

/* those of text-embeddings-inference */
MF_LOOP int mf_handle_tei_embed(struct mf_api_req *r);
MF_LOOP int mf_handle_tei_embed_all(struct mf_api_req *r);
MF_LOOP int mf_handle_tei_tokenize(struct mf_api_req *r);
MF_LOOP int mf_handle_tei_info(struct mf_api_req *r);
MF_LOOP int mf_handle_tei_health(struct mf_api_req *r);

#endif
