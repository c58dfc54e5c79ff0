/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/offload_kit.h"

#include "encoder/encoder_in.h"
#include "lib/mf_test.h"
#include "npu/twin.h"

#include <math.h>
#include <string.h>
#include <time.h>

struct mf_npu_offload_conf always(void)
{
    return (struct mf_npu_offload_conf){.backend = mf_npu_twin(),
                                        .npu = {.queue_depth = 4},
                                        .deadline_ms = 3000,
                                        .min_rows = 1,
                                        .first_backoff_ms = 1,
                                        .max_backoff_ms = 2};
}

struct mf_npu_offload_conf once(void)
{
    struct mf_npu_offload_conf conf = always();

    conf.first_backoff_ms = conf.max_backoff_ms = 3600000;
    return conf;
}

/* An encoder that gives the same bits: of the same kernel, which is chosen by a
 * measurement that comes out this way or that for a model as small as these. */
static struct mf_encoder *peer_of(const struct mf_encoder *e,
                                  const struct mf_weights *w)
{
    struct mf_encoder *peer = kit_open(w, MF_WISH_F32);

    while (strcmp(mf_encoder_info(peer)->kernel, mf_encoder_info(e)->kernel) != 0) {
        mf_encoder_close(peer);
        peer = kit_open(w, MF_WISH_F32);
    }
    return peer;
}

void bench_prepare(struct bench *t, const struct kit_shape *shape)
{
    memset(t, 0, sizeof(*t));
    t->conf = always();
    t->w = kit_model(shape);
    t->e = kit_open(t->w, MF_WISH_F32);
    t->cpu = peer_of(t->e, t->w);
    kit_texts(&t->texts, 8, 20, 3);
}

void bench_open(struct bench *t, const struct kit_shape *shape,
                const struct mf_npu_offload_conf *conf)
{
    bench_prepare(t, shape);
    if (conf != NULL) {
        t->conf = *conf;
    }
    if (mf_npu_offload_open(&t->o, t->e, &t->conf, &t->err) < 0) {
        fail_msg("%s", t->err.msg);
    }
}

void bench_close(struct bench *t)
{
    mf_npu_offload_close(t->o);
    mf_npu_twin_set_faults(NULL);
    mf_encoder_close(t->e);
    mf_encoder_close(t->cpu);
    kit_model_free(t->w);
}

void run(const struct mf_encoder *e, const struct mf_ids *ids, float *out)
{
    struct mf_scratch *s;
    int rc[KIT_TEXTS_MAX];

    MF_CHECK_OK(mf_scratch_new(&s, e, KIT_IDS_MAX));
    mf_encoder_run(e, s, ids, 0, out, rc);
    for (size_t i = 0; i < ids->n; i++) {
        MF_CHECK_OK(rc[i]); /* whatever the device does */
    }
    mf_scratch_free(s);
}

double agreement(const struct bench *t, double *most)
{
    static float a[KIT_TEXTS_MAX * WIDTH], b[KIT_TEXTS_MAX * WIDTH];
    uint32_t dim = mf_encoder_model(t->e)->hidden;
    double least = 1;

    run(t->e, &t->texts.ids, a);
    run(t->cpu, &t->texts.ids, b);
    *most = 0;
    for (size_t i = 0; i < t->texts.ids.n; i++) {
        least = fmin(least, kit_cosine(a + i * dim, b + i * dim, dim));
        for (size_t d = 0; d < dim; d++) {
            *most = fmax(*most, fabs((double)a[i * dim + d] - (double)b[i * dim + d]));
        }
    }
    return least;
}

struct mf_npu_report report(const struct bench *t)
{
    struct mf_npu_report r;

    mf_npu_offload_report(t->o, &r);
    return r;
}

void pause_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};

    (void)nanosleep(&t, NULL);
}
