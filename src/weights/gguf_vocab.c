/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/gguf_vocab.h"

#include "jdoc/jdoc.h"
#include "weights/plan.h"

#define TOKENIZER "tokenizer.ggml."
#define N_NAMED   5U

/* What tokenizer.ggml.token_type says of a piece. */
enum piece_type {
    TYPE_NORMAL = 1,
    TYPE_UNKNOWN,
    TYPE_CONTROL,
    TYPE_USER_DEFINED,
    TYPE_UNUSED /* a hole in the vocabulary, named to fill it */
};

struct reader {
    const struct mf_gguf_cursor *c;
    const struct mf_gguf_meta *m;
    struct mf_arena *arena;
    struct mf_slice *pieces;
    uint32_t *special;
    struct mf_weights_vocab *out;
};

static uint32_t type_of(const struct mf_gguf_meta *m, size_t id)
{
    return m->piece_types.n == 0
               ? TYPE_NORMAL
               : mf_get_u32(m->piece_types.bytes.p + id * sizeof(uint32_t));
}

static int no_memory(const struct reader *rd)
{
    return mf_err_set(rd->c->err, MF_ENOMEM, "%s: out of memory", rd->c->file);
}

/* ---- what is there ---- */

static int check_model(const struct reader *rd)
{
    struct mf_shown shown;

    if (rd->m->tokenizer.n == 0) {
        return mf_err_set(rd->c->err, MF_EINVAL,
                          "%s: " TOKENIZER "model is missing: convert the model "
                          "together with its tokenizer",
                          rd->c->file);
    }
    if (!mf_slice_is(rd->m->tokenizer, "bert")) {
        return mf_err_set(rd->c->err, MF_EINVAL,
                          "%s: " TOKENIZER "model %s is not supported; bert is",
                          rd->c->file, mf_shown(&shown, rd->m->tokenizer));
    }
    return 0;
}

static int check_lists(const struct reader *rd)
{
    uint64_t n = rd->m->pieces.n, n_types = rd->m->piece_types.n;

    if (n == 0 || n > MF_PLAN_MAX_VOCAB) {
        return mf_err_set(rd->c->err, MF_EINVAL,
                          "%s: " TOKENIZER "tokens has %llu pieces or is missing, "
                          "expected 1 to %d",
                          rd->c->file, (unsigned long long)n, MF_PLAN_MAX_VOCAB);
    }
    if (n_types != 0 && n_types != n) {
        return mf_err_set(
            rd->c->err, MF_EINVAL,
            "%s: " TOKENIZER "token_type has %llu elements, " TOKENIZER "tokens %llu",
            rd->c->file, (unsigned long long)n_types, (unsigned long long)n);
    }
    return 0;
}

/* ---- the special pieces ---- */

static void add_special(struct reader *rd, uint32_t id)
{
    for (size_t i = 0; i < rd->out->n_special && i < N_NAMED; i++) {
        if (rd->special[i] == id) {
            return;
        }
    }
    rd->special[rd->out->n_special++] = id;
}

/* A key's end and what it said. */
struct named {
    const char *key;
    uint32_t id;
};

static int take_named(struct reader *rd, struct named k, uint32_t *out)
{
    if (k.id == MF_GGUF_NONE) {
        return mf_err_set(rd->c->err, MF_EINVAL, "%s: " TOKENIZER "%s is missing",
                          rd->c->file, k.key);
    }
    if (k.id >= rd->out->n) {
        return mf_err_set(rd->c->err, MF_EINVAL,
                          "%s: " TOKENIZER "%s is %u, there are %u pieces", rd->c->file,
                          k.key, k.id, rd->out->n);
    }
    *out = k.id;
    add_special(rd, k.id);
    return 0;
}

static int take_named_if_there(struct reader *rd, struct named k, uint32_t *out)
{
    return k.id == MF_GGUF_NONE ? 0 : take_named(rd, k, out);
}

static struct named or_else(struct named a, struct named b)
{
    return a.id == MF_GGUF_NONE && b.id != MF_GGUF_NONE ? b : a;
}

/* Writers call [CLS] and [SEP] by their own names, or as what begins and ends a text,
 * or both. */
static int read_named(struct reader *rd)
{
    const struct mf_gguf_meta *m = rd->m;
    struct mf_weights_vocab *v = rd->out;
    struct named cls = {"cls_token_id", m->cls_id}, bos = {"bos_token_id", m->bos_id};
    struct named sep = {"seperator_token_id", m->sep_id};
    struct named eos = {"eos_token_id", m->eos_id};
    struct named unk = {"unknown_token_id", m->unk_id};
    struct named pad = {"padding_token_id", m->pad_id};
    struct named mask = {"mask_token_id", m->mask_id};
    uint32_t mask_id;
    int rc = take_named(rd, or_else(cls, bos), &v->cls_id);

    rc = rc < 0 ? rc : take_named(rd, or_else(sep, eos), &v->sep_id);
    rc = rc < 0 ? rc : take_named(rd, unk, &v->unk_id);
    rc = rc < 0 ? rc : take_named_if_there(rd, pad, &v->pad_id);
    return rc < 0 ? rc : take_named_if_there(rd, mask, &mask_id);
}

/* Those named, and those that the types tell. */
static size_t max_special(const struct mf_gguf_meta *m)
{
    size_t n = N_NAMED;

    for (size_t i = 0; i < m->piece_types.n; i++) {
        n += type_of(m, i) == TYPE_UNKNOWN || type_of(m, i) == TYPE_CONTROL;
    }
    return n;
}

/* ---- pieces ---- */

/* Writers of old put nothing before what stands in brackets, whatever it is. No word
 * has brackets inside: they are words of their own. */
static bool is_in_brackets(struct mf_slice s)
{
    return s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
}

static bool has_capital(struct mf_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= 'A' && s.p[i] <= 'Z') {
            return true;
        }
    }
    return false;
}

/* A word's piece as WordPiece writes it; its p is NULL when there is no memory. */
static struct mf_slice word_piece(struct mf_arena *arena, struct mf_slice s)
{
    static const char mark[] = "\u2581";
    size_t n = sizeof(mark) - 1;
    char *p;

    if (s.n >= n && memcmp(s.p, mark, n) == 0) {
        return mf_slice_of(s.p + n, s.n - n);
    }
    p = mf_arena_alloc(arena, s.n + 2);
    if (p != NULL) {
        p[0] = p[1] = '#';
        memcpy(p + 2, s.p, s.n);
    }
    return mf_slice_of(p, s.n + 2);
}

static int refuse_type(const struct reader *rd, uint32_t id, uint32_t type)
{
    return mf_err_set(rd->c->err, MF_EINVAL,
                      "%s: " TOKENIZER "token_type of piece %u is %u; normal (1), "
                      "unknown (2), control (3) and unused (5) are supported",
                      rd->c->file, id, type);
}

static int read_piece(struct reader *rd, uint32_t id, struct mf_slice s, uint32_t type)
{
    switch (type) {
    case TYPE_UNKNOWN:
    case TYPE_CONTROL:
        add_special(rd, id);
        rd->pieces[id] = s;
        return 0;
    case TYPE_NORMAL:
    case TYPE_UNUSED: break;
    default: return refuse_type(rd, id, type);
    }
    rd->pieces[id] = is_in_brackets(s) ? s : word_piece(rd->arena, s);
    if (rd->pieces[id].p == NULL) {
        return no_memory(rd);
    }
    if (type == TYPE_NORMAL && !is_in_brackets(rd->pieces[id]) &&
        has_capital(rd->pieces[id])) {
        rd->out->lowercase = false;
    }
    return 0;
}

static int read_pieces(struct reader *rd)
{
    struct mf_gguf_cursor texts = {.bytes = rd->m->pieces.bytes};

    rd->out->lowercase = true;
    for (uint32_t id = 0; id < rd->out->n; id++) {
        struct mf_slice text = mf_gguf_take_text(&texts);
        int rc = read_piece(rd, id, text, type_of(rd->m, id));

        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int mf_gguf_read_vocab(const struct mf_gguf_cursor *c, const struct mf_gguf_meta *m,
                       struct mf_arena *arena, struct mf_weights_vocab *out)
{
    struct reader rd = {.c = c, .m = m, .arena = arena, .out = out};
    int rc = check_model(&rd);

    rc = rc < 0 ? rc : check_lists(&rd);
    if (rc < 0) {
        return rc;
    }
    *out = (struct mf_weights_vocab){.n = (uint32_t)m->pieces.n};
    rd.pieces = mf_arena_alloc(arena, out->n * sizeof(*rd.pieces));
    rd.special = mf_arena_alloc(arena, max_special(m) * sizeof(*rd.special));
    if (rd.pieces == NULL || rd.special == NULL) {
        return no_memory(&rd);
    }
    out->pieces = rd.pieces;
    out->special = rd.special;
    rc = read_named(&rd);
    return rc < 0 ? rc : read_pieces(&rd);
}
