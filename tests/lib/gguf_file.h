/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gguf_file: small sentence encoders for tests as a GGUF file, as llama.cpp's converter
 * writes one: the values and the vocabulary of model_folder's small model. A test may
 * change keys, pieces and tensors before the file is written.
 *
 * Owns:    nothing; the struct is large, make it static
 * Thread:  any
 * Fails:   through cmocka's assertions
 */
#ifndef MF_GGUF_FILE_H
#define MF_GGUF_FILE_H

#include "lib/model_folder.h"

/* Types of values and of tensors, by their numbers in the file. */
enum { T_U32 = 4, T_I32, T_F32, T_BOOL, T_STRING, T_ARRAY, T_U64 };

enum { G_F32 = 0, G_F16 = 1, G_Q4_0 = 2, G_Q8_0 = 8 };

#define MF_GGUF_FILE_ALIGNMENT 32U
#define MF_GGUF_FILE_Q8_STEP   (1.0F / 512) /* between two values of a Q8_0 tensor */
#define MF_GGUF_FILE_KEYS      32U
#define MF_GGUF_FILE_TENSORS   64U
#define MF_GGUF_FILE_PIECES    192U

struct mf_gguf_key {
    const char *key;
    uint32_t type;
    uint32_t number;   /* U32, U64, BOOL; the bits of F32 */
    const char *text;  /* STRING */
    uint32_t elements; /* ARRAY: STRING are the pieces, I32 their types, F32 zeros */
    uint64_t n;        /* ARRAY */
};

struct mf_gguf_tensor {
    char name[64], source[96]; /* as llama.cpp and as PyTorch call it */
    uint32_t type, n_dims;
    uint64_t dim[4]; /* the fastest first */
    uint64_t offset; /* added to where it should begin */
};

struct mf_gguf_file {
    struct mf_gguf_key key[MF_GGUF_FILE_KEYS];
    size_t n_keys;
    char piece[MF_GGUF_FILE_PIECES][16];
    uint32_t piece_type[MF_GGUF_FILE_PIECES];
    struct mf_gguf_tensor tensor[MF_GGUF_FILE_TENSORS];
    size_t n_tensors;
    uint32_t version;
};

/* mf_model_small() with the pooling "cls"; matrices of `type`, vectors, positions and
 * token types F32. */
void mf_gguf_file_small(struct mf_gguf_file *g, uint32_t type);
struct mf_gguf_key *mf_gguf_file_add(struct mf_gguf_file *g, const char *key,
                                     uint32_t number);
struct mf_gguf_key *mf_gguf_file_key(struct mf_gguf_file *g, const char *key);
struct mf_gguf_tensor *mf_gguf_file_tensor(struct mf_gguf_file *g, const char *name);
void mf_gguf_file_remove_key(struct mf_gguf_file *g, const char *key);

/* The file's bytes, which the caller frees. */
void mf_gguf_file_write(const struct mf_gguf_file *g, struct mf_buf *b);
/* Into `name` in the case's folder, whose path goes to `path` (PATH_MAX). */
void mf_gguf_file_save(const struct mf_gguf_file *g, const char *name, char *path);

#endif
