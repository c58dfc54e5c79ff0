/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoder: piece ids to sentence vectors: a BERT-family transformer over ragged batches
 * (no padding: rows of all texts one under the other).
 *
 * Opening chooses the precision: what is asked for, or (auto) the fastest by
 * measurement that passes the quality guard: the guard's texts, embedded in f32 and in
 * the candidate, must agree (smallest cosine >= the precision's bound), else the next
 * step of the ladder int8 -> int8 with the second FFN layer in bf16 -> bf16 or fp16 ->
 * f32. What was found is in the info. Calibration maxima and the guard's verdict are
 * kept in `cache_dir` under the weights' revision and the kernel's name, so that the
 * next start does not repeat it.
 *
 * Owns:    the packed weights; borrows the mf_weights until closed
 * Thread:  open and close on any; run on several threads at once, each its own scratch
 * Limits:  a text of info.window pieces; a scratch of the tokens it was made for
 * Fails:   open: MF_ENOMEM, MF_EINVAL (a precision this CPU does not have, an
 * architecture or activation not supported, a guard not passed when the precision was
 * asked for); run: MF_EBACKEND when a result is not finite, and when a text has no
 * piece, more than the window, or one that the weights do not know (`rc` of that text;
 * its floats are 0)
 */
#ifndef MF_ENCODER_ENCODER_H
#define MF_ENCODER_ENCODER_H

#include "base/base.h"
#include "base/err.h"
#include "encoder/linear.h"
#include "weights/weights.h"

struct mf_encoder;
struct mf_scratch;

/* Texts one behind the other: text i is id[at[i]] .. id[at[i + 1]], specials included.
 */
struct mf_ids {
    const uint32_t *id;
    const uint32_t *at; /* n + 1 */
    size_t n;
};

enum mf_precision_wish {
    MF_WISH_AUTO,
    MF_WISH_F32,
    MF_WISH_BF16,
    MF_WISH_FP16,
    MF_WISH_INT8
};

struct mf_encoder_options {
    enum mf_precision_wish wish;
    struct mf_ids calibration; /* for the smoothing of int8; not among `guard` */
    struct mf_ids guard;
    const char *cache_dir; /* NULL: no cache */
};

#define MF_GUARD_MIN_INT8 0.99f
#define MF_GUARD_MIN_HALF 0.9999f

struct mf_encoder_info {
    const char *precision;       /* "f32", "bf16", "fp16", "int8", "int8+bf16" */
    const char *kernel;          /* of the linear layers */
    const char *isa;             /* of the row operations */
    float guard_min, guard_mean; /* cosine against f32; 1 for f32; 0 when not measured,
                                    since there were no texts to guard by */
    double gops;                 /* measured when it was chosen; 0 from the cache */
    bool was_cached;
};

MF_MUST MF_ANY int mf_encoder_open(struct mf_encoder **out, const struct mf_weights *w,
                                   const struct mf_encoder_options *opt,
                                   struct mf_err *err);
MF_ANY void mf_encoder_close(struct mf_encoder *e);
MF_ANY const struct mf_encoder_info *mf_encoder_info(const struct mf_encoder *e);

/* Work memory for batches of up to max_tokens pieces in all (raised to the window).
 * More of them in one run are taken in several turns. */
MF_MUST MF_ANY int mf_scratch_new(struct mf_scratch **out, const struct mf_encoder *e,
                                  size_t max_tokens);
MF_ANY void mf_scratch_free(struct mf_scratch *s);
MF_ANY size_t mf_scratch_max_tokens(const struct mf_scratch *s);

enum mf_encoder_flags {
    MF_RUN_RAW = 1,       /* not brought to unit length */
    MF_RUN_PER_TOKEN = 2, /* the last layer's rows, one a piece, neither pooled nor
                             brought to unit length: sum of pieces x hidden floats */
};

/* out: n x hidden floats (or see MF_RUN_PER_TOKEN); rc[i] 0 or MF_EBACKEND. */
MF_ANY void mf_encoder_run(const struct mf_encoder *e, struct mf_scratch *s,
                           const struct mf_ids *ids, unsigned flags, float *out,
                           int *rc);

#endif
