/* SPDX-License-Identifier: Apache-2.0 */
/*
 * item: one accepted message round (the messages of one POST): immutable after birth,
 * counted. One block of memory: header, messages, bytes.
 *
 * Owns:    all bytes its slices point to
 * Thread:  the count belongs to the loop; the contents may be read by any thread that
 *          was given a reference for the time of a job
 * Limits:  the caller's (mf_round_limits in api); here only sizes that fit 32 bits
 * Fails:   NULL on exhaustion
 */
#ifndef MF_ITEM_ITEM_H
#define MF_ITEM_ITEM_H

#include "base/base.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

enum mf_msg_role { MF_MSG_USER, MF_MSG_ASSISTANT, MF_MSG_SYSTEM, MF_MSG_TOOL };

#define MF_MSG_ROLE_COUNT 4

struct mf_msg {
    struct mf_slice id;
    struct mf_slice content;  /* valid UTF-8, no NUL */
    struct mf_slice metadata; /* JSON object as sent, compact; empty when none */
    int64_t created_us;       /* metadata.timestamp, or the time of acceptance */
    int64_t updated_us;
    enum mf_msg_role role;
};

/* Message i of the round has order number seq + i: unique, growing with acceptance,
 * the same in journal, store and shelf. */
struct mf_item {
    uint64_t seq;
    int64_t accepted_us;
    struct mf_slice user_id, session_id, agent_id, round_id;
    struct mf_slice idem_key; /* scoped Idempotency-Key, empty when none */
    uint8_t idem_hash[32];    /* SHA-256 of the request's body */
    uint32_t n_msgs;
    uint32_t tokens; /* mf_tokens_of_message summed */
    size_t bytes;    /* of the whole block: what the bounds count */
    struct mf_msg *msgs;
    unsigned refs; /* the loop's */
};

/* What a round is made from; slices are borrowed and copied. */
struct mf_item_spec {
    int64_t accepted_us;
    struct mf_slice user_id, session_id, agent_id, round_id;
    struct mf_slice idem_key;
    uint8_t idem_hash[32];
    const struct mf_msg *msgs;
    uint32_t n_msgs;
};

/* One reference, the caller's. `seq` is 0 until mf_item_set_seq, which the engine calls
 * once, before anybody else sees the item. */
MF_ANY struct mf_item *mf_item_new(const struct mf_item_spec *spec);
MF_ANY void mf_item_set_seq(struct mf_item *it, uint64_t seq);
MF_LOOP struct mf_item *mf_item_ref(struct mf_item *it);
MF_LOOP void mf_item_unref(struct mf_item *it); /* NULL is fine */

MF_ANY const char *mf_msg_role_name(enum mf_msg_role r); /* "user" ... */
MF_MUST MF_ANY int mf_msg_role_parse(struct mf_slice s, enum mf_msg_role *out);

/* MemFuse's fallback token count (upstream utils/token_counter.py): words are blank-
 * separated pieces, where each CJK or kana character counts 1 and each other fragment
 * 1; int(words * 1.3); a message is role + content + 4. */
MF_ANY uint32_t mf_tokens_of_text(struct mf_slice text);
MF_ANY uint32_t mf_tokens_of_message(enum mf_msg_role role, struct mf_slice content);

#endif
