/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which precision: the steps that the options and this machine allow, sorted by what
 * they measured, and the walk down them until one passes the guard.
 */
#include "base/log.h"
#include "base/mem.h"
#include "encoder/encoder_in.h"

#include <string.h>

#define MEASURE_ROWS   64
/* The table has the fastest first, as a rule: another one must be clearly faster, so
 * that a disturbed measurement does not change the choice. */
#define MEASURE_MARGIN 1.15

/* The fastest of a precision; main NULL: there is none. */
static struct mf_choice fastest(const struct mf_frame *f, enum mf_precision p)
{
    const struct mf_linear_ops *const *all = mf_linear_all();
    struct mf_choice best = {.main = NULL};

    for (size_t i = 0; all[i] != NULL; i++) {
        double gops;

        if (all[i]->precision != p || !all[i]->is_supported()) {
            continue;
        }
        gops = mf_linear_measure(all[i], MEASURE_ROWS, f->info.hidden, f->info.ffn);
        if (best.main == NULL || gops > best.gops * MEASURE_MARGIN) {
            best = (struct mf_choice){.main = all[i], .down = all[i], .gops = gops};
        }
    }
    return best;
}

static void ladder_add(struct mf_ladder *l, struct mf_choice c)
{
    size_t i = l->n;

    if (c.main == NULL) {
        return;
    }
    for (; i > 0 && l->step[i - 1].gops < c.gops; i--) {
        l->step[i] = l->step[i - 1];
    }
    l->step[i] = c;
    l->n++;
}

/* int8 with the second FFN layer, where the outliers are, in bf16. */
static struct mf_choice mix(const struct mf_frame *f, struct mf_choice int8,
                            struct mf_choice bf16)
{
    double hidden = f->info.hidden;
    double share = f->info.ffn / (4 * hidden + 2 * (double)f->info.ffn);
    struct mf_choice c = {.main = int8.main, .down = bf16.main};

    if (bf16.main == NULL || !(bf16.gops > 0) || !(int8.gops > 0)) {
        return (struct mf_choice){0};
    }
    c.gops = 1 / ((1 - share) / int8.gops + share / bf16.gops);
    return c;
}

/* int8 needs texts to smooth and to guard by; the others may go without. */
static void ladder_all(struct mf_ladder *l, const struct mf_frame *f,
                       const struct mf_encoder_options *opt)
{
    struct mf_choice bf16 = fastest(f, MF_PREC_BF16);

    ladder_add(l, fastest(f, MF_PREC_F32));
    ladder_add(l, fastest(f, MF_PREC_FP16));
    ladder_add(l, bf16);
    if (opt->calibration.n > 0 && opt->guard.n > 0) {
        struct mf_choice int8 = fastest(f, MF_PREC_INT8);

        ladder_add(l, int8);
        ladder_add(l, mix(f, int8, bf16));
    }
}

static enum mf_precision wished(enum mf_precision_wish wish)
{
    switch (wish) {
    case MF_WISH_BF16: return MF_PREC_BF16;
    case MF_WISH_FP16: return MF_PREC_FP16;
    case MF_WISH_INT8: return MF_PREC_INT8;
    case MF_WISH_AUTO:
    case MF_WISH_F32:
    default: return MF_PREC_F32;
    }
}

int mf_ladder_init(struct mf_ladder *l, const struct mf_frame *f,
                   const struct mf_encoder_options *opt, struct mf_err *err)
{
    memset(l, 0, sizeof(*l));
    if (opt->wish == MF_WISH_AUTO) {
        ladder_all(l, f, opt);
        return 0;
    }
    ladder_add(l, fastest(f, wished(opt->wish)));
    if (l->n == 0) {
        return mf_err_set(err, MF_EINVAL,
                          "embed.precision=%s: this CPU has no such arithmetic; use "
                          "embed.precision=auto",
                          mf_precision_name(wished(opt->wish)));
    }
    return 0;
}

const char *mf_choice_precision(const struct mf_choice *c)
{
    return c->main->precision == c->down->precision
               ? mf_precision_name(c->main->precision)
               : "int8+bf16";
}

/* What a walk needs of f32, made once. */
struct walk {
    const struct mf_frame *f;
    const struct mf_encoder_options *opt;
    float *absmax;
    float *reference; /* the guard's vectors, or NULL */
};

static bool needs_f32(const struct mf_ladder *l)
{
    return l->step[0].main->precision != MF_PREC_F32;
}

/* Calibrates, and embeds the guard's texts. */
static int walk_prepare(struct walk *w, const struct mf_ladder *l)
{
    struct mf_choice f32 = fastest(w->f, MF_PREC_F32);
    const struct mf_ids *guard = &w->opt->guard;
    struct mf_stack *st;
    int rc;

    if (!needs_f32(l)) {
        return 0;
    }
    rc = mf_stack_new(&st, w->f, &f32, NULL);
    if (rc == 0 && w->opt->calibration.n > 0) {
        rc = mf_calibrate(st, &w->opt->calibration, w->absmax);
    }
    if (rc == 0 && guard->n > 0) {
        w->reference = mf_array(guard->n * w->f->info.hidden, sizeof(float));
        rc = w->reference == NULL ? MF_ENOMEM : mf_embed_texts(st, guard, w->reference);
    }
    mf_stack_free(st);
    return rc;
}

/* The step's stack, with what the guard said in its choice. */
static int try_step(const struct walk *w, const struct mf_choice *step,
                    struct mf_stack **out)
{
    bool smooth = step->main->precision == MF_PREC_INT8 && w->opt->calibration.n > 0;
    int rc = mf_stack_new(out, w->f, step, smooth ? w->absmax : NULL);

    if (rc < 0) {
        return rc;
    }
    if (step->main->precision == MF_PREC_F32) {
        (*out)->choice.guard_min = (*out)->choice.guard_mean = 1;
        return 0;
    }
    if (w->reference != NULL) {
        rc = mf_guard(*out, &w->opt->guard, w->reference);
    }
    if (rc < 0) {
        mf_stack_free(*out);
    }
    return rc;
}

static bool has_passed(const struct walk *w, const struct mf_choice *c)
{
    return c->main->precision == MF_PREC_F32 || w->reference == NULL ||
           c->guard_min >= mf_guard_bound(c);
}

static int walk_down(const struct walk *w, const struct mf_ladder *l,
                     struct mf_stack **out, struct mf_err *err)
{
    float least = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct mf_choice *step = &l->step[i];
        int rc = try_step(w, step, out);

        if (rc < 0) {
            return mf_err_set(err, rc, "no memory for model %s", w->f->info.name);
        }
        if (has_passed(w, &(*out)->choice)) {
            return 0;
        }
        least = (*out)->choice.guard_min;
        mf_log_info("encoder_guard", "step=%s kernel=%s min=%.5f bound=%.4f",
                    mf_choice_precision(step), step->main->name, (double)least,
                    (double)mf_guard_bound(step));
        mf_stack_free(*out);
    }
    /* f32 passes always, so this was an only step. */
    return mf_err_set(err, MF_EINVAL,
                      "embed.precision=%s: smallest cosine against f32 is %.5f, below "
                      "%.4f; use embed.precision=auto",
                      mf_choice_precision(&l->step[0]), (double)least,
                      (double)mf_guard_bound(&l->step[0]));
}

int mf_ladder_walk(const struct mf_ladder *l, const struct mf_frame *f,
                   const struct mf_encoder_options *opt, float *absmax,
                   struct mf_stack **out, struct mf_err *err)
{
    struct walk w = {.f = f, .opt = opt, .absmax = absmax};
    int rc = walk_prepare(&w, l);

    *out = NULL;
    if (rc < 0) {
        mf_err_set(err, rc, "no memory for model %s", f->info.name);
    } else {
        rc = walk_down(&w, l, out, err);
    }
    mf_free(w.reference);
    if (rc < 0) {
        *out = NULL;
    }
    return rc;
}
