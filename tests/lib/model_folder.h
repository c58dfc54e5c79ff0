/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model_folder: small sentence encoders for tests, written in the sentence-transformers
 * layout: config.json, modules.json, 1_Pooling/config.json, sentence_bert_config.json,
 * tokenizer_config.json, vocab.txt, model.safetensors.
 *
 * Values depend on seed, tensor and index alone (mf_model_value), so that a test knows
 * them without reading the file. A test may change the list of tensors before it is
 * written, or write single files anew.
 *
 * Owns:    a list's entries, until freed (plain malloc: allocation sweeps do not reach
 *          it)
 * Thread:  any
 * Fails:   through cmocka's assertions
 */
#ifndef MF_MODEL_FOLDER_H
#define MF_MODEL_FOLDER_H

#include "weights/weights.h"

struct mf_model_spec {
    enum mf_arch arch;
    uint32_t n_layers, hidden, n_heads, ffn, n_vocab, n_positions, n_types, window;
    uint32_t seed;
    const char *prefix;  /* "bert." before each name; NULL: none */
    const char *dtype;   /* "F32", "F16", "BF16" */
    const char *pooling; /* "mean", "cls", "max", "lasttoken" */
    bool normalise;
    bool gamma_beta; /* LayerNorm's old names */
};

/* 2 layers, 32 wide, 4 heads, ffn 64, 160 words, 40 positions, a window of 32, mean,
 * normalised, F32. */
struct mf_model_spec mf_model_small(void);

struct mf_model_tensor {
    char name[96];
    const char *dtype;
    uint32_t n_dims;
    uint64_t dim[4];
};

struct mf_model_tensors {
    struct mf_model_tensor *all;
    size_t n;
};

/* As published for the architecture, in the order in which they are written. */
struct mf_model_tensors mf_model_tensors(const struct mf_model_spec *s);
void mf_model_tensors_free(struct mf_model_tensors *list);
struct mf_model_tensor *mf_model_tensor(const struct mf_model_tensors *list,
                                        const char *name);
void mf_model_tensor_remove(struct mf_model_tensors *list, const char *name);
/* Element `i` of the tensor; norms' weights are near 1, the others near 0. */
float mf_model_value(uint32_t seed, const char *name, uint64_t i);
uint16_t mf_model_half(float f); /* the value in half precision */

#define MF_MODEL_PIECE_MAX 16

/* The piece of this id, for any number of pieces: the five special ones, letters and
 * digits alone and behind "##", then "word89" and so on. */
void mf_model_piece(uint32_t id, char out[MF_MODEL_PIECE_MAX]);

/* The whole folder. */
void mf_model_folder(const char *folder, const struct mf_model_spec *s);
/* All but the weights. */
void mf_model_configs(const char *folder, const struct mf_model_spec *s);
void mf_model_safetensors(const char *folder, const struct mf_model_tensors *list,
                          uint32_t seed);
void mf_model_file(const char *folder, const char *name, struct mf_slice bytes);
void mf_model_text(const char *folder, const char *name, const char *text);
void mf_model_remove(const char *folder, const char *name);

#endif
