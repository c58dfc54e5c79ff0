/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/query_rig.h"

#include "embed/model.h"

static const struct mf_embed_config embed_config = {.permits = 1,
                                                    .dep = {.timeout_ms = KIT_PATIENCE,
                                                            .max_attempts = 1,
                                                            .first_backoff_ms = 1,
                                                            .max_backoff_ms = 1},
                                                    .max_waiting = 100,
                                                    .max_waiting_bytes = 100000};

void rig_open(struct rig *g, struct mf_model *model)
{
    struct mf_query_config cfg = {.store_timeout_ms = KIT_PATIENCE,
                                  .passage_tokens = 20};

    memset(g, 0, sizeof(*g));
    kit_open(&g->k);
    g->model = model != NULL ? model : g->k.model;
    MF_CHECK_OK(mf_embed_open(&g->embed, g->k.loop, g->model, &embed_config));
    MF_CHECK_OK(mf_query_open(&g->query, g->k.loop, g->embed, g->k.lib, &g->k.gate,
                              g->k.buffers, &cfg));
}

void rig_on_closed(void *arg)
{
    struct rig *g = arg;

    g->is_closed = true;
}

void rig_close_embed(struct rig *g)
{
    g->is_closed = false;
    mf_embed_close(g->embed, rig_on_closed, g);
    MF_CHECK(mf_loop_run_until(g->k.loop, &g->is_closed, KIT_PATIENCE));
    g->embed = NULL;
}

void rig_close(struct rig *g)
{
    if (g->embed != NULL) {
        rig_close_embed(g);
    }
    kit_gate(&g->k, KIT_OPEN);
    kit_close_library(&g->k);
    kit_turns(&g->k, 2);
    MF_CHECK_INT(mf_query_n_running(g->query), 0);
    mf_query_free(g->query);
    kit_close(&g->k);
}

static void on_asked(struct mf_query_req *r, int rc)
{
    struct ask *a = mf_container_of(r, struct ask, r);

    a->n_done++;
    a->rc = rc;
    a->is_done = true;
}

void rig_prepare(struct ask *a, const char *text)
{
    memset(a, 0, sizeof(*a));
    mf_arena_init(&a->arena, 4096);
    a->r.user_id = mf_slice_str("u1");
    a->r.user_name = mf_slice_str("Ann");
    a->r.text = mf_slice_str(text);
    a->r.top_k = 10;
    a->r.arena = &a->arena;
    a->r.done = on_asked;
}

void rig_wait(struct rig *g, struct ask *a)
{
    MF_CHECK(mf_loop_run_until(g->k.loop, &a->is_done, KIT_PATIENCE));
    MF_CHECK_INT(a->n_done, 1);
}

void rig_submit(struct rig *g, struct ask *a)
{
    MF_CHECK_OK(mf_query_submit(g->query, &a->r));
    MF_CHECK_INT(a->n_done, 0);
}

void rig_ask(struct rig *g, struct ask *a, const char *text)
{
    rig_prepare(a, text);
    rig_submit(g, a);
    rig_wait(g, a);
    MF_CHECK_OK(a->rc);
}

void rig_forget(struct ask *a)
{
    mf_arena_fini(&a->arena);
}

const struct mf_query_hit *rig_hit(const struct ask *a, uint64_t seq)
{
    for (size_t i = 0; i < a->r.n_hits; i++) {
        if (a->r.hits[i].scan.seq == seq) {
            return &a->r.hits[i];
        }
    }
    fail_msg("seq %llu is not among the hits", (unsigned long long)seq);
    return NULL;
}

void rig_check_slice(struct mf_slice s, const char *want)
{
    MF_CHECK_INT(s.n, strlen(want));
    MF_CHECK_MEM(s.p, want, s.n);
}
