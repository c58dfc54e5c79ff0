/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/embed_hand.h"

#include "base/err.h"

MF_WORKER static void hand_back(struct mf_embed_hand *h, struct mf_embed_job *job)
{
    struct mf_embed_job *top = atomic_load(&h->finished);

    do {
        job->next_finished = top;
    } while (!atomic_compare_exchange_weak(&h->finished, &top, job));
}

/* The last job needs no signal: the loop hears that the runner has ended. */
MF_WORKER static void work_jobs(struct mf_job *base)
{
    struct mf_embed_runner *r = mf_container_of(base, struct mf_embed_runner, job);
    struct mf_embed_hand *h = r->hand;
    struct mf_embed_job *job = r->first;

    while (job != NULL) {
        mf_embed_job_work(job);
        hand_back(h, job);
        job = atomic_exchange(&h->spare, NULL);
        if (job != NULL) {
            MF_ASSERT(uv_async_send(&h->async) == 0);
        }
    }
}

static void on_runner_done(struct mf_job *base, int status)
{
    struct mf_embed_runner *r = mf_container_of(base, struct mf_embed_runner, job);

    mf_loop_assert(r->hand->loop);
    mf_list_push_head(&r->hand->idle, &r->link);
    r->hand->news(r->hand, status < 0 ? r->first : NULL);
}

static void on_async(uv_async_t *async)
{
    struct mf_embed_hand *h = mf_container_of(async, struct mf_embed_hand, async);

    mf_loop_assert(h->loop);
    h->news(h, NULL);
}

void mf_embed_hand_init(struct mf_embed_hand *h, struct mf_loop *l,
                        struct mf_embed_runner *runners, size_t n,
                        mf_embed_news_fn news)
{
    atomic_init(&h->spare, NULL);
    atomic_init(&h->finished, NULL);
    h->offered = NULL;
    h->loop = l;
    h->news = news;
    MF_ASSERT(uv_async_init(mf_loop_uv(l), &h->async, on_async) == 0);
    /* What runs keeps the loop going; that something might does not. */
    uv_unref((uv_handle_t *)&h->async);
    mf_list_init(&h->idle);
    for (size_t i = 0; i < n; i++) {
        runners[i] = (struct mf_embed_runner){.hand = h};
        runners[i].job.work = work_jobs;
        runners[i].job.done = on_runner_done;
        mf_list_push_tail(&h->idle, &runners[i].link);
    }
}

void mf_embed_hand_start(struct mf_embed_hand *h, struct mf_lane *lane,
                         struct mf_embed_job *job)
{
    struct mf_link *k = mf_list_pop_head(&h->idle);
    struct mf_embed_runner *r = mf_container_of(k, struct mf_embed_runner, link);

    r->first = job;
    /* The lane has a permit for each runner and is closed after the last start. */
    MF_ASSERT(mf_lane_submit(lane, &r->job, MF_ORDINARY) == 0);
}

void mf_embed_hand_offer(struct mf_embed_hand *h, struct mf_embed_job *job)
{
    MF_ASSERT(h->offered == NULL);
    h->offered = job;
    atomic_store(&h->spare, job);
}

struct mf_embed_job *mf_embed_hand_take_back(struct mf_embed_hand *h)
{
    struct mf_embed_job *job = atomic_exchange(&h->spare, NULL);

    if (job != NULL) {
        h->offered = NULL;
    }
    return job;
}

struct mf_embed_job *mf_embed_hand_taken(struct mf_embed_hand *h)
{
    struct mf_embed_job *job = h->offered;

    if (job == NULL || atomic_load(&h->spare) != NULL) {
        return NULL;
    }
    h->offered = NULL;
    return job;
}

struct mf_embed_job *mf_embed_hand_collect(struct mf_embed_hand *h)
{
    struct mf_embed_job *top = atomic_exchange(&h->finished, NULL), *first = NULL;

    while (top != NULL) {
        struct mf_embed_job *next = top->next_finished;

        top->next_finished = first;
        first = top;
        top = next;
    }
    return first;
}
