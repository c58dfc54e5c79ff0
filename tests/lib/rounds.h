/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds: message rounds for tests of what comes behind the HTTP side.
 *
 * Message i of round `seq` has order number seq + i, id "m<seq + i>" and content of
 * `n_bytes` letters that depend on its number; the round is "r<seq>".
 */
#ifndef MF_TEST_ROUNDS_H
#define MF_TEST_ROUNDS_H

#include "item/item.h"

struct mf_test_round {
    const char *user, *session;
    uint64_t seq;
    uint32_t n_msgs;
    size_t n_bytes;       /* of each content; at most 1024 */
    const char *idem_key; /* NULL: none */
};

/* One reference, the caller's; NULL when memory is short. */
struct mf_item *mf_test_round_new(const struct mf_test_round *r);
/* Whether the bytes are those that mf_test_round_new made for this number. */
bool mf_test_content_is(struct mf_slice content, uint64_t seq);

#endif
