/* SPDX-License-Identifier: Apache-2.0 */
#include "api/vectors.h"

#include "api/api_priv.h"
#include "api/vec_out.h"
#include "base/log.h"
#include "item/utf8.h"

#include <inttypes.h>

#define MAX_WRITES  4096 /* in line */
#define LOOK_MS     25
#define HEADERS_MAX 512
#define NS_PER_MS   1000000u
#define MS_PER_S    1000u

/* ---- the answer ---- */

MF_LOOP static void free_results(struct mf_api_embed *e)
{
    for (size_t i = 0; e->looks != NULL && i < e->wish.n; i++) {
        mf_free(e->looks[i].k.pieces);
        mf_free(e->looks[i].k.states);
    }
    mf_free(e->vectors);
    mf_free(e->n_tokens);
    mf_buf_fini(&e->out);
}

static size_t count_characters(const struct mf_embed_wish *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n; i++) {
        for (size_t k = 0; k < w->texts[i].n; k++) {
            n += ((unsigned char)w->texts[i].p[k] & 0xC0) != 0x80;
        }
    }
    return n;
}

/* Waiting and cutting into pieces are not told apart from the model's own time. */
static void fill_headers(const struct mf_api_embed *e, char out[HEADERS_MAX])
{
    uint64_t total_ms = (uv_hrtime() - e->r->started_ns) / NS_PER_MS;

    (void)snprintf(out, HEADERS_MAX,
                   "x-compute-type: cpu\r\nx-compute-time: %" PRIu64
                   "\r\nx-compute-characters: %zu\r\nx-compute-tokens: %" PRIu64
                   "\r\nx-total-time: %" PRIu64
                   "\r\nx-tokenization-time: 0\r\nx-queue-time: 0\r\nx-inference-time: "
                   "%" PRIu64 "\r\n",
                   e->took_ms, count_characters(&e->wish), e->n_all_tokens, total_ms,
                   e->took_ms);
}

MF_LOOP static void answer(struct mf_api_embed *e)
{
    struct mf_api_req *r = e->r;
    char headers[HEADERS_MAX];
    struct mf_buf out = e->out;

    if (mf_buf_status(&out) < 0) {
        free_results(e);
        mf_api_fail(r, MF_ENOMEM);
        return;
    }
    fill_headers(e, headers);
    mf_buf_init(&e->out);
    free_results(e);
    mf_api_send(r, 200, mf_slice_of(out.p, out.n), headers);
    mf_buf_fini(&out);
}

static void work_write(struct mf_job *job)
{
    struct mf_api_embed *e = mf_container_of(job, struct mf_api_embed, job);

    e->put(e, &e->out);
}

static void on_written(struct mf_job *job, int status)
{
    struct mf_api_embed *e = mf_container_of(job, struct mf_api_embed, job);

    mf_loop_assert(e->r->api->loop);
    if (status < 0) {
        free_results(e);
        mf_api_fail(e->r, MF_ECLOSED);
        return;
    }
    answer(e);
}

static size_t count_numbers(const struct mf_api_embed *e)
{
    size_t n = e->vectors == NULL ? 0 : e->wish.n * e->wish.dim;

    for (size_t i = 0; e->looks != NULL && i < e->wish.n; i++) {
        n += e->looks[i].k.n * (e->looks[i].k.wants_states ? e->dim : 4);
    }
    return n;
}

MF_LOOP static void write_answer(struct mf_api_embed *e)
{
    int rc;

    e->took_ms = (uv_hrtime() - e->begun_ns) / NS_PER_MS;
    if (count_numbers(e) <= MF_VECTORS_INLINE) {
        e->put(e, &e->out);
        answer(e);
        return;
    }
    e->job = (struct mf_job){.work = work_write, .done = on_written};
    rc = mf_lane_submit(e->r->api->crowd.lane, &e->job, MF_ORDINARY);
    if (rc < 0) {
        free_results(e);
        mf_api_fail(e->r, rc);
    }
}

/* ---- failures ---- */

MF_LOOP static void blame_text(struct mf_api_embed *e, size_t i, int rc)
{
    struct mf_api_req *r = e->r;
    bool is_openai = r->family == MF_FAMILY_OPENAI;
    struct mf_err *err = &r->u.call.err;

    r->u.call.field = rc == MF_ETOOBIG || rc == MF_EINVAL || rc == MF_EUNPROCESSABLE
                          ? (is_openai ? "input" : "inputs")
                          : NULL;
    if (rc == MF_ETOOBIG) {
        (void)mf_err_set(err, rc,
                         "`%s` must have less than %u tokens, text %zu has more: cut "
                         "it, or send \"truncate\": true",
                         r->u.call.field,
                         mf_embed_max_tokens(mf_service_info(e->req.service)) + 1, i);
    } else if (rc == MF_EUNPROCESSABLE && e->looks != NULL) {
        (void)mf_err_set(err, rc, "%.*s has no vectors for the tokens of a text",
                         (int)e->model.n, e->model.p);
    } else if (rc == MF_EINVAL || rc == MF_EUNPROCESSABLE) {
        (void)mf_err_set(err, rc, "text %zu: %s", i, mf_code_sentence(rc));
    }
}

MF_LOOP static void blame_load(struct mf_api_req *r, uint64_t retry_after_ms)
{
    r->retry_after_s = (unsigned)((retry_after_ms + MS_PER_S - 1) / MS_PER_S);
    (void)mf_err_set(&r->u.call.err, MF_ERATE,
                     "Model is overloaded: too much waits to be embedded (embed.max_"
                     "queued_tokens, embed.max_wait): try again in %u s",
                     r->retry_after_s);
}

/* ---- vectors ---- */

MF_LOOP static void stop_watching(struct mf_api_embed *e)
{
    struct mf_api_crowd *crowd = &e->r->api->crowd;

    mf_list_remove(&crowd->waiting, &e->link);
    if (mf_list_is_empty(&crowd->waiting)) {
        MF_ASSERT(uv_timer_stop(&crowd->timer) == 0);
    }
}

/* A cut vector has another length: of what is wanted at unit length, each row is
 * brought there again. */
static void cut_rows(struct mf_api_embed *e)
{
    if (e->wish.dim == e->dim || (e->wish.flags & MF_TEXT_RAW) != 0) {
        return;
    }
    for (size_t i = 0; i < e->wish.n; i++) {
        mf_vec_normalize(e->vectors + i * e->dim, e->wish.dim);
    }
}

static void on_vectors(struct mf_service_request *req, int rc)
{
    struct mf_api_embed *e = mf_container_of(req, struct mf_api_embed, req);

    mf_loop_assert(e->r->api->loop);
    stop_watching(e);
    if (rc < 0) {
        blame_text(e, req->failed, rc);
        mf_api_fail(e->r, rc);
        return;
    }
    e->vectors = req->vectors;
    e->n_tokens = req->n_tokens;
    for (size_t i = 0; i < e->wish.n; i++) {
        e->n_all_tokens += e->n_tokens[i];
    }
    cut_rows(e);
    write_answer(e);
}

/* Waiting for one text somebody waits; many are a load that should not hold up others.
 */
static enum mf_urgency urgency_of(const struct mf_api_embed *e)
{
    struct mf_slice asked = mf_http_header(e->r->http, "x-memfuse-priority");

    if (mf_slice_is_nocase(asked, "interactive")) {
        return MF_URGENT;
    }
    if (mf_slice_is_nocase(asked, "bulk")) {
        return MF_ORDINARY;
    }
    return e->wish.n == 1 ? MF_URGENT : MF_ORDINARY;
}

static void on_look_who_is_gone(uv_timer_t *t)
{
    struct mf_api *a = t->data;

    mf_loop_assert(a->loop);
    mf_list_each (&a->crowd.waiting, k) {
        struct mf_api_embed *e = mf_container_of(k, struct mf_api_embed, link);

        if (e->r->http->client_is_gone || e->r->http->client_has_ended) {
            mf_service_cancel(e->req.service, &e->req);
        }
    }
}

MF_LOOP static void watch(struct mf_api_embed *e)
{
    struct mf_api_crowd *crowd = &e->r->api->crowd;

    if (mf_list_is_empty(&crowd->waiting)) {
        MF_ASSERT(
            uv_timer_start(&crowd->timer, on_look_who_is_gone, LOOK_MS, LOOK_MS) == 0);
    }
    mf_list_push_tail(&crowd->waiting, &e->link);
}

int mf_api_embed_vectors(struct mf_api_embed *e, mf_api_put_fn put)
{
    int rc;

    e->put = put;
    e->req = (struct mf_service_request){.texts = e->wish.texts,
                                         .n = e->wish.n,
                                         .prompt = e->wish.prompt,
                                         .flags = e->wish.flags,
                                         .urgency = urgency_of(e),
                                         .done = on_vectors,
                                         .takes_results = true};
    rc = mf_service_submit(mf_engine_service(e->r->api->engine), &e->req);
    if (rc == MF_ERATE) {
        blame_load(e->r, e->req.retry_after_ms);
    }
    if (rc == 0) {
        watch(e);
    }
    return rc;
}

/* ---- looks ---- */

MF_LOOP static void end_looks(struct mf_api_embed *e)
{
    if (e->rc < 0) {
        free_results(e);
        mf_api_fail(e->r, e->rc);
    } else {
        write_answer(e);
    }
}

static void on_looked(struct mf_service_look *k, int rc)
{
    struct mf_api_look *look = mf_container_of(k, struct mf_api_look, k);
    struct mf_api_embed *e = look->e;

    mf_loop_assert(e->r->api->loop);
    if (rc < 0 && e->rc == 0) {
        e->rc = rc;
        e->req.service = k->service;
        blame_text(e, (size_t)(look - e->looks), rc);
    }
    e->n_all_tokens += k->n;
    if (--e->n_left == 0) {
        end_looks(e);
    }
}

/* The text as the model sees it: with its prompt in front. */
static int whole_text(struct mf_api_embed *e, size_t i, struct mf_slice *out)
{
    struct mf_slice text = e->wish.texts[i], prompt = e->wish.prompt;
    char *p;

    *out = text;
    if (prompt.n == 0) {
        return 0;
    }
    p = mf_arena_alloc(&e->r->http->arena, prompt.n + text.n);
    if (p == NULL) {
        return MF_ENOMEM;
    }
    memcpy(p, prompt.p, prompt.n);
    memcpy(p + prompt.n, text.p, text.n);
    *out = mf_slice_of(p, prompt.n + text.n);
    return 0;
}

MF_LOOP static int submit_look(struct mf_api_embed *e, size_t i, bool wants_states)
{
    struct mf_api_look *look = &e->looks[i];
    int rc;

    look->e = e;
    look->k.flags = e->wish.flags;
    look->k.wants_states = wants_states;
    look->k.special = e->wish.special;
    look->k.done = on_looked;
    rc = whole_text(e, i, &look->k.text);
    if (rc == 0) {
        rc = mf_service_look(mf_engine_service(e->r->api->engine), &look->k);
    }
    if (rc == MF_ERATE) {
        blame_load(e->r, look->k.retry_after_ms);
    }
    return rc;
}

int mf_api_embed_looks(struct mf_api_embed *e, bool wants_states, mf_api_put_fn put)
{
    size_t bytes = e->wish.n * sizeof(*e->looks);

    e->put = put;
    e->looks = mf_arena_alloc(&e->r->http->arena, bytes);
    if (e->looks == NULL) {
        return MF_ENOMEM;
    }
    memset(e->looks, 0, bytes);
    for (size_t i = 0; i < e->wish.n; i++) {
        int rc = submit_look(e, i, wants_states);

        if (rc < 0 && e->n_left == 0) {
            return rc;
        }
        if (rc < 0) { /* answered when those that were taken are done */
            e->rc = rc;
            break;
        }
        e->n_left++;
    }
    return 0;
}

/* ---- the beginning ---- */

int mf_api_embed_new(struct mf_api_req *r,
                     void (*take)(const struct mf_json_at *at,
                                  const struct mf_embed_rules *rules,
                                  struct mf_embed_wish *out))
{
    const struct mf_model_info *m = mf_engine_model(r->api->engine);
    struct mf_embed_rules rules = {.model = m,
                                   .max_texts = r->api->conf->embed_max_client_batch,
                                   .cuts = r->api->conf->embed_auto_truncate};
    struct mf_api_embed *e = mf_arena_alloc(&r->http->arena, sizeof(*e));
    struct mf_json_at at = {.faults = &r->faults};
    int rc;

    if (mf_engine_service(r->api->engine) == NULL) {
        return MF_ECLOSED;
    }
    if (e == NULL) {
        return MF_ENOMEM;
    }
    memset(e, 0, sizeof(*e));
    e->r = r;
    e->dim = m->dim;
    e->begun_ns = uv_hrtime();
    e->model.n = strlen(m->name);
    e->model.p = mf_arena_strndup(&r->http->arena, m->name, e->model.n);
    rc = e->model.p == NULL
             ? MF_ENOMEM
             : mf_json_open(&r->api->json, r->http->body, &r->faults, &at.obj);
    if (rc < 0) {
        return rc;
    }
    r->embed = e;
    if (yyjson_is_obj(at.obj)) {
        take(&at, &rules, &e->wish);
    } else {
        (void)mf_json_fault(&at, NULL, MF_EUNPROCESSABLE, "dict_type",
                            "Input should be an object");
    }
    mf_json_close(&r->api->json);
    return r->faults.code;
}

/* ---- open, close ---- */

int mf_api_crowd_open(struct mf_api *a)
{
    int rc;

    mf_list_init(&a->crowd.waiting);
    rc = mf_lane_open(&a->crowd.lane, a->loop, "api_write", 1, MAX_WRITES);
    if (rc == 0) {
        MF_ASSERT(uv_timer_init(mf_loop_uv(a->loop), &a->crowd.timer) == 0);
        a->crowd.timer.data = a;
    }
    return rc;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct mf_api *a = h->data;

    mf_loop_assert(a->loop);
    a->crowd.closed(a->crowd.closed_arg);
}

static void on_lane_closed(void *arg)
{
    struct mf_api *a = arg;

    mf_loop_assert(a->loop);
    uv_close((uv_handle_t *)&a->crowd.timer, on_timer_closed);
}

void mf_api_crowd_close(struct mf_api *a, void (*closed)(void *arg), void *arg)
{
    a->crowd.closed = closed;
    a->crowd.closed_arg = arg;
    mf_lane_close(a->crowd.lane, on_lane_closed, a);
}
