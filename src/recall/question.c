/* SPDX-License-Identifier: Apache-2.0 */
#include "recall/question.h"

#include "base/err.h"
#include "recall/cues.h"

#include <string.h>

#define SEEN_SLOTS ((size_t)4 * MF_QUESTION_MAX_TERMS)

/* What "you" did, and what one asks it to have done; beginnings of words. */
static const char *const said[] = {
    "suggested", "recommended",    "said",       "told",   "advised",
    "proposed",  "mentioned",      "explained",  "gave",   "provided",
    "listed",    "recommendation", "suggestion", "advice",
};
static const char *const say[] = {
    "suggest", "recommend", "say",  "tell",    "advise", "propose",
    "mention", "explain",   "give", "provide", "list",
};
static const char *const did[] = {"did", "do", "have", "had"};
static const char *const first_person[] = {"i", "my", "me", "mine"};

struct reading {
    struct mf_question *q;
    struct mf_slice text;
    struct mf_slice names[2]; /* of the user, of the agent; empty: none */
    bool is_named[2];
    bool is_first_person, asks_assistant;
    struct mf_cue_word before[2]; /* the last word and the one before it */
    size_t copied;                /* bytes of text that text_to_embed has seen */
};

static bool is_in(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool begins_with_one(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strncmp(word, list[i], strlen(list[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* "you suggested", "your advice"; "did you suggest". */
static bool is_asking_assistant(const struct reading *r, const struct mf_cue_word *w)
{
    const struct mf_cue_word *you = &r->before[0];

    if (!mf_cue_follows(r->text, you, w)) {
        return false;
    }
    if ((strcmp(you->folded, "you") == 0 || strcmp(you->folded, "your") == 0) &&
        begins_with_one(w->folded, said, mf_countof(said))) {
        return true;
    }
    return strcmp(you->folded, "you") == 0 &&
           mf_cue_follows(r->text, &r->before[1], you) &&
           is_in(r->before[1].folded, did, mf_countof(did)) &&
           begins_with_one(w->folded, say, mf_countof(say));
}

/* The end of a possessive 's (with either apostrophe) behind `at`, or `at`. */
static size_t skip_possessive(struct mf_slice text, size_t at)
{
    struct mf_cue_reader after = {text, at};
    struct mf_cue_word w;
    size_t n = 0;

    if (at < text.n && text.p[at] == '\'') {
        n = 1;
    } else if (text.n - at >= 3 && memcmp(text.p + at, "\xE2\x80\x99", 3) == 0) {
        n = 3;
    }
    after.at = at + n;
    if (n > 0 && mf_cue_next(&after, &w) && w.at == at + n &&
        strcmp(w.folded, "s") == 0) {
        return w.at + w.n;
    }
    return at;
}

static void take_name(struct reading *r, const struct mf_cue_word *w)
{
    struct mf_slice word = mf_slice_of(r->text.p + w->at, w->n);
    size_t end = w->at + w->n;
    bool is_name = false;

    for (size_t i = 0; i < mf_countof(r->names); i++) {
        if (r->names[i].n > 0 && mf_cue_same(word, r->names[i])) {
            r->is_named[i] = is_name = true;
        }
    }
    if (is_name) {
        size_t past = skip_possessive(r->text, end);

        mf_buf_add(&r->q->text_to_embed, r->text.p + r->copied, w->at - r->copied);
        mf_buf_add_str(&r->q->text_to_embed, past > end ? "my" : "I");
        r->copied = past;
    }
}

/* A year beyond the eighth is left out: it could only have withheld a boost. */
static void take_year(struct mf_question *q, unsigned year)
{
    for (size_t i = 0; i < q->n_years; i++) {
        if (q->years[i] == year) {
            return;
        }
    }
    if (q->n_years < mf_countof(q->years)) {
        q->years[q->n_years++] = (uint16_t)year;
    }
}

static void take_date(struct reading *r, const struct mf_cue_word *w)
{
    unsigned year = mf_cue_year(r->text, w);
    unsigned month = mf_cue_month(w);

    if (year != 0) {
        take_year(r->q, year);
    }
    /* "may" is mostly a verb: only with a capital, and no other. */
    if (month == 5 && !mf_slice_is(mf_slice_of(r->text.p + w->at, w->n), "May")) {
        return;
    }
    if (month != 0) {
        r->q->months |= (uint16_t)(1U << (month - 1));
    }
}

static void read_cues(struct reading *r)
{
    struct mf_cue_reader words = {r->text, 0};
    struct mf_cue_word w;

    while (mf_cue_next(&words, &w)) {
        r->asks_assistant = r->asks_assistant || is_asking_assistant(r, &w);
        r->is_first_person = r->is_first_person ||
                             is_in(w.folded, first_person, mf_countof(first_person));
        take_name(r, &w);
        take_date(r, &w);
        r->before[1] = r->before[0];
        r->before[0] = w;
    }
    mf_buf_add(&r->q->text_to_embed, r->text.p + r->copied, r->text.n - r->copied);
    r->q->asks_time = mf_cue_asks_time(r->text);
}

static int role_of(const struct reading *r)
{
    if (r->is_named[0] != r->is_named[1]) {
        return r->is_named[0] ? MF_MSG_USER : MF_MSG_ASSISTANT;
    }
    if (!r->is_named[0] && r->asks_assistant) {
        return MF_MSG_ASSISTANT;
    }
    return r->is_first_person ? MF_MSG_USER : -1;
}

/* True when the hash was not there; slots hold hash + 1, 0 is free. */
static bool see(uint64_t slots[SEEN_SLOTS], uint32_t hash)
{
    size_t i = hash % SEEN_SLOTS;

    for (; slots[i] != 0; i = (i + 1) % SEEN_SLOTS) {
        if (slots[i] == (uint64_t)hash + 1) {
            return false;
        }
    }
    slots[i] = (uint64_t)hash + 1;
    return true;
}

static int read_terms(struct mf_question *q, struct mf_terms *terms,
                      struct mf_slice text)
{
    uint64_t seen[SEEN_SLOTS] = {0};
    const struct mf_slice *stems;
    size_t n;
    int rc = mf_terms_of(terms, text, &stems, &n);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < n && q->n_terms < MF_QUESTION_MAX_TERMS; i++) {
        uint32_t hash = mf_term_hash(stems[i].p, stems[i].n);

        if (see(seen, hash)) {
            q->terms[q->n_terms++] = hash;
        }
    }
    return 0;
}

/* Bytes of "User:" and the like at `at`, or 0. */
static size_t role_word(struct mf_slice text, size_t at)
{
    static const char *const words[] = {"User:", "Assistant:", "System:"};

    for (size_t i = 0; i < mf_countof(words); i++) {
        size_t n = strlen(words[i]);

        if (text.n - at >= n && memcmp(text.p + at, words[i], n) == 0) {
            return n;
        }
    }
    return 0;
}

/* See mf_question_init: the newest message of a prompt in the SDK's form. */
static struct mf_slice newest_message(struct mf_slice text)
{
    size_t begin = role_word(text, 0); /* of the newest content so far; 0: none */
    bool has_line_end = false;
    struct mf_slice s;

    for (size_t i = 0; i + 2 <= text.n; i++) {
        if (text.p[i] == '\\' && text.p[i + 1] == 'n') {
            size_t n = role_word(text, i + 2);

            has_line_end = true;
            begin = n > 0 ? i + 2 + n : begin;
        }
    }
    if (begin == 0 || !has_line_end) {
        return text;
    }
    s = mf_slice_trim(mf_slice_of(text.p + begin, text.n - begin));
    if (s.n >= 2 && memcmp(s.p + s.n - 2, "\\n", 2) == 0) {
        s = mf_slice_trim(mf_slice_of(s.p, s.n - 2));
    }
    return s.n > 0 ? s : text;
}

int mf_question_init(struct mf_question *q, struct mf_terms *terms,
                     struct mf_slice text, struct mf_slice user_name,
                     struct mf_slice agent_name)
{
    struct reading r = {
        .q = q,
        .text = newest_message(text),
        .names = {mf_cue_first_name(user_name), mf_cue_first_name(agent_name)},
    };
    int rc;

    *q = (struct mf_question){.role = -1};
    read_cues(&r);
    q->role = role_of(&r);
    rc = mf_buf_status(&q->text_to_embed);
    if (rc == 0) {
        rc = read_terms(q, terms, r.text);
    }
    if (rc < 0) {
        mf_question_fini(q);
    }
    return rc;
}

void mf_question_fini(struct mf_question *q)
{
    mf_buf_fini(&q->text_to_embed);
}

uint8_t mf_text_flags(struct mf_slice text)
{
    uint8_t flags = 0;

    if (mf_cue_is_short_question(text)) {
        flags |= MF_SEARCH_SHORT_QUESTION;
    }
    if (mf_cue_has_time_word(text)) {
        flags |= MF_SEARCH_TIME_WORD;
    }
    return flags;
}
