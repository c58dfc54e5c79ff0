/* SPDX-License-Identifier: Apache-2.0 */
#include "query/query_priv.h"

/* NOLINTNEXTLINE(readability-function-size): a parameter for each part it works with */
int mf_query_open(struct mf_query **out, struct mf_loop *l, struct mf_embed *embed,
                  struct mf_library *library, struct mf_store *store,
                  struct mf_buffers *buffers, const struct mf_query_config *cfg)
{
    struct mf_query *q = mf_calloc(1, sizeof(*q));

    if (q == NULL) {
        return MF_ENOMEM;
    }
    q->terms = mf_terms_new();
    if (q->terms == NULL) {
        mf_free(q);
        return MF_ENOMEM;
    }
    q->loop = l;
    q->embed = embed;
    q->library = library;
    q->store = store;
    q->buffers = buffers;
    q->cfg = *cfg;
    q->dim = mf_embed_info(embed)->dim;
    q->space = mf_embed_info(embed)->space_id;
    mf_list_init(&q->timed);
    MF_ASSERT(uv_timer_init(mf_loop_uv(l), &q->timer) == 0);
    *out = q;
    return 0;
}

size_t mf_query_n_running(const struct mf_query *q)
{
    return q->n_running;
}

static void on_query_timer_closed(uv_handle_t *handle)
{
    struct mf_query *q = mf_container_of((uv_timer_t *)handle, struct mf_query, timer);

    mf_loop_assert(q->loop);
    mf_terms_free(q->terms);
    mf_free(q);
}

void mf_query_free(struct mf_query *q)
{
    MF_ASSERT(q->n_running == 0 && q->n_at_store == 0);
    uv_close((uv_handle_t *)&q->timer, on_query_timer_closed);
}

/* ---- an ask ---- */

static void free_ask(struct mf_ask *a)
{
    mf_question_fini(&a->question);
    mf_free(a->vector);
    mf_free(a->hits);
    mf_free(a);
}

void mf_ask_finish(struct mf_ask *a, int rc)
{
    struct mf_query_req *r = a->r;

    MF_ASSERT(a->fetch == NULL);
    if (mf_link_is_on(&a->in_timed)) {
        mf_list_remove(&a->q->timed, &a->in_timed);
        mf_fetch_set_timer(a->q);
    }
    if (rc < 0) {
        r->n_hits = 0;
        if (r->err.code == 0) {
            (void)mf_err_set(&r->err, rc, "%s", mf_code_sentence(rc));
        }
    }
    a->q->n_running--;
    r->state = NULL;
    free_ask(a);
    r->done(r, rc);
}

static void on_scanned(struct mf_library_scan *s, int rc)
{
    struct mf_ask *a = mf_container_of(s, struct mf_ask, scan);

    mf_loop_assert(a->q->loop);
    a->r->is_partial = s->is_partial;
    if (rc < 0) {
        mf_ask_finish(a, rc);
        return;
    }
    mf_ask_fetch(a);
}

int mf_ask_rank(struct mf_ask *a)
{
    const struct mf_query_req *r = a->r;
    struct mf_library_scan *s = &a->scan;

    s->user_id = r->user_id;
    /* Without the question's vector nothing has a similarity to be bounded. */
    s->request = (struct mf_scan_request){.question = &a->question,
                                          .vector = a->has_vector ? a->vector : NULL,
                                          .dim = a->q->dim,
                                          .space = a->q->space,
                                          .top_k = r->top_k,
                                          .min_similarity =
                                              a->has_vector ? r->min_similarity : 0,
                                          .agent_id = r->agent_id,
                                          .no_messages = r->no_messages,
                                          .no_knowledge = r->no_knowledge,
                                          .no_vector_leg = r->no_vector_leg,
                                          .no_keyword_leg = r->no_keyword_leg};
    s->hits = a->hits;
    s->done = on_scanned;
    return mf_library_scan(a->q->library, s);
}

static bool is_end(int rc)
{
    return rc == MF_ECANCELED || rc == MF_ECLOSED;
}

static void on_embedded(struct mf_embed_task *t, int rc)
{
    struct mf_ask *a = mf_container_of(t, struct mf_ask, embedding);

    mf_loop_assert(a->q->loop);
    if (is_end(rc)) {
        mf_ask_finish(a, MF_ECLOSED);
        return;
    }
    if (rc < 0 && a->r->no_keyword_leg) {
        (void)mf_err_set(&a->r->err, rc,
                         "the question could not be embedded and keywords are off: %s",
                         mf_code_sentence(rc));
        mf_ask_finish(a, rc);
        return;
    }
    a->has_vector = rc == 0;
    a->r->no_vector = rc < 0;
    rc = mf_ask_rank(a);
    if (rc < 0) {
        mf_ask_finish(a, rc);
    }
}

MF_LOOP static int start_embedding(struct mf_ask *a)
{
    const struct mf_buf *text = &a->question.text_to_embed;
    int rc;

    a->vector = mf_array(a->q->dim, sizeof(float));
    if (a->vector == NULL) {
        return MF_ENOMEM;
    }
    a->embedding.text = mf_slice_of(text->p, text->n);
    a->embedding.prompt = mf_model_prompt(mf_embed_info(a->q->embed), MF_USE_QUESTION);
    a->embedding.vector = a->vector;
    a->embedding.done = on_embedded;
    rc = mf_embed_submit(a->q->embed, &a->embedding, MF_URGENT);
    return is_end(rc) ? MF_ECLOSED : rc;
}

static int new_ask(struct mf_query *q, struct mf_query_req *r, struct mf_ask **out)
{
    struct mf_ask *a = mf_calloc(1, sizeof(*a));
    int rc = MF_ENOMEM;

    if (a == NULL) {
        return rc;
    }
    a->q = q;
    a->r = r;
    a->hits = mf_array(r->top_k, sizeof(*a->hits));
    if (a->hits != NULL) {
        rc = mf_question_init(&a->question, q->terms, r->text, r->user_name,
                              r->agent_name);
    }
    if (rc < 0) {
        mf_free(a->hits);
        mf_free(a);
        return rc;
    }
    *out = a;
    return 0;
}

int mf_query_submit(struct mf_query *q, struct mf_query_req *r)
{
    struct mf_ask *a;
    int rc;

    r->hits = NULL;
    r->n_hits = 0;
    r->is_partial = r->no_vector = false;
    r->err = (struct mf_err){0};
    if (r->top_k == 0 || r->top_k > MF_QUERY_MAX_HITS) {
        return mf_err_set(&r->err, MF_EINVAL, "top_k is %zu: choose 1 to %d", r->top_k,
                          MF_QUERY_MAX_HITS);
    }
    rc = new_ask(q, r, &a);
    if (rc < 0) {
        return rc;
    }
    rc = r->no_vector_leg ? mf_ask_rank(a) : start_embedding(a);
    if (rc < 0) {
        free_ask(a);
        return rc;
    }
    r->state = a;
    q->n_running++;
    return 0;
}
