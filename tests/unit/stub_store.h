/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stub_store: a store that only remembers what it was asked; the case answers.
 *
 * Owns:    nothing; requests stay the askers'
 * Thread:  the case's, which is the loop thread
 * Limits:  STUB_MAX requests
 * Fails:   as `submit_rc` says
 */
#ifndef MF_STUB_STORE_H
#define MF_STUB_STORE_H

#include "store/store.h"

#define STUB_MAX 64

struct stub_store {
    struct mf_store base;
    struct mf_store_req *reqs[STUB_MAX];
    size_t n;
    int submit_rc;
};

MF_LOOP void stub_open(struct stub_store *s, struct mf_loop *l);
MF_LOOP void stub_answer(struct stub_store *s, size_t i, int rc);

static inline struct mf_store_entity *stub_entity(const struct stub_store *s, size_t i)
{
    return mf_container_of(s->reqs[i], struct mf_store_entity, req);
}

static inline struct mf_store_idem_req *stub_idem(const struct stub_store *s, size_t i)
{
    return mf_container_of(s->reqs[i], struct mf_store_idem_req, req);
}

#endif
