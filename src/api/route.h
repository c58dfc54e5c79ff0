/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route: method and path to handler: one table for each family. A path may end in one
 * slash. Native paths stand behind /api/v1, those of other families at the root.
 *
 * Owns:    the tables (constant)
 * Thread:  any for the search
 * Limits:  MF_ROUTE_SEGMENTS parts of a path, MF_ROUTE_IDS ids in it
 * Fails:   MF_ENOTFOUND: no such path; MF_EINVAL: the path is there, the method is not;
 *          MF_ENOMEM
 */
#ifndef MF_API_ROUTE_H
#define MF_API_ROUTE_H

#include "api/family.h"
#include "base/base.h"
#include "base/err.h"
#include "engine/engine.h"
#include "http/http.h"

#define MF_ROUTE_SEGMENTS 4
#define MF_ROUTE_IDS      2

struct mf_api_req;
typedef int (*mf_handler_fn)(struct mf_api_req *r);

enum mf_route_flag {
    MF_ROUTE_OPEN = 1,    /* never asks for a key */
    MF_ROUTE_CREATES = 2, /* takes an Idempotency-Key */
    MF_ROUTE_ADMIN = 4    /* the administrator's, when keys are asked for */
};

struct mf_route {
    enum mf_http_method method;
    const char *segments[MF_ROUTE_SEGMENTS]; /* "*" is an id */
    mf_handler_fn run;
    enum mf_entity_kind kind; /* what the first id is, and what entity handlers do */
    unsigned flags;           /* enum mf_route_flag */
};

struct mf_route_table {
    const struct mf_route *rows;
    size_t n;
};

/* route_others.c */
MF_ANY struct mf_route_table mf_routes_openai(void);
MF_ANY struct mf_route_table mf_routes_tei(void);

struct mf_route_match {
    const struct mf_route *route;
    struct mf_slice ids[MF_ROUTE_IDS]; /* decoded */
    unsigned methods;                  /* on MF_EINVAL: bits 1 << method */
};

/* HEAD is GET without a body. */
MF_MUST MF_ANY int mf_route_find(struct mf_arena *a, enum mf_http_method method,
                                 struct mf_slice path, struct mf_route_match *out);
/* "Allow: GET, HEAD, POST\r\n" */
MF_ANY void mf_route_allow(unsigned methods, struct mf_buf *out);
/* Row i of the native table, NULL behind its end. */
MF_ANY const struct mf_route *mf_route_at(size_t i);

#endif
