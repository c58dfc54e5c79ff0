/* SPDX-License-Identifier: Apache-2.0 */
/* An encoder with a device beside one without, of the same made-up weights. */
#ifndef OFFLOAD_KIT_H
#define OFFLOAD_KIT_H

#include "npu/offload.h"
#include "unit/encoder_kit.h"

#define WIDTH    512 /* the widest model here */
#define LAYERS   2
#define PRODUCTS ((uint64_t)LAYERS * MF_DENSE_ROLES)

struct bench {
    struct mf_weights *w;
    struct mf_encoder *e, *cpu; /* with the device; without one */
    struct mf_npu_offload *o;
    struct mf_npu_offload_conf conf;
    struct kit_texts texts;
    struct mf_err err;
};

/* Every batch to the twin; lost ones come back after 1 to 2 ms. */
struct mf_npu_offload_conf always(void);
/* The same, and what is lost stays lost: for an hour. */
struct mf_npu_offload_conf once(void);
void bench_prepare(struct bench *t, const struct kit_shape *shape);
void bench_open(struct bench *t, const struct kit_shape *shape,
                const struct mf_npu_offload_conf *conf);
void bench_close(struct bench *t);
void run(const struct mf_encoder *e, const struct mf_ids *ids, float *out);
/* The smallest cosine of both encoders' vectors; the largest difference. */
double agreement(const struct bench *t, double *most);
struct mf_npu_report report(const struct bench *t);
void pause_ms(long ms);

#endif
