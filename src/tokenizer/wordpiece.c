/* SPDX-License-Identifier: Apache-2.0 */
/* BERT's WordPiece: added tokens, words, greedy longest pieces. ASCII words go straight
 * from the text into the vocabulary; all others character by character through the
 * normaliser, which remembers where each byte came from. */
#include "base/err.h"
#include "tokenizer/tokenizer_priv.h"

struct walk {
    const struct mf_tokenizer *t;
    struct mf_slice text;
    struct mf_piece_sink *sink;
    size_t at;
    /* the word that is being collected, normalised */
    size_t n, n_chars;
    uint32_t word_from, word_to; /* in the text */
    char word[MF_WORD_BYTES];
    uint32_t from[MF_WORD_BYTES], to[MF_WORD_BYTES]; /* of each byte, in the text */
    struct mf_vocab_hit hits[MF_WORD_BYTES];
};

static void prepare_bytes(struct mf_tokenizer *t)
{
    for (uint32_t c = 0; c < 128; c++) {
        struct mf_norm_char out;
        char small;

        mf_normalise(&t->norm, c, &out);
        small = (char)out.cp[0];
        t->byte_small[c] = small;
        t->byte_id[c] = mf_vocab_find(&t->vocab, mf_slice_of(&small, 1));
        if (t->byte_id[c] == MF_VOCAB_NONE) {
            t->byte_id[c] = t->info.unk_id;
        }
        t->byte_class[c] = t->added.begins[c]            ? MF_BYTE_SLOW
                           : out.class == MF_NORM_LETTER ? MF_BYTE_LETTER
                           : out.class == MF_NORM_BLANK  ? MF_BYTE_BLANK
                           : out.class == MF_NORM_PUNCT  ? MF_BYTE_PUNCT
                                                         : MF_BYTE_SLOW;
    }
}

static int wordpiece_prepare(struct mf_tokenizer *t, struct mf_err *err)
{
    int rc = mf_normaliser_init(&t->norm, &t->flags);

    if (rc < 0) {
        return mf_err_set(err, rc, "out of memory");
    }
    prepare_bytes(t);
    return 0;
}

/* ---- words that are ASCII ---- */

static size_t ascii_word_end(const struct walk *w, size_t at)
{
    const unsigned char *p = (const unsigned char *)w->text.p;

    while (at < w->text.n && w->t->byte_class[p[at]] == MF_BYTE_LETTER) {
        at++;
    }
    return at;
}

static void put_ascii_word(struct walk *w, size_t from, size_t n)
{
    uint32_t start = (uint32_t)from;
    size_t n_hits = 0;

    if (n <= w->t->max_chars) {
        for (size_t i = 0; i < n; i++) {
            w->word[i] = w->t->byte_small[(unsigned char)w->text.p[from + i]];
        }
        n_hits = mf_vocab_cut(&w->t->vocab, w->word, n, w->hits);
    }
    if (n_hits == 0) {
        mf_piece_put(w->sink, w->t->info.unk_id, start, (uint32_t)(from + n));
    }
    for (size_t i = 0; i < n_hits && !w->sink->is_done; i++) {
        uint32_t end = (uint32_t)from + w->hits[i].end;

        mf_piece_put(w->sink, w->hits[i].id, start, end);
        start = end;
    }
}

/* Up to the first word that is not all ASCII. */
static void walk_ascii(struct walk *w)
{
    const struct mf_tokenizer *t = w->t;
    const unsigned char *p = (const unsigned char *)w->text.p;
    size_t n = w->text.n;

    while (w->at < n && !w->sink->is_done) {
        enum mf_byte_class class = (enum mf_byte_class)t->byte_class[p[w->at]];
        size_t end = w->at + 1;

        if (class == MF_BYTE_SLOW) {
            return;
        }
        if (class == MF_BYTE_PUNCT) {
            mf_piece_put(w->sink, t->byte_id[p[w->at]], (uint32_t)w->at, (uint32_t)end);

        } else if (class == MF_BYTE_LETTER) {
            end = ascii_word_end(w, end);
            if (end < n && t->byte_class[p[end]] == MF_BYTE_SLOW) {
                return;
            }
            put_ascii_word(w, w->at, end - w->at);
        }

        w->at = end;
    }
}

/* ---- all other words ---- */

static void end_word(struct walk *w)
{
    size_t n_hits = 0, start = 0;

    if (w->n_chars == 0) {
        return;
    }
    if (w->n_chars <= w->t->max_chars) {
        n_hits = mf_vocab_cut(&w->t->vocab, w->word, w->n, w->hits);
    }
    if (n_hits == 0) {
        mf_piece_put(w->sink, w->t->info.unk_id, w->word_from, w->word_to);
    }
    for (size_t i = 0; i < n_hits && !w->sink->is_done; i++) {
        mf_piece_put(w->sink, w->hits[i].id, w->from[start], w->to[w->hits[i].end - 1]);
        start = w->hits[i].end;
    }
    w->n = w->n_chars = 0;
}

static void add_letter(struct walk *w, uint32_t cp, uint32_t from, uint32_t to)
{
    if (w->n_chars == 0) {
        w->word_from = from;
    }
    w->word_to = to;
    w->n_chars++;
    if (w->n_chars <= w->t->max_chars) {
        size_t n = mf_norm_encode(cp, w->word + w->n);

        for (size_t i = 0; i < n; i++) {
            w->from[w->n + i] = from;
            w->to[w->n + i] = to;
        }
        w->n += n;
    }
}

static void take_char(struct walk *w)
{
    uint32_t cp, from = (uint32_t)w->at, to;
    struct mf_norm_char c;

    to = from + (uint32_t)mf_norm_decode(w->text, w->at, &cp);
    mf_normalise(&w->t->norm, cp, &c);
    if (c.class != MF_NORM_LETTER && c.class != MF_NORM_GONE) {
        end_word(w);
    }
    for (size_t i = 0; i < c.n && c.class != MF_NORM_BLANK; i++) {
        add_letter(w, c.cp[i], from, to);
    }
    if (c.class == MF_NORM_PUNCT || c.class == MF_NORM_ALONE) {
        end_word(w);
    }
    w->at = to;
}

static bool take_added(struct walk *w)
{
    const struct mf_added_token *k = NULL;

    if (w->t->added.begins[(unsigned char)w->text.p[w->at]]) {
        k = mf_added_at(&w->t->added, w->text, w->at);
    }
    if (k == NULL) {
        return false;
    }
    end_word(w);
    if (!w->sink->is_done) {
        mf_piece_put(w->sink, k->id, (uint32_t)w->at, (uint32_t)(w->at + k->text.n));
    }
    w->at += k->text.n;
    return true;
}

/* Up to where a word is done and the next byte is plain ASCII. */
static void walk_slowly(struct walk *w)
{
    while (w->at < w->text.n && !w->sink->is_done) {
        if (!take_added(w)) {
            take_char(w);
        }
        if (w->n_chars == 0 && w->at < w->text.n &&
            w->t->byte_class[(unsigned char)w->text.p[w->at]] != MF_BYTE_SLOW) {
            return;
        }
    }
    if (!w->sink->is_done) {
        end_word(w);
    }
}

static void wordpiece_walk(const struct mf_tokenizer *t, struct mf_slice text,
                           struct mf_piece_sink *sink)
{
    struct walk w;

    /* Field by field: the arrays are large and need no beginning. */
    w.t = t;
    w.text = text;
    w.sink = sink;
    w.at = w.n = w.n_chars = 0;
    while (w.at < text.n && !sink->is_done) {
        walk_ascii(&w);
        walk_slowly(&w);
    }
}

const struct mf_tokenizer_ops mf_tokenizer_wordpiece = {
    .type = "WordPiece", .prepare = wordpiece_prepare, .walk = wordpiece_walk};
