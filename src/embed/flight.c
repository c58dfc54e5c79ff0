/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/flight.h"

#include "base/err.h"
#include "base/mem.h"

static struct mf_slice id_of(const struct mf_map_node *node)
{
    const struct mf_flight *f = mf_container_of(node, struct mf_flight, node);

    return mf_slice_of((const char *)&f->id, sizeof(f->id));
}

void mf_flights_init(struct mf_flights *fs, struct mf_loop *l, struct mf_embed *embed)
{
    memset(fs, 0, sizeof(*fs));
    mf_map_init(&fs->by_id, id_of);
    fs->embed = embed;
    fs->loop = l;
}

void mf_flights_fini(struct mf_flights *fs)
{
    MF_ASSERT(fs->n == 0);
    mf_map_fini(&fs->by_id);
}

static struct mf_flight *find(const struct mf_flights *fs, const struct mf_vkey *key,
                              enum mf_urgency urgency)
{
    struct mf_flight_id id = {.key = *key, .urgency = (uint8_t)urgency};
    struct mf_map_node *node =
        mf_map_find(&fs->by_id, mf_slice_of((const char *)&id, sizeof(id)));

    return node == NULL ? NULL : mf_container_of(node, struct mf_flight, node);
}

struct mf_flight *mf_flights_find(const struct mf_flights *fs,
                                  const struct mf_vkey *key, enum mf_urgency urgency)
{
    struct mf_flight *f = find(fs, key, MF_URGENT);

    return f != NULL || urgency == MF_URGENT ? f : find(fs, key, MF_ORDINARY);
}

MF_LOOP static void flight_free(struct mf_flight *f)
{
    struct mf_flights *fs = f->flights;

    mf_free(f);
    if (--fs->n == 0) {
        fs->empty(fs->arg);
    }
}

/* Nobody joins it any more. */
static void hide(struct mf_flight *f)
{
    if (f->node.is_in) {
        mf_map_remove(&f->flights->by_id, &f->node);
    }
}

static void on_embedded(struct mf_embed_task *t, int rc)
{
    struct mf_flight *f = mf_container_of(t, struct mf_flight, task);

    mf_loop_assert(f->flights->loop);
    hide(f);
    f->has_landed = true;
    if (!f->is_canceled) {
        f->flights->landed(f, rc, f->flights->arg);
    }
    flight_free(f);
}

static void copy_text(char *at, const struct mf_flight_plan *plan)
{
    if (plan->prompt.n > 0) {
        memcpy(at, plan->prompt.p, plan->prompt.n);
    }
    if (plan->text.n > 0) {
        memcpy(at + plan->prompt.n, plan->text.p, plan->text.n);
    }
}

int mf_flight_start(struct mf_flight **out, struct mf_flights *fs,
                    const struct mf_flight_plan *plan)
{
    size_t dim = mf_embed_info(fs->embed)->dim, n = plan->prompt.n + plan->text.n;
    struct mf_flight *f = mf_malloc(sizeof(*f) + dim * sizeof(float) + n);
    int rc;

    if (f == NULL) {
        return MF_ENOMEM;
    }
    memset(f, 0, sizeof(*f));
    f->id.key = plan->key;
    f->id.urgency = (uint8_t)plan->urgency;
    f->flights = fs;
    mf_list_init(&f->waits);
    copy_text((char *)(f->vector + dim), plan);
    f->task.text = mf_slice_of((const char *)(f->vector + dim), n);
    f->task.flags = plan->flags;
    f->task.vector = f->vector;
    f->task.done = on_embedded;
    rc = mf_map_insert(&fs->by_id, &f->node);
    if (rc < 0) {
        goto free_flight;
    }
    rc = mf_embed_submit(fs->embed, &f->task, plan->urgency);
    if (rc < 0) {
        goto remove_node;
    }
    fs->n++;
    *out = f;
    return 0;

remove_node:
    mf_map_remove(&fs->by_id, &f->node);
free_flight:
    mf_free(f);
    return rc;
}

void mf_flight_join(struct mf_flight *f, struct mf_flight_wait *w)
{
    w->flight = f;
    mf_list_push_tail(&f->waits, &w->link);
}

void mf_flight_leave(struct mf_flight_wait *w)
{
    struct mf_flight *f = w->flight;

    w->flight = NULL;
    mf_list_remove(&f->waits, &w->link);
    if (mf_list_is_empty(&f->waits) && !f->has_landed && !f->is_canceled) {
        hide(f);
        f->is_canceled = true;
        mf_embed_cancel(f->flights->embed, &f->task);
    }
}
