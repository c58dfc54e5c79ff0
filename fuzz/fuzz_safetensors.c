/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a .safetensors file: refused with a sentence, or all tensors are in the
 * file, beside each other, their names found once; and those of a sentence encoder bind
 * to roles whose every row can be read.
 *
 * The first byte says whether the rest is the whole file, or a header to which the
 * fuzzer adds its length and data: mutations would hardly ever get the length right.
 */
#include "weights/roles.h"
#include "weights/safetensors.h"

#include <stdlib.h>

#define CHECK(cond) ((cond) ? (void)0 : abort())
#define MAX_DATA    4096U
#define MAX_COLS    64U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_entries(const struct mf_wtable *t)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct mf_wentry *e = &t->all[i];
        uint64_t elements = 1;

        for (uint32_t k = 0; k < e->n_dims; k++) {
            elements *= e->dim[k];
        }
        CHECK(e->n_bytes == elements * e->type->n_bytes);
        CHECK(e->begin <= t->data.n && e->n_bytes <= t->data.n - e->begin);
        CHECK(i == 0 || !mf_slice_eq(e->name, t->all[i - 1].name));
        CHECK(memchr(e->name.p, '\0', e->name.n) != NULL ||
              mf_wtable_find(t, e->name.p) == e);
        sum += e->n_bytes;
    }
    CHECK(sum == t->data.n);
}

static void read_tensor(const struct mf_tensor *t)
{
    float row[MAX_COLS];

    CHECK(t->cols <= MAX_COLS);
    for (uint32_t r = 0; r < t->rows; r++) {
        mf_tensor_read(t, r, 1, row);
    }
}

/* An encoder so small that a fuzzer can spell it: one layer, 1 wide. */
static void bind(const struct mf_wtable *t, enum mf_naming naming)
{
    struct mf_plan p = {.info = {.n_layers = 1, .hidden = 1, .n_heads = 1, .ffn = 1},
                        .naming = naming};
    struct mf_err err = {0};
    struct mf_roles r;
    int rc = mf_roles_bind(&r, t, &p, &err);

    if (rc < 0) {
        CHECK(rc == MF_EINVAL && err.msg[0] != '\0');
        return;
    }
    for (unsigned i = 0; i < MF_W_MODEL_ROLES; i++) {
        read_tensor(&r.model[i]);
    }
    for (unsigned i = 0; i < MF_W_LAYER_ROLES; i++) {
        read_tensor(&r.layer[0][i]);
    }
    mf_roles_free(&r);
}

/* A file around the header: two bytes say how much data. */
static char *wrap(const uint8_t *data, size_t n, size_t *n_file)
{
    size_t n_data = n < 2 ? 0 : mf_get_u16(data) % MAX_DATA;
    size_t n_header = n < 2 ? 0 : n - 2;
    char *file = calloc(1, 8 + n_header + n_data);

    CHECK(file != NULL);
    mf_put_u64(file, n_header);
    if (n_header > 0) {
        memcpy(file + 8, data + 2, n_header);
    }
    *n_file = 8 + n_header + n_data;
    return file;
}

static void read_file(struct mf_slice file)
{
    struct mf_err err = {0};
    struct mf_wtable t;
    int rc = mf_safetensors_read(&t, "f", file, &err);

    if (rc < 0) {
        CHECK(rc == MF_EINVAL && err.code == rc && err.msg[0] != '\0');
        return;
    }
    check_entries(&t);
    bind(&t, MF_NAMING_BERT);
    bind(&t, MF_NAMING_DISTILBERT);
    bind(&t, MF_NAMING_MPNET);
    mf_wtable_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t n_file;
    char *file;

    if (n == 0) {
        return 0;
    }
    if (data[0] == 'w') {
        read_file(mf_slice_of((const char *)data + 1, n - 1));
        return 0;
    }
    file = wrap(data + 1, n - 1, &n_file);
    read_file(mf_slice_of(file, n_file));
    free(file);
    return 0;
}
