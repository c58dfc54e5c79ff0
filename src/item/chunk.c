/* SPDX-License-Identifier: Apache-2.0 */
#include "item/chunk.h"

#include "item/utf8.h"

/* One passage to be: it begins at `from`, its first piece at `piece` (blanks before
 * that are no place to cut), and it must end at or before `limit`; sentence ends count
 * from `half` on. */
struct window {
    uint32_t from, piece, half, limit;
};

/* How a sentence may have ended just before where we stand. */
enum end { END_NONE, END_IF_BLANK_FOLLOWS, END_SURE };

static bool is_blank(uint32_t cp)
{
    return cp == ' ' || (cp >= '\t' && cp <= '\r') || cp == 0x3000;
}

/* Quotes and brackets that close belong to the sentence before them. */
static bool is_closer(uint32_t cp)
{
    return cp == '"' || cp == '\'' || cp == ')' || cp == ']' || cp == 0x2019 ||
           cp == 0x201D || cp == 0x300D || cp == 0x300F || cp == 0xFF09;
}

/* "3.14" and "a.out" are no ends: after an ASCII mark a blank must follow. */
static enum end end_after(enum end before, uint32_t cp)
{
    switch (cp) {
    case '.':
    case '!':
    case '?': return END_IF_BLANK_FOLLOWS;
    case '\n':
    case 0x3002:
    case 0xFF0E:
    case 0xFF01:
    case 0xFF1F:
    case 0xFF61: return END_SURE;
    default: break;
    }
    if (is_blank(cp)) {
        return before == END_NONE ? END_NONE : END_SURE;
    }
    return is_closer(cp) ? before : END_NONE;
}

/* `cut` or the nearest place that is not inside a character, beyond `from`. */
static uint32_t at_character(struct mf_slice text, uint32_t from, uint32_t cut)
{
    for (uint32_t back = 1; back < 4 && back <= cut - from; back++) {
        uint32_t cp;
        size_t n = mf_utf8_next(text, cut - back, &cp);

        if (n > back) {
            return back < cut - from ? cut - back : cut - back + (uint32_t)n;
        }
    }
    return cut;
}

/* Where the passage of window `w` ends. */
static uint32_t cut_in(struct mf_slice text, const struct window *w)
{
    enum end end = END_NONE;
    uint32_t sentence = 0, blank = 0, at = w->from;

    while (at < w->limit) {
        uint32_t cp;
        uint32_t n = (uint32_t)mf_utf8_next(text, at, &cp);

        if (n > w->limit - at) {
            break;
        }
        at += n;
        end = end_after(end, cp);
        if (end == END_SURE && at > w->half) {
            sentence = at;
        }
        if (is_blank(cp) && at > w->piece) {
            blank = at;
        }
    }
    if (sentence > 0) {
        return sentence;
    }
    return blank > 0 ? blank : at_character(text, w->from, w->limit);
}

size_t mf_chunk(struct mf_slice text, const uint32_t *piece_at, size_t n_pieces,
                size_t max_pieces, struct mf_span *out, size_t cap)
{
    uint32_t from = 0;
    size_t first = 0, n = 0;

    MF_ASSERT(max_pieces > 0 && text.n <= UINT32_MAX);
    while (from < text.n) {
        uint32_t to = (uint32_t)text.n;

        if (n_pieces - first > max_pieces) {
            to = cut_in(text, &(struct window){from, piece_at[first],
                                               piece_at[first + max_pieces / 2],
                                               piece_at[first + max_pieces]});
        }
        n++;
        if (n <= cap) {
            out[n - 1] = (struct mf_span){from, to - from};
        } else if (cap > 0) {
            out[cap - 1].n = to - out[cap - 1].at;
        }
        while (first < n_pieces && piece_at[first] < to) {
            first++;
        }
        from = to;
    }
    return n;
}
