/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/rounds.h"

#include <stdio.h>

#define MAX_MSGS    16
#define MAX_CONTENT 1024

static char letter(uint64_t seq, size_t at)
{
    return (char)('a' + (seq + at) % 26);
}

bool mf_test_content_is(struct mf_slice content, uint64_t seq)
{
    for (size_t i = 0; i < content.n; i++) {
        if (content.p[i] != letter(seq, i)) {
            return false;
        }
    }
    return true;
}

struct mf_item *mf_test_round_new(const struct mf_test_round *r)
{
    static char text[MAX_MSGS][MAX_CONTENT];
    char ids[MAX_MSGS][24];
    char round_id[24];
    struct mf_msg msgs[MAX_MSGS];
    struct mf_item_spec spec = {.accepted_us = 1,
                                .user_id = mf_slice_str(r->user),
                                .session_id = mf_slice_str(r->session),
                                .agent_id = MF_SLICE("agent"),
                                .idem_key = mf_slice_str(r->idem_key),
                                .msgs = msgs,
                                .n_msgs = r->n_msgs};
    struct mf_item *it;

    MF_ASSERT(r->n_msgs <= MAX_MSGS && r->n_bytes <= MAX_CONTENT);
    for (uint32_t i = 0; i < r->n_msgs; i++) {
        for (size_t at = 0; at < r->n_bytes; at++) {
            text[i][at] = letter(r->seq + i, at);
        }
        (void)snprintf(ids[i], sizeof(ids[i]), "m%llu", (unsigned long long)r->seq + i);
        msgs[i] = (struct mf_msg){.id = mf_slice_str(ids[i]),
                                  .content = mf_slice_of(text[i], r->n_bytes),
                                  .role = MF_MSG_USER};
    }
    (void)snprintf(round_id, sizeof(round_id), "r%llu", (unsigned long long)r->seq);
    spec.round_id = mf_slice_str(round_id);
    it = mf_item_new(&spec);
    if (it != NULL) {
        mf_item_set_seq(it, r->seq);
    }
    return it;
}
