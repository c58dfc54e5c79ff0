/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer/normalise.h"

#include "base/err.h"
#include "base/mem.h"
#include "tokenizer/unicode_table.h"

#define PAGE        256u
#define N_POINTS    0x110000u
#define N_INDEX     (N_POINTS / PAGE)
#define ORDERED     8u /* beside the class: kept, with a combining class */
#define CLASS_MASK  7u
#define DELTA_SHIFT 4
#define DOTTED_I    0x130u /* the one capital with two small code points */

#define HANGUL_FIRST 0xAC00u
#define HANGUL_LAST  0xD7A3u

/* An entry: class, ORDERED, and how far the code point moves. */
static uint32_t entry_of(enum mf_norm_class class, uint32_t cp, uint32_t to)
{
    return (to - cp) << DELTA_SHIFT | class;
}

static uint32_t moved(uint32_t cp, uint32_t entry)
{
    return cp + (uint32_t)((int32_t)entry >> DELTA_SHIFT);
}

/* ---- the tables of facts ---- */

/* The first of `n` rows of `size` bytes whose last code point is not before `cp`;
 * `last` is that of the first row. */
static size_t row_of(const uint32_t *last, size_t size, size_t n, uint32_t cp)
{
    size_t low = 0, high = n, stride = size / sizeof(*last);

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (last[mid * stride] < cp) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool in_ranges(const struct mf_uni_range *r, size_t n, uint32_t cp)
{
    size_t i = row_of(&r[0].last, sizeof(*r), n, cp);

    return i < n && cp >= r[i].first;
}

uint8_t mf_norm_order(uint32_t cp)
{
    const struct mf_uni_order *o = mf_uni_orders;
    size_t i = row_of(&o[0].last, sizeof(*o), mf_uni_n_orders, cp);

    return i < mf_uni_n_orders && cp >= o[i].first ? o[i].order : 0;
}

bool mf_norm_is_mark(uint32_t cp)
{
    return in_ranges(mf_uni_marks, mf_uni_n_marks, cp);
}

bool mf_norm_is_blank(uint32_t cp)
{
    return in_ranges(mf_uni_blanks, mf_uni_n_blanks, cp);
}

static uint32_t small_letter(uint32_t cp)
{
    const struct mf_uni_lower *l = mf_uni_lowers;
    size_t i = row_of(&l[0].last, sizeof(*l), mf_uni_n_lowers, cp);

    if (i == mf_uni_n_lowers || cp < l[i].first || (cp - l[i].first) % l[i].step != 0) {
        return cp;
    }
    return cp + (l[i].to - l[i].first);
}

/* ---- painting the table ---- */

static int page_of(struct mf_normaliser *z, uint32_t cp, uint32_t **page)
{
    uint16_t *at = &z->index[cp / PAGE];

    if (*at == 0) { /* page 0 is everybody's: letters as they are */
        void *p = z->pages;
        int rc = mf_grow(&p, &z->cap_pages, z->n_pages + 1, sizeof(*z->pages));

        if (rc < 0) {
            return rc;
        }
        z->pages = p;
        memset(z->pages[z->n_pages], 0, sizeof(*z->pages));
        *at = (uint16_t)z->n_pages++;
    }
    *page = z->pages[*at];
    return 0;
}

static int paint(struct mf_normaliser *z, uint32_t cp, uint32_t entry)
{
    uint32_t *page = NULL;
    int rc = page_of(z, cp, &page);

    if (rc == 0) {
        page[cp % PAGE] = entry;
    }
    return rc;
}

/* Whole pages that nothing was painted on share one. */
static int paint_page(struct mf_normaliser *z, uint32_t first, uint32_t entry,
                      uint16_t *shared)
{
    uint32_t *page = NULL;
    int rc;

    if (*shared == 0) {
        rc = page_of(z, first, &page);
        if (rc < 0) {
            return rc;
        }
        for (size_t i = 0; i < PAGE; i++) {
            page[i] = entry;
        }
        *shared = z->index[first / PAGE];
    }
    z->index[first / PAGE] = *shared;
    return 0;
}

/* Whether a page lies in the range from `cp` on and nothing was painted on it. */
static bool is_free_page(const struct mf_normaliser *z, uint32_t cp, uint32_t last)
{
    return cp % PAGE == 0 && last - cp >= PAGE - 1 && z->index[cp / PAGE] == 0;
}

static int paint_range(struct mf_normaliser *z, struct mf_uni_range r,
                       enum mf_norm_class class, uint16_t *shared)
{
    uint32_t *page = NULL;
    int rc = 0;

    for (uint32_t cp = r.first; rc == 0 && cp <= r.last; cp++) {
        if (is_free_page(z, cp, r.last)) {
            rc = paint_page(z, cp, class, shared);
            cp += PAGE - 1;
            continue;
        }
        rc = page_of(z, cp, &page);
        if (rc == 0) {
            page[cp % PAGE] = (page[cp % PAGE] & ~CLASS_MASK) | class;
        }
    }
    return rc;
}

/* The class; the code points stay what they became. A page that is shared must not be
 * painted on afterwards: what does that comes first. */
static int paint_class(struct mf_normaliser *z, const struct mf_uni_range *r, size_t n,
                       enum mf_norm_class class)
{
    uint16_t shared = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = paint_range(z, r[i], class, &shared);
    }
    return rc;
}

/* What the code point `to`, that `cp` became, is written as at last. */
static uint32_t entry_for(const struct mf_normaliser *z, uint32_t cp, uint32_t to)
{
    bool is_punct = in_ranges(mf_uni_puncts, mf_uni_n_puncts, to);

    return entry_of(is_punct ? MF_NORM_PUNCT : MF_NORM_LETTER, cp,
                    z->flags.lowercase ? small_letter(to) : to);
}

static int paint_lower(struct mf_normaliser *z)
{
    int rc = 0;

    for (size_t i = 0; i < mf_uni_n_lowers; i++) {
        const struct mf_uni_lower *l = &mf_uni_lowers[i];

        for (uint32_t cp = l->first; rc == 0 && cp <= l->last; cp += l->step) {
            rc = paint(z, cp, entry_for(z, cp, cp));
        }
    }
    return rc < 0 ? rc : paint(z, DOTTED_I, MF_NORM_SEVERAL);
}

static int paint_bases(struct mf_normaliser *z, const struct mf_uni_bases *b)
{
    int rc = 0;

    for (uint32_t cp = b->first; rc == 0 && cp <= b->last; cp++) {
        uint32_t to = mf_uni_base[b->at + (cp - b->first)];

        rc = to == 0 ? 0 : paint(z, cp, entry_for(z, cp, to));
    }
    return rc;
}

/* A mark that stays although accents are stripped: where it stands among its neighbours
 * is decided by their combining classes. */
static int paint_ordered(struct mf_normaliser *z, const struct mf_uni_order *o)
{
    int rc = 0;

    for (uint32_t cp = o->first; rc == 0 && cp <= o->last; cp++) {
        uint32_t *page = NULL;

        rc = page_of(z, cp, &page);
        if (rc == 0 && (page[cp % PAGE] & CLASS_MASK) != MF_NORM_GONE) {
            page[cp % PAGE] |= ORDERED;
        }
    }
    return rc;
}

static int paint_stripped(struct mf_normaliser *z)
{
    static const struct mf_uni_range hangul = {HANGUL_FIRST, HANGUL_LAST};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < mf_uni_n_bases; i++) {
        rc = paint_bases(z, &mf_uni_bases[i]);
    }
    for (size_t i = 0; rc == 0 && i < mf_uni_n_several; i++) {
        rc = paint(z, mf_uni_several[i].cp, MF_NORM_SEVERAL);
    }
    if (rc == 0) {
        rc = paint_class(z, mf_uni_marks, mf_uni_n_marks, MF_NORM_GONE);
    }
    for (size_t i = 0; rc == 0 && i < mf_uni_n_orders; i++) {
        rc = paint_ordered(z, &mf_uni_orders[i]);
    }
    return rc < 0 ? rc : paint_class(z, &hangul, 1, MF_NORM_SEVERAL);
}

static int paint_all(struct mf_normaliser *z)
{
    int rc = paint_class(z, mf_uni_puncts, mf_uni_n_puncts, MF_NORM_PUNCT);

    if (rc == 0 && z->flags.lowercase) {
        rc = paint_lower(z);
    }
    if (rc == 0 && z->flags.strip_accents) {
        rc = paint_stripped(z);
    }
    if (rc == 0 && z->flags.handle_chinese_chars) {
        rc = paint_class(z, mf_uni_cjk, mf_uni_n_cjk, MF_NORM_ALONE);
    }
    if (rc == 0) {
        rc = paint_class(z, mf_uni_blanks, mf_uni_n_blanks, MF_NORM_BLANK);
    }
    if (rc == 0 && z->flags.clean_text) {
        rc = paint_class(z, mf_uni_dropped, mf_uni_n_dropped, MF_NORM_GONE);
    }
    return rc;
}

int mf_normaliser_init(struct mf_normaliser *z, const struct mf_norm_flags *flags)
{
    void *pages = NULL;
    int rc;

    *z = (struct mf_normaliser){.flags = *flags};
    z->index = mf_calloc(N_INDEX, sizeof(*z->index));
    rc = z->index == NULL ? MF_ENOMEM
                          : mf_grow(&pages, &z->cap_pages, 1, sizeof(*z->pages));
    if (rc == 0) {
        z->pages = pages;
        z->n_pages = 1;
        memset(z->pages[0], 0, sizeof(*z->pages));
        rc = paint_all(z);
    }
    if (rc < 0) {
        mf_normaliser_fini(z);
    }
    return rc;
}

void mf_normaliser_fini(struct mf_normaliser *z)
{
    mf_free(z->index);
    mf_free(z->pages);
    *z = (struct mf_normaliser){0};
}

/* ---- using it ---- */

static void decompose_hangul(uint32_t cp, struct mf_norm_char *out)
{
    uint32_t i = cp - HANGUL_FIRST, tail = i % 28;

    out->cp[0] = 0x1100 + i / 588;
    out->cp[1] = 0x1161 + i % 588 / 28;
    out->cp[2] = 0x11A7 + tail;
    out->n = tail > 0 ? 3 : 2;
}

static void become_several(uint32_t cp, struct mf_norm_char *out)
{
    const struct mf_uni_several *s;

    out->kind = MF_NORM_LETTER;
    if (cp == DOTTED_I) {
        out->n = 2;
        out->cp[0] = 'i';
        out->cp[1] = 0x307;
        return;
    }
    if (cp >= HANGUL_FIRST && cp <= HANGUL_LAST) {
        decompose_hangul(cp, out);
        return;
    }
    s = &mf_uni_several[row_of(&mf_uni_several[0].cp, sizeof(*s), mf_uni_n_several,
                               cp)];
    out->n = s->n;
    memcpy(out->cp, s->to, sizeof(s->to));
    out->is_ordered = mf_norm_order(s->to[1]) != 0;
}

void mf_normalise(const struct mf_normaliser *z, uint32_t cp, struct mf_norm_char *out)
{
    uint32_t entry = z->pages[z->index[cp / PAGE]][cp % PAGE];

    out->kind = (enum mf_norm_class)(entry & CLASS_MASK);
    out->is_ordered = (entry & ORDERED) != 0;
    out->n = out->kind != MF_NORM_GONE;
    out->cp[0] = moved(cp, entry);
    if (out->kind == MF_NORM_SEVERAL) {
        become_several(cp, out);
    } else if (out->kind == MF_NORM_ALONE) {
        out->n = 3;
        out->cp[1] = out->cp[0];
        out->cp[0] = out->cp[2] = ' ';
    } else if (out->kind == MF_NORM_BLANK && z->flags.clean_text) {
        out->cp[0] = ' ';
    }
}

size_t mf_norm_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

/* Bytes of the sequence that `lead` begins, and what its second byte may be: no other
 * way to write a shorter one, no surrogates, nothing beyond U+10FFFF. */
static size_t sequence(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    *high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead < 0xC2 || lead > 0xF4) {
        return 1;
    }
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t mf_norm_decode(struct mf_slice text, size_t at, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)text.p + at;
    unsigned char low, high;
    size_t n, left = text.n - at;
    uint32_t c;

    *cp = *p;
    if (*p < 0x80) {
        return 1;
    }
    n = sequence(*p, &low, &high);
    c = *p & (0xFFu >> (n + 1));
    *cp = 0xFFFD;
    for (size_t i = 1; i < n; i++) {
        if (i == left || p[i] < low || p[i] > high) {
            return i;
        }
        c = c << 6 | (p[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *cp = n == 1 ? 0xFFFD : c;
    return n;
}

size_t mf_norm_step_back(struct mf_slice text, size_t begin, size_t at)
{
    size_t first = at - 1;

    for (size_t i = at - 1; at - i <= 4; i--) {
        uint32_t cp;

        if (((unsigned char)text.p[i] & 0xC0) != 0x80) {
            first = i + mf_norm_decode(text, i, &cp) == at ? i : first;
            break;
        }
        if (i == begin) {
            break;
        }
    }
    return first;
}
