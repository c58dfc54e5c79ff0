/* SPDX-License-Identifier: Apache-2.0 */
/* Scans, and what they found. */
#include "unit/query_kit.h"

#include "embed/model.h"

static void on_kit_scanned(struct mf_library_scan *s, int rc)
{
    struct kit_scan *q = mf_container_of(s, struct kit_scan, s);

    mf_loop_assert(q->k->loop);
    q->n_done++;
    q->rc = rc;
    q->is_done = true;
}

void kit_question(struct kit *k, struct kit_scan *q, const char *user, const char *text)
{
    struct mf_slice slice = mf_slice_str(text);
    struct mf_slice none = mf_slice_of(NULL, 0);
    struct mf_text t = {.text = slice};
    struct mf_text_result res = {0};

    memset(q, 0, sizeof(*q));
    q->k = k;
    MF_CHECK_OK(mf_question_init(&q->question, k->terms, slice, none, none));
    q->vector = mf_array(KIT_DIM_MAX, sizeof(float));
    assert_non_null(q->vector);
    MF_CHECK_OK(k->model->ops->embed(k->model, &t, 1, q->vector, &res));
    MF_CHECK_OK(res.rc);
    q->s.user_id = mf_slice_str(user);
    q->s.request.question = &q->question;
    q->s.request.vector = q->vector;
    q->s.request.dim = k->model->info.dim;
    q->s.request.space = k->model->info.space_id;
    q->s.request.top_k = KIT_HITS;
    q->s.hits = q->hits;
    q->s.done = on_kit_scanned;
}

int kit_submit(struct kit_scan *q)
{
    return mf_library_scan(q->k->lib, &q->s);
}

void kit_wait(struct kit_scan *q)
{
    MF_CHECK(mf_loop_run_until(q->k->loop, &q->is_done, KIT_PATIENCE));
    MF_CHECK_INT(q->n_done, 1);
    MF_CHECK_OK(q->rc);
}

void kit_forget(struct kit_scan *q)
{
    mf_question_fini(&q->question);
    mf_free(q->vector);
    q->vector = NULL;
}

void kit_scan(struct kit *k, struct kit_scan *q, const char *user, const char *text)
{
    kit_question(k, q, user, text);
    MF_CHECK_OK(kit_submit(q));
    MF_CHECK_INT(q->n_done, 0);
    kit_wait(q);
}

void kit_hold_read(struct kit *k, struct kit_scan *q, enum kit_gate how)
{
    kit_question(k, q, "u1", "zebra");
    kit_gate(k, how);
    MF_CHECK_OK(kit_submit(q));
    kit_wait_gated(k, 1);
}

void kit_let_read(struct kit *k, struct kit_scan *q)
{
    kit_gate(k, KIT_OPEN);
    kit_wait(q);
}

void kit_hold_work(struct kit *k, struct kit_scan *q)
{
    mf_lane_set_permits(k->lib->lane, 0);
    kit_question(k, q, "u1", "zebra");
    MF_CHECK_OK(kit_submit(q));
    kit_turns(k, 3);
    MF_CHECK_INT(mf_lane_n_waiting(k->lib->lane), 1);
}

void kit_let_work(struct kit *k, struct kit_scan *q)
{
    mf_lane_set_permits(k->lib->lane, 1);
    kit_wait(q);
}

void kit_end_held(struct kit_held *h, bool has_first, bool has_second)
{
    kit_let_read(&h->k, &h->q);
    MF_CHECK_INT(kit_count(&h->q, h->first), has_first);
    MF_CHECK_INT(kit_count(&h->q, h->second), has_second);
    kit_forget(&h->q);
}

const struct mf_scan_hit *kit_hit(const struct kit_scan *q, uint64_t seq)
{
    for (size_t i = 0; i < q->s.n_hits; i++) {
        if (q->hits[i].seq == seq) {
            return &q->hits[i];
        }
    }
    return NULL;
}

size_t kit_count(const struct kit_scan *q, uint64_t seq)
{
    size_t n = 0;

    for (size_t i = 0; i < q->s.n_hits; i++) {
        n += q->hits[i].seq == seq;
    }
    return n;
}

void kit_check_same(const struct kit_scan *a, const struct kit_scan *b)
{
    MF_CHECK_INT(a->s.n_hits, b->s.n_hits);
    for (size_t i = 0; i < a->s.n_hits; i++) {
        MF_CHECK_INT(a->hits[i].seq, b->hits[i].seq);
        MF_CHECK(a->hits[i].score == b->hits[i].score);
        MF_CHECK(a->hits[i].similarity == b->hits[i].similarity);
        MF_CHECK(a->hits[i].bm25 == b->hits[i].bm25);
        MF_CHECK(a->hits[i].has_vector == b->hits[i].has_vector);
    }
}

void kit_check_found(struct kit *k, const char *text, uint64_t seq)
{
    struct kit_scan q;

    kit_scan(k, &q, "u1", text);
    MF_CHECK_INT(kit_count(&q, seq), 1);
    MF_CHECK(!q.s.is_partial);
    kit_forget(&q);
}

void kit_check_not_found(struct kit *k, const char *text, uint64_t seq)
{
    struct kit_scan q;

    kit_scan(k, &q, "u1", text);
    MF_CHECK_INT(kit_count(&q, seq), 0);
    kit_forget(&q);
}
