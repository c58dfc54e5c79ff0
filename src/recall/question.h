/* SPDX-License-Identifier: Apache-2.0 */
/*
 * question: what a question asks for, read from its words (the rules speak English;
 * elsewhere they find nothing and are thereby off).
 *
 * Owns:    its text and term hashes
 * Thread:  any (pure)
 * Limits:  terms beyond MF_QUESTION_MAX_TERMS distinct ones are left out, later first
 * Fails:   MF_ENOMEM
 */
#ifndef MF_RECALL_QUESTION_H
#define MF_RECALL_QUESTION_H

#include "base/base.h"
#include "base/str.h"
#include "recall/searchrec.h"

#define MF_QUESTION_MAX_TERMS 256

struct mf_question {
    struct mf_buf text_to_embed; /* names turned into I and my; may end in a passage of
                                    an SDK-style prompt, see mf_question_init */
    int role;                    /* enum mf_msg_role, or -1: none asked for */
    uint16_t months;             /* bit m - 1 */
    uint16_t years[8];
    uint8_t n_years;
    bool asks_time;
    uint32_t n_terms;
    uint32_t terms[MF_QUESTION_MAX_TERMS]; /* hashes of distinct stems, in order */
};

/*
 * Names are the user record's and the agent record's; only their first words count.
 *
 * The client SDK asks with the whole prompt as one text: "Role: content" with a literal
 * backslash-n (two characters) behind each message, the newest last. A text that holds
 * this mark at least once and a role word (User:, Assistant:, System:) at its beginning
 * or behind a mark is read as such a prompt: then only the content of its last message
 * is the question, for embedding, cues and terms alike. Any other text, and a prompt
 * whose last message is empty, is the question as it stands.
 *
 * Years beyond the eighth distinct one are left out. On failure `q` holds nothing.
 */
MF_MUST MF_ANY int mf_question_init(struct mf_question *q, struct mf_terms *terms,
                                    struct mf_slice text, struct mf_slice user_name,
                                    struct mf_slice agent_name);
MF_ANY void mf_question_fini(struct mf_question *q);

/* Flags of a message's text: MF_SEARCH_SHORT_QUESTION | MF_SEARCH_TIME_WORD. */
MF_ANY uint8_t mf_text_flags(struct mf_slice text);

#endif
