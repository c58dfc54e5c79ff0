/* SPDX-License-Identifier: Apache-2.0 */
#include "http/request.h"

#define ARENA_BLOCK_BYTES 4096U

void mf_http_pool_init(struct mf_http_pool *p, size_t max_headers)
{
    mf_list_init(&p->idle);
    p->max_headers = max_headers;
}

static void request_free(struct mf_http_request *r)
{
    mf_buf_fini(&r->head);
    mf_buf_fini(&r->body);
    mf_buf_fini(&r->reply);
    mf_arena_fini(&r->pub.arena);
    mf_free(r);
}

void mf_http_pool_fini(struct mf_http_pool *p)
{
    struct mf_link *k;

    while ((k = mf_list_pop_head(&p->idle)) != NULL) {
        request_free(mf_container_of(k, struct mf_http_request, link));
    }
}

static struct mf_http_request *request_new(size_t max_headers)
{
    struct mf_http_request *r;
    size_t each = sizeof(r->headers[0]) + sizeof(r->names[0]);
    size_t bytes;

    if (__builtin_mul_overflow(max_headers, each, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(*r), &bytes)) {
        return NULL;
    }
    r = mf_calloc(1, bytes);
    if (r == NULL) {
        return NULL;
    }
    r->names = (struct mf_http_name *)(void *)(r->headers + max_headers);
    mf_arena_init(&r->pub.arena, ARENA_BLOCK_BYTES);
    return r;
}

struct mf_http_request *mf_http_pool_take(struct mf_http_pool *p)
{
    struct mf_link *k = mf_list_pop_head(&p->idle);
    struct mf_http_request *r = k == NULL
                                    ? request_new(p->max_headers)
                                    : mf_container_of(k, struct mf_http_request, link);

    if (r != NULL) {
        r->state = MF_HTTP_REQ_RECEIVING;
    }
    return r;
}

void mf_http_keep_small(struct mf_buf *b)
{
    if (b->cap > MF_HTTP_KEEP_BYTES || b->failed) {
        mf_buf_fini(b);
    } else {
        mf_buf_reset(b);
    }
}

static void request_clean(struct mf_http_request *r)
{
    struct mf_arena arena = r->pub.arena;

    mf_arena_reset(&arena);
    if (arena.total > MF_HTTP_KEEP_BYTES) {
        mf_arena_fini(&arena);
    }
    r->pub = (struct mf_http_req){.arena = arena};
    mf_http_keep_small(&r->head);
    mf_http_keep_small(&r->body);
    mf_http_keep_small(&r->reply);
    r->server = NULL;
    r->conn = NULL;
    r->content_length = 0;
    r->is_http10 = r->is_kept_alive = r->is_chunked = false;
    r->wants_continue = r->is_last = false;
}

void mf_http_pool_give(struct mf_http_pool *p, struct mf_http_request *r)
{
    MF_ASSERT(r->state != MF_HTTP_REQ_FREE && !mf_link_is_on(&r->link));
    if (p == NULL || p->idle.n >= MF_HTTP_POOL_MAX) {
        request_free(r);
        return;
    }
    request_clean(r);
    r->state = MF_HTTP_REQ_FREE;
    mf_list_push_head(&p->idle, &r->link);
}
