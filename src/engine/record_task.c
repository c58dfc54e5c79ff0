/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/record_task.h"

#include "base/mem.h"
#include "recall/searchrec.h"

#include <string.h>

void mf_record_task_init(struct mf_record_task *rt, const struct mf_record_maker *maker,
                         struct mf_slice text, enum mf_msg_role role,
                         int64_t created_us)
{
    memset(rt, 0, sizeof(*rt));
    rt->maker = maker;
    rt->text = text;
    rt->role = role;
    rt->created_us = created_us;
    rt->dim = mf_embed_info(maker->embed)->dim;
    mf_buf_init(&rt->search);
    mf_buf_init(&rt->passages);
}

void mf_record_task_fini(struct mf_record_task *rt)
{
    mf_buf_fini(&rt->search);
    mf_buf_fini(&rt->passages);
}

static int build(struct mf_buf *out, const struct mf_record_maker *maker,
                 const struct mf_search_input *in)
{
    struct mf_terms *terms = mf_terms_pool_take(maker->terms);
    int rc;

    if (terms == NULL) {
        return MF_ENOMEM;
    }
    rc = mf_search_build(out, terms, in);
    mf_terms_pool_give(maker->terms, terms);
    return rc;
}

int mf_record_build(struct mf_buf *out, const struct mf_record_maker *maker,
                    const struct mf_msg *msg)
{
    struct mf_search_input in = {.text = msg->content,
                                 .role = msg->role,
                                 .created_us = msg->created_us,
                                 .as_f32 = maker->as_f32};

    return build(out, maker, &in);
}

static int build_passages(struct mf_record_task *rt)
{
    size_t n = rt->task.n_passages;
    struct mf_passage *p;
    int rc;

    if (n == 0) {
        return 0;
    }
    p = mf_array(n, sizeof(*p));
    if (p == NULL) {
        return MF_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        p[i].at = rt->task.passage_spans[i].at;
        p[i].n = rt->task.passage_spans[i].n;
        p[i].vector = rt->task.passage_vectors + i * rt->dim;
    }
    rc = mf_passages_build(&rt->passages, p, n, rt->dim, rt->space);
    mf_free(p);
    return rc;
}

MF_WORKER static void work_after(struct mf_embed_task *t, int rc)
{
    struct mf_record_task *rt = mf_container_of(t, struct mf_record_task, task);
    struct mf_search_input in = {.text = rt->text,
                                 .role = rt->role,
                                 .is_knowledge = rt->is_knowledge,
                                 .created_us = rt->created_us,
                                 .vector = rc == 0 ? t->vector : NULL,
                                 .dim = rt->dim,
                                 .space = rt->space,
                                 .as_f32 = rt->maker->as_f32};

    rt->build_rc = build(&rt->search, rt->maker, &in);
    if (rt->build_rc == 0 && rc == 0) {
        rt->build_rc = build_passages(rt);
    }
    if (rt->build_rc < 0) { /* no half records */
        mf_buf_reset(&rt->search);
        mf_buf_reset(&rt->passages);
    }
}

static void on_embedded(struct mf_embed_task *t, int rc)
{
    struct mf_record_task *rt = mf_container_of(t, struct mf_record_task, task);

    rt->made(rt, rc < 0 ? rc : rt->build_rc);
}

int mf_record_task_submit(struct mf_record_task *rt, enum mf_urgency urgency,
                          mf_record_made_fn made)
{
    struct mf_embed *embed = rt->maker->embed;

    rt->made = made;
    rt->space = mf_embed_info(embed)->space_id;
    rt->task.text = rt->text;
    rt->task.prompt = mf_model_prompt(mf_embed_info(embed), MF_USE_DOCUMENT);
    rt->task.wants_passages = true;
    rt->task.after = work_after;
    rt->task.done = on_embedded;
    return mf_embed_submit(embed, &rt->task, urgency);
}
