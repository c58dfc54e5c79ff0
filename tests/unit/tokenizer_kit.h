/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_kit: folders of a tokenizer with a small vocabulary, for the tests of it.
 */
#ifndef TOKENIZER_KIT_H
#define TOKENIZER_KIT_H

#include "tokenizer/tokenizer.h"

/* Ids count from 0: */
enum kit_id {
    KIT_PAD,
    KIT_UNK,
    KIT_CLS,
    KIT_SEP,
    KIT_PLAY,
    KIT_ING, /* ##ing */
    KIT_ED,  /* ##ed */
    KIT_CAFE,
    KIT_DOT,
    KIT_HAN, /* U+4E2D */
    KIT_A,
    KIT_MORE_A, /* ##a */
    KIT_N
};

/* The parts of tokenizer.json, each replaceable. */
struct kit_json {
    const char *model_head; /* of "model", up to "vocab" */
    const char *vocab;
    const char *normalizer, *pre_tokenizer, *post_processor, *added;
};

extern const struct kit_json kit_plain;

/* A file in the case's folder, whose path is returned. */
const char *kit_write(const char *name, const char *text);
const char *kit_write_json(const struct kit_json *parts);
/* Opens what kit_write_json wrote of the plain parts. */
struct mf_tokenizer *kit_open(void);

#endif
