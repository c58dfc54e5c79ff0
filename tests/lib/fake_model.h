/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_model: an embedding model for tests: as slow, as wrong and as patient as asked.
 *
 * A text's vector is a unit vector made from its bytes (mf_fake_vector), so that equal
 * texts have equal vectors; MF_TEXT_RAW gives one of length 3. Pieces are its
 * blank-separated words; MF_TEXT_WHOLE is heeded, MF_TEXT_LEFT changes nothing. The one
 * special piece is "[CLS]" in front. Words in a text that change what happens:
 *     FAIL   the text fails (MF_EBACKEND)     INVALID  it fails as MF_EINVAL
 *     BATCH  the whole batch fails            NAN, ZERO, LONG, SKIP  a wrong vector:
 *                                             not a number, 0, of length 2, not written
 *
 * Owns:    itself until mf_model_close(&f->model)
 * Thread:  any; all but the configuration is behind a mutex
 * Limits:  remembers the first letters of MF_FAKE_ORDER - 1 calls
 * Fails:   open: NULL on exhaustion
 */
#ifndef MF_FAKE_MODEL_H
#define MF_FAKE_MODEL_H

#include "embed/model.h"

#include <pthread.h>

#define MF_FAKE_ORDER 256

struct mf_fake_config {
    uint16_t dim;         /* 0: 8 */
    uint32_t window;      /* 0: 256 */
    uint32_t batch_texts; /* 0: 1 */
    size_t batch_bytes;   /* 0: no bound */
    uint32_t batch_tokens;
    unsigned delay_ms; /* of each call */
    bool is_semantic, prefers_cores;
};

struct mf_fake_counts {
    unsigned calls, texts;
    unsigned max_batch;        /* texts of the largest call */
    unsigned running;          /* calls at this moment, held ones too */
    unsigned max_running;      /* calls at once */
    char order[MF_FAKE_ORDER]; /* first byte of the first text of each call */
};

struct mf_fake_model {
    struct mf_model model;
    struct mf_fake_config cfg;
    pthread_mutex_t lock;
    pthread_cond_t released;
    bool held;
    unsigned n_let;
    unsigned fail_calls;
    struct mf_fake_counts counts;
};

struct mf_fake_model *mf_fake_model_open(const struct mf_fake_config *cfg);
/* Calls that begin, and those that are in, stand still until released. */
void mf_fake_hold(struct mf_fake_model *f);
void mf_fake_release(struct mf_fake_model *f);
/* n of the calls that stand still, or of the next ones, go on; the others stay. */
void mf_fake_let(struct mf_fake_model *f, unsigned n);
/* The next n calls fail as a whole. */
void mf_fake_fail_calls(struct mf_fake_model *f, unsigned n);
struct mf_fake_counts mf_fake_counts(struct mf_fake_model *f);
void mf_fake_vector(const struct mf_fake_model *f, struct mf_slice text, float *out);

#endif
