/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal_items.h"

#include "base/mem.h"

#include <stdio.h>

static void fill(char *p, size_t n, uint64_t seq)
{
    for (size_t i = 0; i < n; i++) {
        seq = seq * 6364136223846793005u + 1442695040888963407u;
        p[i] = (char)('a' + (seq >> 33) % 26);
    }
}

struct mf_item *kit_big_item(uint64_t seq, uint32_t n_msgs, size_t content_bytes)
{
    struct mf_msg *msgs = mf_calloc(n_msgs + 1, sizeof(*msgs));
    char *text = mf_malloc(content_bytes + 1);
    char id[32];
    struct mf_item_spec spec = {.accepted_us = (int64_t)(seq % 1000000) * 1000,
                                .user_id = MF_SLICE("user-1"),
                                .session_id = MF_SLICE("session-1"),
                                .agent_id = MF_SLICE("agent-1"),
                                .round_id = mf_slice_of(id, 0),
                                .idem_key = MF_SLICE("user-1/key"),
                                .n_msgs = n_msgs,
                                .msgs = msgs};
    struct mf_item *it;

    MF_ASSERT(msgs != NULL && text != NULL);
    spec.round_id.n =
        (size_t)snprintf(id, sizeof(id), "r-%llu", (unsigned long long)seq);
    memset(spec.idem_hash, (int)(seq & 0xff), sizeof(spec.idem_hash));
    fill(text, content_bytes, seq);
    for (uint32_t i = 0; i < n_msgs; i++) {
        msgs[i] = (struct mf_msg){.id = spec.round_id,
                                  .content = mf_slice_of(text, content_bytes),
                                  .metadata = MF_SLICE("{\"k\":1}"),
                                  .created_us = (int64_t)(seq / 2) + i,
                                  .updated_us = -(int64_t)seq,
                                  .role = (enum mf_msg_role)(i % MF_MSG_ROLE_COUNT)};
    }
    it = mf_item_new(&spec);
    MF_ASSERT(it != NULL);
    mf_item_set_seq(it, seq);
    mf_free(text);
    mf_free(msgs);
    return it;
}

struct mf_item *kit_item(uint64_t seq)
{
    return kit_big_item(seq, 1, 100 + seq * 37 % 600);
}

static bool msgs_equal(const struct mf_msg *a, const struct mf_msg *b)
{
    return mf_slice_eq(a->id, b->id) && mf_slice_eq(a->content, b->content) &&
           mf_slice_eq(a->metadata, b->metadata) && a->created_us == b->created_us &&
           a->updated_us == b->updated_us && a->role == b->role;
}

bool kit_items_equal(const struct mf_item *a, const struct mf_item *b)
{
    if (a->seq != b->seq || a->accepted_us != b->accepted_us ||
        !mf_slice_eq(a->user_id, b->user_id) ||
        !mf_slice_eq(a->session_id, b->session_id) ||
        !mf_slice_eq(a->agent_id, b->agent_id) ||
        !mf_slice_eq(a->round_id, b->round_id) ||
        !mf_slice_eq(a->idem_key, b->idem_key) ||
        memcmp(a->idem_hash, b->idem_hash, sizeof(a->idem_hash)) != 0 ||
        a->n_msgs != b->n_msgs || a->tokens != b->tokens || a->bytes != b->bytes) {
        return false;
    }
    for (uint32_t i = 0; i < a->n_msgs; i++) {
        if (!msgs_equal(&a->msgs[i], &b->msgs[i])) {
            return false;
        }
    }
    return true;
}

bool kit_is_right(const struct mf_item *it)
{
    struct mf_item *want = kit_item(it->seq);
    bool is_right = kit_items_equal(it, want);

    as_loop();
    mf_item_unref(want);
    return is_right;
}
