/* SPDX-License-Identifier: Apache-2.0 */
/* BERT's WordPiece: added tokens, words, greedy longest pieces. ASCII words go straight
 * from the text into the vocabulary; all others character by character through the
 * normaliser, which remembers where each byte came from. */
#include "base/err.h"
#include "tokenizer/marks.h"
#include "tokenizer/tokenizer_priv.h"

struct walk {
    const struct mf_tokenizer *t;
    struct mf_slice text;
    struct mf_piece_sink *sink;
    size_t at;
    unsigned skip;        /* of what the character there becomes, these are taken */
    size_t behind_letter; /* behind the last character that was no mark */
    size_t behind_token;  /* behind the last added token */
    /* the word that is being collected, normalised */
    size_t n, n_chars;
    uint32_t word_from, word_to; /* in the text */
    char word[MF_WORD_BYTES];
    uint32_t from[MF_WORD_BYTES], to[MF_WORD_BYTES]; /* of each byte, in the text */
    struct mf_vocab_hit *hits;                       /* room for one each byte */
};

/* Whether an added token may begin with what became of this byte. */
static bool may_begin_token(const struct mf_tokenizer *t, uint32_t c,
                            const struct mf_norm_char *out)
{
    for (size_t i = 0; i < t->added.n && out->n > 0; i++) {
        const struct mf_added_token *k = &t->added.all[i];

        if (k->normalized && k->cps[0] == out->cp[0]) {
            return true;
        }
    }
    return t->added.begins[c];
}

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
        t->byte_class[c] = may_begin_token(t, c, &out)  ? MF_BYTE_SLOW
                           : out.kind == MF_NORM_LETTER ? MF_BYTE_LETTER
                           : out.kind == MF_NORM_BLANK  ? MF_BYTE_BLANK
                           : out.kind == MF_NORM_PUNCT  ? MF_BYTE_PUNCT
                                                        : MF_BYTE_SLOW;
    }
}

static int wordpiece_prepare(struct mf_tokenizer *t, struct mf_err *err)
{
    int rc = mf_normaliser_init(&t->norm, &t->flags);

    if (rc < 0) {
        return mf_err_set(err, rc, "out of memory");
    }
    rc = mf_added_normalise(&t->added, &t->norm);
    if (rc < 0) {
        return mf_err_set(err, rc,
                          rc == MF_ENOMEM
                              ? "out of memory"
                              : "an added token is empty when it is normalised");
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

/* What begins at w->at and is no blank; false when it is not all ASCII. */
static bool take_ascii(struct walk *w, enum mf_byte_class class)
{
    const struct mf_tokenizer *t = w->t;
    const unsigned char *p = (const unsigned char *)w->text.p;
    size_t end = w->at + 1;

    if (class == MF_BYTE_PUNCT) {
        mf_piece_put(w->sink, t->byte_id[p[w->at]], (uint32_t)w->at, (uint32_t)end);
        w->at = end;
        return true;
    }
    end = ascii_word_end(w, end);
    if (end < w->text.n && t->byte_class[p[end]] == MF_BYTE_SLOW) {
        return false;
    }
    put_ascii_word(w, w->at, end - w->at);
    w->at = end;
    return true;
}

/* Up to the first word that is not all ASCII. */
static void walk_ascii(struct walk *w)
{
    while (w->at < w->text.n && !w->sink->is_done) {
        uint8_t byte = (uint8_t)w->text.p[w->at];
        enum mf_byte_class class = (enum mf_byte_class)w->t->byte_class[byte];

        if (class == MF_BYTE_BLANK) {
            w->at++;

        } else if (class == MF_BYTE_SLOW || !take_ascii(w, class)) {
            return;
        }
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

/* ---- added tokens ---- */

/* Where the blanks before w->at begin, back to the last token with its own blanks. What
 * is dropped does not part them when `as_normalized`, and a CJK character has one
 * behind it. */
static size_t blanks_before(const struct walk *w, bool as_normalized)
{
    size_t begin = mf_max(w->at, w->behind_token), at = begin;

    while (at > w->behind_token) {
        struct mf_norm_char c;
        uint32_t cp;
        bool is_blank;

        at = mf_norm_step_back(w->text, w->behind_token, at);
        (void)mf_norm_decode(w->text, at, &cp);
        mf_normalise(&w->t->norm, cp, &c);
        is_blank = as_normalized ? c.kind == MF_NORM_BLANK || c.kind == MF_NORM_ALONE
                                 : mf_norm_is_blank(cp);
        begin = is_blank ? at : begin;
        if ((!is_blank && !(as_normalized && c.kind == MF_NORM_GONE)) ||
            c.kind == MF_NORM_ALONE) {
            break;
        }
    }
    return begin;
}

static size_t blanks_behind(struct mf_slice text, size_t at)
{
    while (at < text.n) {
        uint32_t cp;
        size_t n = mf_norm_decode(text, at, &cp);

        if (!mf_norm_is_blank(cp)) {
            break;
        }
        at += n;
    }
    return at;
}

static const struct mf_added_token *added_at(const struct walk *w, size_t at)
{
    if (!w->t->added.begins[(unsigned char)w->text.p[at]]) {
        return NULL;
    }
    return mf_added_at(&w->t->added, w->text, at);
}

/* The blanks that belong to it are walked all the same: they leave nothing, but another
 * token may begin with one. */
static void put_token(struct walk *w, uint32_t id, size_t from, size_t to)
{
    end_word(w);
    if (!w->sink->is_done) {
        mf_piece_put(w->sink, id, (uint32_t)from, (uint32_t)to);
    }
}

static bool take_added(struct walk *w)
{
    const struct mf_added_token *k = added_at(w, w->at);
    size_t from, to;

    if (k == NULL) {
        return false;
    }
    from = k->lstrip ? blanks_before(w, false) : w->at;
    to = w->at + k->text.n;
    w->at = w->behind_letter = to;
    to = k->rstrip ? blanks_behind(w->text, to) : to;
    put_token(w, k->id, from, to);
    w->behind_token = to;
    return true;
}

/* A place in the normalised text: a character, and how much of it is passed. */
struct place {
    size_t at, next; /* next: behind the character, 0 when it was not looked at */
    unsigned skip;
    struct mf_norm_char c;
};

/* Reads the character there; false when an added token stands in its place. */
static bool look_at(const struct walk *w, struct place *p)
{
    uint32_t cp;

    if (p->next != 0) {
        return true;
    }
    if (p->skip == 0 && added_at(w, p->at) != NULL) {
        return false;
    }
    p->next = p->at + mf_norm_decode(w->text, p->at, &cp);
    mf_normalise(&w->t->norm, cp, &p->c);
    return true;
}

/* Its next code point; false at the end and before an added token. */
static bool next_code_point(const struct walk *w, struct place *p, uint32_t *cp,
                            bool *is_blank)
{
    while (p->at < w->text.n && look_at(w, p)) {
        if (p->skip < p->c.n) {
            *is_blank = p->c.kind == MF_NORM_BLANK ||
                        (p->c.kind == MF_NORM_ALONE && p->skip != 1);
            *cp = p->c.cp[p->skip++];
            return true;
        }
        p->at = p->next;
        p->next = p->skip = 0;
    }
    return false;
}

static bool stands_here(const struct walk *w, const struct mf_added_token *k,
                        struct place *p)
{
    *p = (struct place){.at = w->at, .skip = w->skip};
    for (size_t i = 0; i < k->n_cps; i++) {
        uint32_t cp;
        bool is_blank;

        if (!next_code_point(w, p, &cp, &is_blank) || cp != k->cps[i]) {
            return false;
        }
    }
    return true;
}

/* Moves behind the blanks there, never into what is no blank. */
static void pass_blanks(const struct walk *w, struct place *p)
{
    struct place ahead = *p;
    uint32_t cp;
    bool is_blank;

    while (next_code_point(w, &ahead, &cp, &is_blank) && is_blank) {
        *p = ahead;
    }
}

/* A token that is looked for in the normalised text, at w->skip of this character. */
static bool take_normalized(struct walk *w)
{
    const struct mf_added *a = &w->t->added;
    const struct mf_added_token *best = NULL;
    struct place p, end = {0};
    size_t from;

    for (size_t i = 0; i < a->n; i++) {
        const struct mf_added_token *k = &a->all[i];

        if (k->normalized && (best == NULL || k->n_cps > best->n_cps) &&
            stands_here(w, k, &p)) {
            best = k;
            end = p;
        }
    }
    if (best == NULL) {
        return false;
    }
    from = best->lstrip && w->skip == 0 ? blanks_before(w, true) : w->at;
    w->skip = end.skip < end.c.n ? end.skip : 0;
    w->at = w->behind_letter = w->skip > 0 ? end.at : end.next;
    if (best->rstrip) {
        pass_blanks(w, &end);
    }
    put_token(w, best->id, from, end.next);
    w->behind_token = end.skip < end.c.n ? end.at : end.next;
    return true;
}

/* ---- one character ---- */

static void on_mark(void *arg, uint32_t cp, uint32_t from, uint32_t to)
{
    add_letter(arg, cp, from, to);
}

/* The i-th of what a character becomes. */
static void take_part(struct walk *w, const struct mf_norm_char *c, unsigned i,
                      size_t to)
{
    bool is_blank = c->kind == MF_NORM_BLANK || (c->kind == MF_NORM_ALONE && i != 1);

    if (is_blank || c->kind == MF_NORM_PUNCT) {
        end_word(w);
    }
    if (!is_blank) {
        add_letter(w, c->cp[i], (uint32_t)w->at, (uint32_t)to);
    }
    if (c->kind == MF_NORM_PUNCT) {
        end_word(w);
    }
}

static void take_char(struct walk *w)
{
    bool may_be_token = w->t->added.n_normalized > 0;
    struct mf_norm_char c;
    uint32_t cp;
    size_t to = w->at + mf_norm_decode(w->text, w->at, &cp);

    mf_normalise(&w->t->norm, cp, &c);
    if (c.kind == MF_NORM_GONE) {
        w->at = to;
        return;
    }
    if (c.is_ordered) {
        w->at =
            mf_marks_take(&w->t->norm, w->text, w->behind_letter, w->at, on_mark, w);
        w->behind_letter = w->at;
        return;
    }
    for (; w->skip < c.n; w->skip++) {
        if (may_be_token && take_normalized(w)) {
            return;
        }
        take_part(w, &c, w->skip, to);
    }
    w->skip = 0;
    w->at = w->behind_letter = to;
}

/* Up to where a word is done and the next byte is plain ASCII. */
static void walk_slowly(struct walk *w)
{
    w->behind_letter = w->at;
    while (w->at < w->text.n && !w->sink->is_done) {
        if (w->skip > 0 || !take_added(w)) {
            take_char(w);
        }
        if (w->n_chars == 0 && w->at < w->text.n && w->skip == 0 &&
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
    struct mf_vocab_hit hits[MF_WORD_BYTES];
    struct walk w;

    /* Field by field: the arrays are large and need no beginning. */
    w.t = t;
    w.text = text;
    w.sink = sink;
    w.hits = hits;
    w.at = w.n = w.n_chars = 0;
    w.behind_token = w.skip = 0;
    while (w.at < text.n && !sink->is_done) {
        walk_ascii(&w);
        walk_slowly(&w);
    }
}

const struct mf_tokenizer_ops mf_tokenizer_wordpiece = {
    .type = "WordPiece", .prepare = wordpiece_prepare, .walk = wordpiece_walk};
