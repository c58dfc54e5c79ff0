/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/service.h"

#include "base/err.h"
#include "base/mem.h"
#include "embed/flight.h"
#include "embed/vcache.h"

#define MAX_LOOKS          256 /* in line */
#define SWEEP_ENTRIES      1024
#define MIN_RETRY_AFTER_MS 1000u
#define MAX_RETRY_AFTER_MS 60000u

struct mf_service {
    struct mf_loop *loop;
    struct mf_embed *embed;
    struct mf_service_config cfg;
    const struct mf_model_info *info;
    struct mf_vkey_maker maker;
    struct mf_vcache *cache;
    struct mf_flights flights;
    struct mf_list requests; /* waiting for flights */
    struct mf_list ready;    /* to be told at the end of the turn */
    struct mf_lane *looks;   /* NULL once closed */
    struct mf_turn_hook hook;
    uint64_t hits, misses, joined;
    bool closing;
    mf_service_closed_fn closed;
    void *closed_arg;
};

MF_LOOP static void wake(struct mf_service *s)
{
    mf_loop_at_turn_end(s->loop, &s->hook);
}

/* ---- the end of a request ---- */

MF_LOOP static void leave_all(struct mf_service_request *r)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->waits[i].flight != NULL) {
            mf_flight_leave(&r->waits[i]);
        }
    }
}

MF_LOOP static void stop_waiting(struct mf_service_request *r)
{
    leave_all(r);
    mf_free(r->waits);
    r->waits = NULL;
}

/* The request may be gone when this returns. */
MF_LOOP static void tell(struct mf_service_request *r, int rc)
{
    float *vectors = r->vectors;
    uint32_t *n_tokens = r->n_tokens;
    bool is_theirs = r->takes_results && rc == 0;

    r->done(r, rc);
    if (!is_theirs) {
        mf_free(vectors);
        mf_free(n_tokens);
    }
}

MF_LOOP static void end_request(struct mf_service_request *r, int rc)
{
    stop_waiting(r);
    mf_list_remove(&r->service->requests, &r->link);
    tell(r, rc);
}

MF_LOOP static void end_later(struct mf_service_request *r, int rc)
{
    r->rc = rc;
    mf_list_push_tail(&r->service->ready, &r->link);
    wake(r->service);
}

/* The wait ends; whose other texts are in flight leaves them. */
MF_LOOP static void land(const struct mf_service *s, const struct mf_flight *f,
                         struct mf_flight_wait *w, int rc)
{
    struct mf_service_request *r = w->r;
    size_t dim = s->info->dim;

    w->flight = NULL;
    if (rc < 0) {
        r->failed = w->i;
        end_request(r, rc);
        return;
    }
    memcpy(r->vectors + w->i * dim, f->vector, dim * sizeof(float));
    r->n_tokens[w->i] = f->task.n_tokens;
    if (--r->n_left == 0) {
        end_request(r, 0);
    }
}

static void on_landed(struct mf_flight *f, int rc, void *arg)
{
    struct mf_service *s = arg;
    struct mf_link *k;

    mf_loop_assert(s->loop);
    if (rc == 0) {
        mf_vcache_put(s->cache, &f->id.key, f->vector, f->task.n_tokens,
                      mf_loop_now_ms(s->loop));
    }
    while ((k = mf_list_pop_head(&f->waits)) != NULL) {
        land(s, f, mf_container_of(k, struct mf_flight_wait, link), rc);
    }
}

static void on_no_flights(void *arg)
{
    struct mf_service *s = arg;

    mf_loop_assert(s->loop);
    if (s->closing) {
        wake(s);
    }
}

void mf_service_cancel(struct mf_service *s, struct mf_service_request *r)
{
    if (r->waits == NULL) { /* about to be told */
        r->rc = MF_ECANCELED;
        return;
    }
    stop_waiting(r);
    mf_list_remove(&s->requests, &r->link);
    end_later(r, MF_ECANCELED);
}

/* ---- its beginning ---- */

MF_LOOP static int begin(struct mf_service *s, struct mf_service_request *r)
{
    r->link = (struct mf_link){NULL, NULL};
    r->service = s;
    r->failed = 0;
    r->retry_after_ms = 0;
    r->n_cached = r->n_joined = 0;
    r->n_left = r->n;
    r->rc = 0;
    r->vectors = mf_array(r->n, s->info->dim * sizeof(float));
    r->n_tokens = mf_calloc(r->n, sizeof(*r->n_tokens));
    r->waits = mf_calloc(r->n, sizeof(*r->waits));
    return r->vectors == NULL || r->n_tokens == NULL || r->waits == NULL ? MF_ENOMEM
                                                                         : 0;
}

/* Nothing happened. */
MF_LOOP static void undo(struct mf_service_request *r)
{
    if (r->waits != NULL) {
        stop_waiting(r);
    }
    mf_free(r->vectors);
    mf_free(r->n_tokens);
    r->vectors = NULL;
    r->n_tokens = NULL;
}

/* Marks a text as done: its wait has no request. */
MF_LOOP static void take_cached(struct mf_service *s, struct mf_service_request *r,
                                size_t i)
{
    struct mf_flight_wait *w = &r->waits[i];
    const float *v =
        mf_vcache_get(s->cache, &w->key, mf_loop_now_ms(s->loop), &r->n_tokens[i]);

    w->i = i;
    w->r = v == NULL ? r : NULL;
    if (v != NULL) {
        memcpy(r->vectors + i * s->info->dim, v, s->info->dim * sizeof(float));
        r->n_cached++;
        r->n_left--;
    }
}

/* What is in the cache is taken. *needs_model: a text is neither there nor in flight.
 */
MF_LOOP static int look_up(struct mf_service *s, struct mf_service_request *r,
                           bool *needs_model)
{
    struct mf_vkey_of of = {
        .space = mf_slice_str(s->info->space), .prompt = r->prompt, .flags = r->flags};

    *needs_model = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct mf_vkey *key = &r->waits[i].key;
        int rc;

        of.text = r->texts[i];
        rc = mf_vkey_make(&s->maker, &of, &r->waits[i].key);
        if (rc < 0) {
            return rc;
        }
        take_cached(s, r, i);
        *needs_model =
            *needs_model || (r->waits[i].r != NULL &&
                             mf_flights_find(&s->flights, key, r->urgency) == NULL);
    }
    return 0;
}

/* MF_ERATE when what goes before would take too long. */
MF_LOOP static int admit(const struct mf_service *s, enum mf_urgency urgency,
                         uint64_t *retry_after_ms)
{
    struct mf_embed_load load = mf_embed_load(s->embed, urgency);
    uint64_t too_long =
        load.wait_ms > s->cfg.max_wait_ms ? load.wait_ms - s->cfg.max_wait_ms : 0;

    if (too_long == 0 && load.tokens <= s->cfg.max_tokens) {
        return 0;
    }
    if (too_long == 0) {
        too_long = load.wait_ms / 2;
    }
    *retry_after_ms = mf_min(mf_max(too_long, MIN_RETRY_AFTER_MS), MAX_RETRY_AFTER_MS);
    return MF_ERATE;
}

/* A full line is the same answer as a long one. */
MF_LOOP static int rate_of(int rc, uint64_t *retry_after_ms)
{
    if (rc != MF_EBUSY) {
        return rc;
    }
    *retry_after_ms = MIN_RETRY_AFTER_MS;
    return MF_ERATE;
}

MF_LOOP static int board_one(struct mf_service *s, struct mf_service_request *r,
                             struct mf_flight_wait *w)
{
    struct mf_flight *f = mf_flights_find(&s->flights, &w->key, r->urgency);
    struct mf_flight_plan plan = {.key = w->key,
                                  .urgency = r->urgency,
                                  .prompt = r->prompt,
                                  .text = r->texts[w->i],
                                  .flags = r->flags};

    if (f != NULL) {
        r->n_joined++;
    } else {
        int rc = mf_flight_start(&f, &s->flights, &plan);

        if (rc < 0) {
            return rate_of(rc, &r->retry_after_ms);
        }
    }
    mf_flight_join(f, w);
    return 0;
}

/* All or none: jobs begin at the end of the turn, so that what is left again in this
 * one is never computed. */
MF_LOOP static int board(struct mf_service *s, struct mf_service_request *r)
{
    for (size_t i = 0; i < r->n; i++) {
        int rc = r->waits[i].r == NULL ? 0 : board_one(s, r, &r->waits[i]);

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

MF_LOOP static int try_submit(struct mf_service *s, struct mf_service_request *r)
{
    bool needs_model;
    int rc = begin(s, r);

    if (rc < 0) {
        return rc;
    }
    rc = look_up(s, r, &needs_model);
    if (rc == 0 && needs_model) {
        rc = admit(s, r->urgency, &r->retry_after_ms);
    }
    return rc < 0 ? rc : board(s, r);
}

int mf_service_submit(struct mf_service *s, struct mf_service_request *r)
{
    int rc;

    MF_ASSERT(r->n > 0);
    if (s->closing) {
        return MF_ECLOSED;
    }
    rc = try_submit(s, r);
    if (rc < 0) {
        undo(r);
        return rc;
    }
    s->hits += r->n_cached;
    s->joined += r->n_joined;
    s->misses += r->n - r->n_cached - r->n_joined;
    if (r->n_left > 0) {
        mf_list_push_tail(&s->requests, &r->link);
        return 0;
    }
    stop_waiting(r);
    end_later(r, 0);
    return 0;
}

/* ---- looks ---- */

/* Most texts have fewer pieces than half their bytes. */
static int find_pieces(struct mf_model *m, const struct mf_text *t,
                       struct mf_service_look *k)
{
    size_t cap = t->text.n / 2 + 8;

    for (;;) {
        k->pieces = mf_array(cap, sizeof(*k->pieces));
        if (k->pieces == NULL) {
            return MF_ENOMEM;
        }
        k->n = m->ops->tokenize(m, t, k->special, k->pieces, cap);
        if (k->n <= cap) {
            return 0;
        }
        cap = k->n;
        mf_free(k->pieces);
        k->pieces = NULL;
    }
}

MF_WORKER static void work_look(struct mf_job *job)
{
    struct mf_service_look *k = mf_container_of(job, struct mf_service_look, job);
    struct mf_text t = {.text = k->text, .flags = k->flags};
    uint32_t n = 0;

    if (k->wants_states) {
        k->rc = k->model->ops->states(k->model, &t, &k->states, &n);
        k->n = n;
    } else {
        k->rc = find_pieces(k->model, &t, k);
    }
}

static void on_looked(struct mf_job *job, int status)
{
    struct mf_service_look *k = mf_container_of(job, struct mf_service_look, job);

    mf_loop_assert(k->service->loop);
    k->done(k, status < 0 ? status : k->rc);
}

int mf_service_look(struct mf_service *s, struct mf_service_look *k)
{
    int rc;

    if (s->closing) {
        return MF_ECLOSED;
    }
    k->retry_after_ms = 0;
    rc = admit(s, MF_URGENT, &k->retry_after_ms);
    if (rc < 0) {
        return rc;
    }
    k->pieces = NULL;
    k->states = NULL;
    k->n = 0;
    k->rc = 0;
    k->service = s;
    k->model = s->cfg.model;
    k->job = (struct mf_job){.work = work_look, .done = on_looked};
    return rate_of(mf_lane_submit(s->looks, &k->job, MF_ORDINARY), &k->retry_after_ms);
}

/* ---- figures ---- */

void mf_service_stats(const struct mf_service *s, struct mf_service_stats *out)
{
    struct mf_vcache_counts c;

    mf_vcache_counts(s->cache, &c);
    *out = (struct mf_service_stats){.hits = s->hits,
                                     .misses = s->misses,
                                     .joined = s->joined,
                                     .evicted = c.evicted,
                                     .expired = c.expired,
                                     .cached = c.n,
                                     .cached_bytes = c.bytes,
                                     .in_flight = s->flights.n};
}

void mf_service_clear(struct mf_service *s)
{
    mf_vcache_clear(s->cache);
    wake(s);
}

void mf_service_reset_stats(struct mf_service *s)
{
    s->hits = s->misses = s->joined = 0;
    mf_vcache_reset_counts(s->cache);
}

size_t mf_service_n_requests(const struct mf_service *s)
{
    size_t n_looks = s->looks == NULL
                         ? 0
                         : mf_lane_n_waiting(s->looks) + mf_lane_n_running(s->looks);

    return s->requests.n + s->ready.n + n_looks;
}

const struct mf_model_info *mf_service_info(const struct mf_service *s)
{
    return s->info;
}

/* ---- close ---- */

MF_LOOP static void service_free(struct mf_service *s)
{
    mf_service_closed_fn closed = s->closed;
    void *arg = s->closed_arg;

    mf_loop_forget_hook(s->loop, &s->hook);
    mf_flights_fini(&s->flights);
    mf_vcache_free(s->cache);
    mf_vkey_maker_fini(&s->maker);
    mf_free(s);
    if (closed != NULL) {
        closed(arg);
    }
}

static void on_looks_closed(void *arg)
{
    struct mf_service *s = arg;

    mf_loop_assert(s->loop);
    s->looks = NULL;
    wake(s);
}

static void on_turn_end(struct mf_turn_hook *h)
{
    struct mf_service *s = mf_container_of(h, struct mf_service, hook);
    struct mf_list now;
    struct mf_link *k;

    mf_loop_assert(s->loop);
    mf_list_init(&now);
    mf_list_move(&now, &s->ready);
    while ((k = mf_list_pop_head(&now)) != NULL) {
        struct mf_service_request *r =
            mf_container_of(k, struct mf_service_request, link);

        tell(r, r->rc);
    }
    if (mf_vcache_sweep(s->cache, SWEEP_ENTRIES)) {
        wake(s);
    }
    if (s->closing && s->looks == NULL && s->flights.n == 0 &&
        mf_list_is_empty(&s->ready)) {
        service_free(s);
    }
}

void mf_service_close(struct mf_service *s, mf_service_closed_fn closed, void *arg)
{
    struct mf_link *k;

    MF_ASSERT(!s->closing);
    s->closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    while ((k = mf_list_head(&s->requests)) != NULL) {
        mf_service_cancel(s, mf_container_of(k, struct mf_service_request, link));
    }
    mf_lane_close(s->looks, on_looks_closed, s);
}

/* ---- open ---- */

int mf_service_open(struct mf_service **out, struct mf_loop *l, struct mf_embed *embed,
                    const struct mf_service_config *cfg)
{
    struct mf_service *s = mf_calloc(1, sizeof(*s));
    int rc;

    if (s == NULL) {
        return MF_ENOMEM;
    }
    s->loop = l;
    s->embed = embed;
    s->cfg = *cfg;
    s->info = mf_embed_info(embed);
    s->hook.fn = on_turn_end;
    mf_list_init(&s->requests);
    mf_list_init(&s->ready);
    mf_flights_init(&s->flights, l, embed);
    s->flights.landed = on_landed;
    s->flights.empty = on_no_flights;
    s->flights.arg = s;
    rc = mf_vkey_maker_init(&s->maker);
    if (rc < 0) {
        goto free_service;
    }
    rc = mf_vcache_new(&s->cache, s->info->dim, cfg->cache_bytes, cfg->cache_ttl_ms);
    if (rc < 0) {
        goto fini_maker;
    }
    rc = mf_lane_open(&s->looks, l, "embed_look", 1, MAX_LOOKS);
    if (rc < 0) {
        goto free_cache;
    }
    *out = s;
    return 0;

free_cache:
    mf_vcache_free(s->cache);
fini_maker:
    mf_vkey_maker_fini(&s->maker);
free_service:
    mf_free(s);
    return rc;
}
