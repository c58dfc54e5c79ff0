/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in model: signed feature hashing of stems and of the 3- and 4-grams in the
 * words, with a fixed prior. It knows spelling, not meaning: lexical, no synonyms.
 *
 * The sums are whole numbers and the few roots and quotients at the end are exactly
 * rounded in an order that is fixed, so that one text has one vector on all machines.
 */
#include "base/mem.h"
#include "embed/hash_prior.h"
#include "embed/hash_word.h"
#include "embed/model.h"
#include "item/chunk.h"
#include "item/utf8.h"

#include <math.h>

#define SPACE        "memfuse-hash-1-384" /* a change of any vector needs a new one */
#define DIM          384
#define PER          4           /* places a feature is added to */
#define BAND         (DIM / PER) /* each in its own band, so none cancels itself */
#define WINDOW       256
#define GRAM         1.25 /* length of the n-grams' part; the words' part has 1 */
#define MAX_FEATURES 4096 /* a window of words of 6 letters has 3,328 */
#define MAX_SLOTS    8192

#define WEIGHT_STOP_WORD 1000 /* when there is nothing but stop words */
#define KEY_EMPTY        0x51A3C0F7D2E4986Bull

enum kind { KIND_WORD, KIND_GRAM, KIND_COUNT };

struct feature {
    uint64_t key;
    uint32_t prior; /* thousandths */
    uint16_t tf;
    uint16_t kind;
};

/* The distinct features of one text, and an open-addressed table of their places. */
struct features {
    size_t n, mask;
    uint16_t slot[MAX_SLOTS]; /* 1 + index; 0: free */
    struct feature f[MAX_FEATURES];
};

struct hash_model {
    struct mf_model model;
    struct mf_hash_prior prior;
};

static void features_init(struct features *fs, size_t text_bytes)
{
    size_t n_slots = 64;

    while (n_slots < 4 * text_bytes && n_slots < MAX_SLOTS) {
        n_slots *= 2;
    }
    fs->n = 0;
    fs->mask = n_slots - 1;
    memset(fs->slot, 0, n_slots * sizeof(fs->slot[0]));
}

static void add_feature(struct features *fs, enum kind kind, uint64_t key,
                        unsigned prior)
{
    size_t i = key & fs->mask;

    for (; fs->slot[i] != 0; i = (i + 1) & fs->mask) {
        struct feature *f = &fs->f[fs->slot[i] - 1];

        if (f->key == key) {
            f->tf += f->tf < UINT16_MAX;
            return;
        }
    }
    if (fs->n < MAX_FEATURES) {
        fs->f[fs->n] = (struct feature){key, prior, 1, (uint16_t)kind};
        fs->slot[i] = (uint16_t)++fs->n;
    }
}

/* Three code points fill 63 bits, so a 3-gram is its own key until it is mixed. */
static uint64_t roll(uint64_t gram, uint32_t cp)
{
    return (gram << 21 | cp) & 0x7FFFFFFFFFFFFFFFull;
}

/* " word ": the blanks tell a beginning or an end from the same letters inside. */
static void add_grams(struct features *fs, const struct mf_hash_word *w, unsigned prior)
{
    uint64_t three = roll(0, ' ');

    for (unsigned i = 0; i <= w->n; i++) {
        uint64_t before = three;

        three = roll(three, i < w->n ? w->cp[i] : ' ');
        if (i >= 1) {
            add_feature(fs, KIND_GRAM, mf_hash_mix(three ^ 1ull << 63), prior);
        }
        if (i >= 2) {
            uint64_t four = before * 0x9E3779B97F4A7C15ull + (three & 0x1FFFFF);

            add_feature(fs, KIND_GRAM, mf_hash_mix(four), prior);
        }
    }
}

/* Where no blank parts words, two characters stand for a word. */
static void add_wide(struct features *fs, const struct mf_hash_word *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        uint64_t one = w->cp[i], two = roll(one, i + 1 < w->n ? w->cp[i + 1] : 0);

        add_feature(fs, KIND_GRAM, mf_hash_mix(one), MF_HASH_WEIGHT_RARE);
        if (i + 1 < w->n || w->n == 1) {
            add_feature(fs, KIND_WORD, mf_hash_mix(two), MF_HASH_WEIGHT_RARE);
        }
        if (i + 2 < w->n) {
            add_feature(fs, KIND_GRAM, mf_hash_mix(roll(two, w->cp[i + 2])),
                        MF_HASH_WEIGHT_RARE);
        }
    }
}

static void add_word(struct features *fs, const struct mf_hash_prior *p,
                     struct mf_hash_word *w, bool with_stop_words)
{
    struct mf_hash_word stem;
    unsigned prior;

    if (w->is_wide) {
        add_wide(fs, w);
        return;
    }
    prior = mf_hash_prior_weight(p, mf_hash_word_key(w));
    if (prior == MF_HASH_WEIGHT_STOP && !with_stop_words) {
        return;
    }
    stem = *w;
    mf_hash_word_stem(&stem);
    if (prior == MF_HASH_WEIGHT_STOP) {
        prior = WEIGHT_STOP_WORD;
    } else {
        prior = mf_hash_prior_weight(p, mf_hash_word_key(&stem));
    }
    if (prior ==
        MF_HASH_WEIGHT_STOP) { /* "notes" ends where "not" does: no stop word */
        prior = MF_HASH_WEIGHT_RARE;
    }
    add_feature(fs, KIND_WORD, mf_hash_word_key(&stem), prior);
    add_grams(fs, w, prior);
}

static void add_words(struct features *fs, const struct mf_hash_prior *p,
                      struct mf_slice text, bool with_stop_words)
{
    struct mf_hash_word w;

    for (size_t at = 0; mf_hash_word_next(text, &at, &w);) {
        add_word(fs, p, &w, with_stop_words);
    }
}

static void add_marks(struct features *fs, struct mf_slice text)
{
    uint32_t cp;

    for (size_t at = 0; at < text.n;) {
        at += mf_utf8_next(text, at, &cp);
        if (mf_char_class_of(cp) != MF_CHAR_BLANK) {
            add_feature(fs, KIND_WORD, mf_hash_mix(cp), MF_HASH_WEIGHT_RARE);
        }
    }
}

/* Never none: words; of a text without any, stop words; else marks; else one feature
 * that says "nothing". */
static void find_features(struct features *fs, const struct mf_hash_prior *p,
                          struct mf_slice text)
{
    features_init(fs, text.n);
    add_words(fs, p, text, false);
    if (fs->n == 0) {
        add_words(fs, p, text, true);
    }
    if (fs->n == 0) {
        add_marks(fs, text);
    }
    if (fs->n == 0) {
        add_feature(fs, KIND_WORD, KEY_EMPTY, MF_HASH_WEIGHT_RARE);
    }
}

/* 16 bits of the key for each band: a sign and a place. */
static void scatter(int32_t *sum, uint64_t key, int32_t weight)
{
    for (unsigned band = 0; band < PER; band++, key >>= 16) {
        unsigned place = (unsigned)(key & 0x7FFF) * BAND >> 15;

        sum[band * BAND + place] += (key & 0x8000) != 0 ? weight : -weight;
    }
}

/* BM25's saturation with k1 = 1.2, 1000 for a single occurrence. */
static uint32_t saturated(uint32_t tf)
{
    return 22000 * tf / (10 * tf + 12);
}

static double normalise(double *v)
{
    double part[4] = {0};
    double length;

    for (size_t i = 0; i < DIM; i += 4) {
        for (size_t k = 0; k < 4; k++) {
            part[k] += v[i + k] * v[i + k];
        }
    }
    length = sqrt((part[0] + part[1]) + (part[2] + part[3]));
    for (size_t i = 0; i < DIM && length > 0; i++) {
        v[i] /= length;
    }
    return length;
}

/* Not normalised, but nearly: the words' part and the n-grams' have fixed lengths. */
static void sum_up(const struct features *fs, double *v)
{
    static const double share[KIND_COUNT] = {[KIND_WORD] = 1, [KIND_GRAM] = GRAM};
    int32_t sum[KIND_COUNT][DIM] = {{0}};
    uint64_t squares[KIND_COUNT] = {0};

    for (size_t i = 0; i < fs->n; i++) {
        const struct feature *f = &fs->f[i];
        uint32_t weight = f->prior * saturated(f->tf) / 1000;

        scatter(sum[f->kind], f->key, (int32_t)weight);
        squares[f->kind] += (uint64_t)weight * weight;
    }
    memset(v, 0, DIM * sizeof(*v));
    for (size_t k = 0; k < KIND_COUNT; k++) {
        double factor = squares[k] > 0 ? share[k] / sqrt((double)squares[k]) : 0;

        for (size_t i = 0; i < DIM; i++) {
            v[i] += sum[k][i] * factor;
        }
    }
}

/* The text's first WINDOW pieces, whole sentences if it can; a shorter text as it is.
 * Sets how many pieces that are. */
static struct mf_slice first_pieces(struct mf_slice text, uint32_t *n_pieces)
{
    uint32_t at[WINDOW + 1];
    size_t n = mf_hash_pieces(text, at, mf_countof(at));
    struct mf_span first[2];

    *n_pieces = (uint32_t)n;
    if (n <= WINDOW) {
        return text;
    }
    (void)mf_chunk(mf_slice_of(text.p, at[WINDOW] + 1), at, WINDOW + 1, WINDOW, first,
                   2);
    for (*n_pieces = WINDOW; at[*n_pieces - 1] >= first[0].n;) {
        --*n_pieces;
    }
    return mf_slice_of(text.p, first[0].n);
}

/* The text's last WINDOW pieces. */
static struct mf_slice last_pieces(struct mf_slice text, uint32_t *n_pieces)
{
    size_t n = mf_hash_pieces(text, NULL, 0);
    struct mf_hash_piece p = {0};

    *n_pieces = (uint32_t)mf_min(n, (size_t)WINDOW);
    if (n <= WINDOW) {
        return text;
    }
    for (size_t i = 0; i <= n - WINDOW; i++) {
        (void)mf_hash_piece_next(text, &p);
    }
    return mf_slice_of(text.p + p.start, text.n - p.start);
}

/* What of a text is represented. */
static int in_window(const struct mf_text *t, struct mf_slice *part, uint32_t *n_pieces)
{
    *part = (t->flags & MF_TEXT_LEFT) != 0 ? last_pieces(t->text, n_pieces)
                                           : first_pieces(t->text, n_pieces);
    return part->n < t->text.n && (t->flags & MF_TEXT_WHOLE) != 0 ? MF_ETOOBIG : 0;
}

static void embed_text(const struct hash_model *m, struct mf_slice text, bool is_raw,
                       float *out)
{
    struct features fs;
    double v[DIM], unit[DIM];

    find_features(&fs, &m->prior, text);
    sum_up(&fs, v);
    memcpy(unit, v, sizeof(unit));
    if (!(normalise(unit) >
          0)) { /* features that cancel each other out: chance, once */
        find_features(&fs, &m->prior, MF_SLICE(""));
        sum_up(&fs, v);
        memcpy(unit, v, sizeof(unit));
        (void)normalise(unit);
    }
    for (size_t i = 0; i < DIM; i++) {
        out[i] = (float)(is_raw ? v[i] : unit[i]);
    }
}

static int hash_embed(struct mf_model *model, const struct mf_text *texts, size_t n,
                      float *out, struct mf_text_result *res)
{
    const struct hash_model *m = mf_container_of(model, struct hash_model, model);

    for (size_t i = 0; i < n; i++) {
        struct mf_slice part;

        res[i].rc = in_window(&texts[i], &part, &res[i].n_tokens);
        if (res[i].rc == 0) {
            embed_text(m, part, (texts[i].flags & MF_TEXT_RAW) != 0, out + i * DIM);
        }
    }
    return 0;
}

static size_t hash_pieces(MF_UNUSED struct mf_model *model, struct mf_slice text,
                          uint32_t *at, size_t cap)
{
    return mf_hash_pieces(text, at, cap);
}

/* It has no vocabulary: a piece's number is its place. */
static size_t hash_tokenize(MF_UNUSED struct mf_model *model, const struct mf_text *t,
                            MF_UNUSED bool special, struct mf_piece *out, size_t cap)
{
    struct mf_hash_piece p = {0};
    size_t n = 0;

    for (; mf_hash_piece_next(t->text, &p); n++) {
        if (n < cap) {
            out[n] = (struct mf_piece){
                .id = (uint32_t)n,
                .start = (uint32_t)p.start,
                .end = (uint32_t)p.end,
                .writing = mf_slice_of(t->text.p + p.start, p.end - p.start)};
        }
    }
    return n;
}

static int hash_states(MF_UNUSED struct mf_model *model,
                       MF_UNUSED const struct mf_text *t, MF_UNUSED float **out,
                       MF_UNUSED uint32_t *n_tokens)
{
    return MF_EUNPROCESSABLE; /* features of a whole text: no vectors of its pieces */
}

static void hash_close(struct mf_model *model)
{
    mf_free(mf_container_of(model, struct hash_model, model));
}

static const struct mf_model_ops hash_ops = {
    .name = "hash",
    .embed = hash_embed,
    .pieces = hash_pieces,
    .tokenize = hash_tokenize,
    .states = hash_states,
    .close = hash_close,
};

int mf_model_hash_open(struct mf_model **out, struct mf_err *err)
{
    struct hash_model *m = mf_calloc(1, sizeof(*m));

    if (m == NULL) {
        return mf_err_set(err, MF_ENOMEM, "embedding model 'hash': out of memory");
    }
    m->model = (struct mf_model){
        .ops = &hash_ops,
        .info = {.name = "hash",
                 .space = SPACE,
                 .space_id = mf_space_id(SPACE),
                 .dim = DIM,
                 .window = WINDOW,
                 .batch_texts = 64,
                 .batch_bytes = (size_t)64 * 1024,
                 .batch_tokens = 16 * 1024,
                 .prefers_cores = true,
                 .precision = "exact",
                 .kernel = "hash",
                 .guard_min = 1,
                 .guard_mean = 1,
                 .pooling = "hash",
                 .dtype = "float32",
                 .revision = "1"},
    };
    mf_hash_prior_init(&m->prior);
    *out = &m->model;
    return 0;
}
