/* SPDX-License-Identifier: Apache-2.0 */
/* Small made-up models in memory (they stand in for weights/weights.h), texts of random
 * pieces, and the slow encoder in double that the real one is compared with. */
#ifndef MF_TESTS_ENCODER_KIT_H
#define MF_TESTS_ENCODER_KIT_H

#include "encoder/encoder.h"

struct kit_shape {
    enum mf_arch arch;
    uint32_t n_layers, hidden, n_heads, ffn, window;
    enum mf_pooling pooling;
    enum mf_activation activation;
};

#define KIT_VOCAB     50
#define KIT_BUCKETS   32
#define KIT_TEXTS_MAX 64
#define KIT_IDS_MAX   2048

struct kit_texts {
    uint32_t id[KIT_IDS_MAX], at[KIT_TEXTS_MAX + 1];
    struct mf_ids ids;
};

extern const struct kit_shape kit_small; /* BERT, 2 layers, 32 wide, 4 heads, mean */

struct mf_weights *kit_model(const struct kit_shape *shape);
void kit_model_free(struct mf_weights *w);
float *kit_of_model(struct mf_weights *w, enum mf_model_role role);
float *kit_of_layer(struct mf_weights *w, uint32_t layer, enum mf_layer_role role);

/* n texts of 1..longest pieces; another `seed`, other texts. */
void kit_texts(struct kit_texts *t, size_t n, uint32_t longest, uint32_t seed);
struct mf_ids kit_one(const struct mf_ids *ids, size_t i, uint32_t at[2]);

struct mf_encoder *kit_open(const struct mf_weights *w, enum mf_precision_wish wish);
void kit_run(const struct mf_encoder *e, const struct mf_ids *ids, unsigned flags,
             float *out);
/* What the last layer gives for one text: n x hidden. */
void kit_reference(const struct mf_weights *w, const uint32_t *id, uint32_t n,
                   double *rows);
/* Pooled and brought to unit length. */
void kit_reference_vector(const struct mf_weights *w, const uint32_t *id, uint32_t n,
                          double *out);
double kit_cosine(const float *a, const float *b, uint32_t n);

#endif
