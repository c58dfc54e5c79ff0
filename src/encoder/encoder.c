/* SPDX-License-Identifier: Apache-2.0 */
#include "encoder/encoder.h"

#include "base/log.h"
#include "base/mem.h"
#include "encoder/encoder_in.h"

#include <stdio.h>
#include <string.h>

struct mf_encoder {
    struct mf_frame frame;
    struct mf_stack *stack;
    struct mf_encoder_info info;
    char kernel[64];
};

/* From the cache: no text is run. MF_ENOTFOUND: there is none. */
static int open_cached(struct mf_encoder *e, const struct mf_cache_key *key,
                       float *absmax, struct mf_err *err)
{
    struct mf_choice c;
    int rc;

    if (!mf_cache_load(key, &e->frame, &c, absmax)) {
        return MF_ENOTFOUND;
    }
    rc = mf_stack_new(&e->stack, &e->frame, &c,
                      c.main->precision == MF_PREC_INT8 ? absmax : NULL);
    if (rc < 0) {
        return mf_err_set(err, rc, "no memory for model %s", e->frame.info.name);
    }
    e->info.was_cached = true;
    return 0;
}

static int open_anew(struct mf_encoder *e, const struct mf_encoder_options *opt,
                     float *absmax, struct mf_err *err)
{
    struct mf_ladder ladder;
    int rc = mf_ladder_init(&ladder, &e->frame, opt, err);

    return rc < 0 ? rc
                  : mf_ladder_walk(&ladder, &e->frame, opt, absmax, &e->stack, err);
}

static int open_stack(struct mf_encoder *e, const struct mf_encoder_options *opt,
                      struct mf_err *err)
{
    float *absmax = mf_calloc(mf_absmax_count(&e->frame), sizeof(*absmax));
    struct mf_cache_key key;
    bool has_cache = mf_cache_key_init(&key, &e->frame, opt);
    int rc =
        has_cache && absmax != NULL ? open_cached(e, &key, absmax, err) : MF_ENOTFOUND;

    if (absmax == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for model %s", e->frame.info.name);
    }
    if (rc == MF_ENOTFOUND) {
        rc = open_anew(e, opt, absmax, err);
        if (rc == 0 && has_cache) {
            mf_cache_save(&key, &e->frame, &e->stack->choice, absmax);
        }
    }
    mf_free(absmax);
    return rc;
}

static void fill_info(struct mf_encoder *e)
{
    const struct mf_choice *c = &e->stack->choice;

    (void)snprintf(e->kernel, sizeof(e->kernel), "%s%s%s", c->main->name,
                   c->main == c->down ? "" : "+",
                   c->main == c->down ? "" : c->down->name);
    e->info.precision = mf_choice_precision(c);
    e->info.kernel = e->kernel;
    e->info.isa = e->frame.rows->name;
    e->info.guard_min = c->guard_min;
    e->info.guard_mean = c->guard_mean;
    e->info.gops = c->gops;
}

int mf_encoder_open(struct mf_encoder **out, const struct mf_weights *w,
                    const struct mf_encoder_options *opt, struct mf_err *err)
{
    struct mf_encoder *e = mf_calloc(1, sizeof(*e));
    int rc;

    *out = NULL;
    if (e == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for the encoder");
    }
    rc = mf_frame_init(&e->frame, w, err);
    if (rc == 0) {
        rc = open_stack(e, opt, err);
    }
    if (rc < 0) {
        mf_encoder_close(e);
        return rc;
    }
    fill_info(e);
    mf_log_info("encoder_open",
                "model=%s precision=%s kernel=%s isa=%s guard_min=%.5f cached=%d",
                e->frame.info.name, e->info.precision, e->info.kernel, e->info.isa,
                (double)e->info.guard_min, e->info.was_cached);
    *out = e;
    return 0;
}

void mf_encoder_close(struct mf_encoder *e)
{
    if (e == NULL) {
        return;
    }
    mf_stack_free(e->stack);
    mf_frame_fini(&e->frame);
    mf_free(e);
}

const struct mf_encoder_info *mf_encoder_info(const struct mf_encoder *e)
{
    return &e->info;
}

int mf_scratch_new(struct mf_scratch **out, const struct mf_encoder *e,
                   size_t max_tokens)
{
    return mf_scratch_make(out, e->stack, max_tokens);
}

void mf_encoder_run(const struct mf_encoder *e, struct mf_scratch *s,
                    const struct mf_ids *ids, unsigned flags, float *out, int *rc)
{
    mf_forward(e->stack, s, ids, flags, out, rc);
}

/* ---- a device ---- */

void mf_encoder_set_device(struct mf_encoder *e, const struct mf_encoder_device *dev)
{
    e->stack->device = dev != NULL ? *dev : (struct mf_encoder_device){.begin = NULL};
}

uint32_t mf_encoder_n_layers(const struct mf_encoder *e)
{
    return e->frame.info.n_layers;
}

const struct mf_weights_info *mf_encoder_model(const struct mf_encoder *e)
{
    return &e->frame.info;
}

static void turn(float *to, const float *from, uint32_t rows, uint32_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            to[c * rows + r] = from[r * cols + c];
        }
    }
}

int mf_encoder_dense(const struct mf_encoder *e, uint32_t layer,
                     enum mf_dense_role role, struct mf_dense_weights *out)
{
    const struct mf_frame *f = &e->frame;
    uint32_t k = mf_dense_inputs(f, role), n = mf_dense_outputs(f, role);
    float *published = mf_array((size_t)k * n, sizeof(*published));
    float *w = mf_array((size_t)k * n, sizeof(*w));
    float *bias = mf_array(n, sizeof(*bias));

    *out = (struct mf_dense_weights){.k = k, .n = n};
    if (published == NULL || w == NULL || bias == NULL) {
        mf_free(published);
        mf_free(w);
        mf_free(bias);
        return MF_ENOMEM;
    }
    mf_dense_read(f, layer, role, published, bias);
    turn(w, published, n, k);
    mf_free(published);
    out->w = w;
    out->bias = bias;
    return 0;
}
