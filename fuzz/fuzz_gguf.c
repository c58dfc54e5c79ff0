/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a GGUF file: refused with a sentence, or the plan is within its bounds,
 * all tensors are in the file and bind to roles whose rows can be read, or are refused.
 *
 * Inputs that begin with 't' are text, of which the fuzzer makes a file: lines
 *     key value        metadata: text behind a quote, else a whole number; a key that
 *                      ends in "epsilon" has a real one
 *     key ["a b        a list of text, parted by blanks
 *     key [1 2         a list of whole numbers
 *     name:TYPE AxB    a tensor, its data behind the others'
 * so that mutations reach what is behind the lengths and counts.
 */
#include "weights/gguf.h"
#include "weights/roles.h"

#include <stdlib.h>

#define CHECK(cond) ((cond) ? (void)0 : abort())
#define ALIGNMENT   32U
#define MAX_DATA    65536U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* ---- a file from text ---- */

struct maker {
    struct mf_buf meta, tensors;
    uint64_t n_meta, n_tensors, n_data;
};

static void put_u32(struct mf_buf *b, uint32_t v)
{
    mf_buf_add(b, &v, sizeof(v));
}

static void put_u64(struct mf_buf *b, uint64_t v)
{
    mf_buf_add(b, &v, sizeof(v));
}

static void put_text(struct mf_buf *b, struct mf_slice s)
{
    put_u64(b, s.n);
    mf_buf_add_slice(b, s);
}

/* Up to `end`, which is taken too; all when it is not there. */
static struct mf_slice word(struct mf_slice *line, char end)
{
    const char *at = line->n == 0 ? NULL : memchr(line->p, end, line->n);
    struct mf_slice w = *line;

    if (at != NULL) {
        w.n = (size_t)(at - line->p);
    }
    line->p += at == NULL ? w.n : w.n + 1;
    line->n -= at == NULL ? w.n : w.n + 1;
    return w;
}

static uint64_t number(struct mf_slice s)
{
    uint64_t v = 0;

    return mf_slice_to_u64(s, &v) == 0 ? v : s.n;
}

static void put_list(struct mf_buf *b, struct mf_slice items)
{
    bool is_text = items.n > 0 && items.p[0] == '"';
    struct mf_slice rest;
    uint64_t n = 0;

    if (is_text) {
        (void)word(&items, '"');
    }
    for (rest = items; rest.n > 0; n++) {
        (void)word(&rest, ' ');
    }
    put_u32(b, 9);
    put_u32(b, is_text ? 8 : 5);
    put_u64(b, n);
    for (; n > 0; n--) {
        struct mf_slice item = word(&items, ' ');

        if (is_text) {
            put_text(b, item);
        } else {
            put_u32(b, (uint32_t)number(item));
        }
    }
}

static void add_meta(struct maker *m, struct mf_slice key, struct mf_slice value)
{
    static const float eps = 1e-12F;

    put_text(&m->meta, key);
    if (value.n > 0 && value.p[0] == '"') {
        put_u32(&m->meta, 8);
        put_text(&m->meta, mf_slice_of(value.p + 1, value.n - 1));
    } else if (value.n > 0 && value.p[0] == '[') {
        put_list(&m->meta, mf_slice_of(value.p + 1, value.n - 1));
    } else if (key.n > 8 && memcmp(key.p + key.n - 7, "epsilon", 7) == 0) {
        put_u32(&m->meta, 6);
        mf_buf_add(&m->meta, &eps, sizeof(eps));
    } else {
        put_u32(&m->meta, 4);
        put_u32(&m->meta, (uint32_t)number(value));
    }
    m->n_meta++;
}

static void add_tensor(struct maker *m, struct mf_slice name, struct mf_slice rest)
{
    uint32_t type = (uint32_t)number(word(&rest, ' '));
    uint32_t n_dims = 0;
    uint64_t dims[8] = {0}, n = 1;

    while (rest.n > 0 && n_dims < mf_countof(dims)) {
        dims[n_dims] = number(word(&rest, 'x'));
        n *= dims[n_dims++];
    }
    put_text(&m->tensors, name);
    put_u32(&m->tensors, n_dims);
    mf_buf_add(&m->tensors, dims, n_dims * sizeof(dims[0]));
    put_u32(&m->tensors, type);
    put_u64(&m->tensors, m->n_data);
    n = type == 0 ? n * 4 : type == 8 ? n / 32 * 34 : n * 2;
    m->n_data += (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    m->n_tensors++;
}

static void put_data(struct mf_buf *file, uint64_t n)
{
    char *p = mf_buf_reserve(file, (size_t)n);

    CHECK(p != NULL);
    memset(p, '8', (size_t)n);
    file->n += (size_t)n;
}

static void make(struct mf_buf *file, struct mf_slice text)
{
    struct maker m = {0};

    mf_buf_init(&m.meta);
    mf_buf_init(&m.tensors);
    while (text.n > 0) {
        struct mf_slice line = word(&text, '\n'), whole = line;
        struct mf_slice name = word(&line, ':');

        if (line.n > 0) {
            add_tensor(&m, name, line);
        } else {
            name = word(&whole, ' ');
            add_meta(&m, name, whole);
        }
    }
    mf_buf_add_str(file, "GGUF");
    put_u32(file, 3);
    put_u64(file, m.n_tensors);
    put_u64(file, m.n_meta);
    mf_buf_add(file, m.meta.p, m.meta.n);
    mf_buf_add(file, m.tensors.p, m.tensors.n);
    put_data(file, mf_min(m.n_data, MAX_DATA) + (-file->n % ALIGNMENT));
    CHECK(mf_buf_status(file) == 0);
    mf_buf_fini(&m.meta);
    mf_buf_fini(&m.tensors);
}

/* ---- what is read ---- */

static void check_plan(const struct mf_plan *p)
{
    const struct mf_weights_info *i = &p->info;

    CHECK(i->n_layers >= 1 && i->n_layers <= MF_PLAN_MAX_LAYERS);
    CHECK(i->hidden >= 1 && i->hidden <= MF_PLAN_MAX_WIDTH);
    CHECK(i->ffn >= 1 && i->ffn <= MF_PLAN_MAX_WIDTH);
    CHECK(i->n_heads >= 1 && i->hidden % i->n_heads == 0);
    CHECK(i->window >= MF_PLAN_MIN_WINDOW);
    CHECK(i->norm_eps > 0 && i->norm_eps < 1);
}

static void check_vocab(const struct mf_weights_vocab *v)
{
    size_t n_bytes = 0;

    CHECK(v->n >= 1 && v->n <= MF_PLAN_MAX_VOCAB && v->n_special >= 1);
    CHECK(v->cls_id < v->n && v->sep_id < v->n && v->unk_id < v->n && v->pad_id < v->n);
    for (uint32_t id = 0; id < v->n; id++) {
        struct mf_slice s = v->pieces[id];

        for (size_t i = 0; i < s.n; i++) {
            n_bytes += s.p[i] != 0; /* all of them can be read */
        }
    }
    CHECK(n_bytes <= MF_WEIGHTS_HEADER_MAX);
    for (size_t i = 0; i < v->n_special; i++) {
        CHECK(v->special[i] < v->n);
    }
}

static void check_entries(const struct mf_wtable *t)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct mf_wentry *e = &t->all[i];

        CHECK(e->begin <= t->data.n && e->n_bytes <= t->data.n - e->begin);
        sum += e->n_bytes;
    }
    CHECK(sum <= t->data.n);
}

static void read_tensor(const struct mf_tensor *t)
{
    float *all = calloc((size_t)t->rows * t->cols + 1, sizeof(*all));

    CHECK(all != NULL);
    if (t->rows > 0) {
        mf_tensor_read(t, 0, t->rows, all);
    }
    free(all);
}

static void bind(const struct mf_wtable *t, struct mf_plan *p)
{
    struct mf_err err = {0};
    struct mf_roles r;
    int rc = mf_roles_bind(&r, t, p, &err);

    if (rc < 0) {
        CHECK(rc == MF_EINVAL && err.msg[0] != '\0');
        return;
    }
    for (unsigned i = 0; i < MF_W_MODEL_ROLES; i++) {
        read_tensor(&r.model[i]);
    }
    for (uint32_t layer = 0; layer < p->info.n_layers; layer++) {
        for (unsigned i = 0; i < MF_W_LAYER_ROLES; i++) {
            read_tensor(&r.layer[layer][i]);
        }
    }
    mf_roles_free(&r);
}

static void read_file(struct mf_slice file)
{
    struct mf_plan plan = {0};
    struct mf_err err = {0};
    struct mf_arena arena;
    struct mf_wtable t;
    int rc;

    mf_arena_init(&arena, 1024);
    rc = mf_gguf_read(&plan, &arena, &t, "f", file, &err);
    if (rc < 0) {
        CHECK(rc == MF_EINVAL && err.code == rc && err.msg[0] != '\0');
    } else {
        check_plan(&plan);
        check_vocab(&plan.vocab);
        check_entries(&t);
        bind(&t, &plan);
        mf_wtable_fini(&t);
    }
    mf_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mf_slice input = mf_slice_of((const char *)data, n);
    struct mf_buf file;

    if (n == 0 || data[0] != 't') {
        read_file(input);
        return 0;
    }
    mf_buf_init(&file);
    make(&file, mf_slice_of(input.p + 1, n - 1));
    read_file(mf_slice_of(file.p, file.n));
    mf_buf_fini(&file);
    return 0;
}
