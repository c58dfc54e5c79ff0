/* SPDX-License-Identifier: Apache-2.0 */
#include "embed/embed_order.h"

/* The estimated tokens of a length, and for how long such a text yields to the shortest
 * ones: about as long as a slow core needs for it. */
static const struct {
    uint32_t max_tokens;
    uint64_t yields_ms;
} lengths[MF_EMBED_LENGTHS] = {{16, 0},   {32, 16},   {64, 32},
                               {128, 64}, {256, 128}, {UINT32_MAX, 256}};

static size_t length_of(const struct mf_embed_task *t)
{
    size_t i = 0;

    while (t->cost > lengths[i].max_tokens) {
        i++;
    }
    return i;
}

static struct mf_embed_task *first_of(const struct mf_list *l)
{
    struct mf_link *k = mf_list_head(l);

    return k == NULL ? NULL : mf_container_of(k, struct mf_embed_task, link);
}

void mf_embed_order_init(struct mf_embed_order *o)
{
    *o = (struct mf_embed_order){.urgent_run = 0};
    for (size_t u = 0; u < 2; u++) {
        mf_list_init(&o->split[u]);
        for (size_t i = 0; i < MF_EMBED_LENGTHS; i++) {
            mf_list_init(&o->line[u][i]);
        }
    }
}

static void note_pushed(struct mf_embed_order *o, struct mf_embed_task *t,
                        struct mf_list *line, uint32_t group)
{
    t->line = line;
    t->group = group;
    o->n[t->urgency]++;
}

void mf_embed_order_push(struct mf_embed_order *o, struct mf_embed_task *t, bool first)
{
    struct mf_list *line = &o->line[t->urgency][length_of(t)];

    if (first) {
        mf_list_push_head(line, &t->link);
    } else {
        mf_list_push_tail(line, &t->link);
    }
    note_pushed(o, t, line, 0);
}

uint32_t mf_embed_order_new_group(struct mf_embed_order *o)
{
    o->last_group = o->last_group == UINT32_MAX ? 1 : o->last_group + 1;
    return o->last_group;
}

void mf_embed_order_push_group(struct mf_embed_order *o, struct mf_embed_task *t,
                               uint32_t group)
{
    struct mf_list *line = &o->split[t->urgency];

    mf_list_push_tail(line, &t->link);
    note_pushed(o, t, line, group);
}

void mf_embed_order_put_back(struct mf_embed_order *o, struct mf_embed_task *t)
{
    struct mf_list *line =
        t->group != 0 ? &o->split[t->urgency] : &o->line[t->urgency][length_of(t)];

    mf_list_push_head(line, &t->link);
    note_pushed(o, t, line, t->group);
}

void mf_embed_order_remove(struct mf_embed_order *o, struct mf_embed_task *t)
{
    mf_list_remove(t->line, &t->link);
    t->line = NULL;
    o->n[t->urgency]--;
}

/* The head that comes first when each line's texts yield as long as they do, or not at
 * all. */
static struct mf_embed_task *pick(const struct mf_embed_order *o,
                                  enum mf_urgency urgency, bool by_age)
{
    struct mf_embed_task *best = NULL;
    uint64_t best_ms = UINT64_MAX;

    for (size_t i = 0; i < MF_EMBED_LENGTHS; i++) {
        struct mf_embed_task *t = first_of(&o->line[urgency][i]);
        uint64_t ms = t == NULL ? UINT64_MAX
                                : t->submitted_ms + (by_age ? 0 : lengths[i].yields_ms);

        if (ms < best_ms) {
            best = t;
            best_ms = ms;
        }
    }
    return best;
}

struct mf_embed_task *mf_embed_order_oldest(const struct mf_embed_order *o,
                                            enum mf_urgency urgency)
{
    struct mf_embed_task *half = first_of(&o->split[urgency]);
    struct mf_embed_task *t = pick(o, urgency, true);

    return half == NULL || (t != NULL && t->submitted_ms < half->submitted_ms) ? t
                                                                               : half;
}

/* Whose turn it is, and notes that it had it. */
static enum mf_urgency take_turn(struct mf_embed_order *o, bool only_urgent)
{
    bool waits = !only_urgent && o->n[MF_ORDINARY] > 0;

    if (waits && (o->n[MF_URGENT] == 0 || o->urgent_run >= MF_EMBED_URGENT_RUN)) {
        o->urgent_run = 0;
        return MF_ORDINARY;
    }
    o->urgent_run = waits ? o->urgent_run + 1 : 0;
    return MF_URGENT;
}

static size_t take_group(struct mf_embed_order *o, enum mf_urgency urgency, size_t max,
                         struct mf_embed_task **tasks)
{
    struct mf_embed_task *t = first_of(&o->split[urgency]);
    uint32_t group = t->group;
    size_t n = 0;

    for (; n < max && t != NULL && t->group == group;
         t = first_of(&o->split[urgency])) {
        mf_embed_order_remove(o, t);
        tasks[n++] = t;
    }
    return n;
}

bool mf_embed_order_fits(const struct mf_embed_limits *lim,
                         const struct mf_embed_task *t, size_t bytes, size_t tokens)
{
    size_t max_tokens = t->urgency == MF_ORDINARY && lim->background_tokens > 0
                            ? lim->background_tokens
                            : lim->tokens;

    return bytes <= lim->bytes && t->text.n <= lim->bytes - bytes &&
           tokens <= max_tokens && t->cost <= max_tokens - tokens;
}

size_t mf_embed_order_take(struct mf_embed_order *o, const struct mf_embed_limits *lim,
                           struct mf_embed_task **tasks)
{
    size_t max = mf_max(mf_min(lim->texts, (size_t)MF_EMBED_MAX_BATCH), (size_t)1);
    bool urgent_waits = o->n[MF_URGENT] > 0;
    enum mf_urgency urgency = take_turn(o, lim->only_urgent);
    bool by_age = urgency == MF_ORDINARY && urgent_waits; /* background's share */
    size_t n = 0, bytes = 0, tokens = 0;

    if (!mf_list_is_empty(&o->split[urgency])) {
        return take_group(o, urgency, max, tasks);
    }
    while (n < max) {
        struct mf_embed_task *t = pick(o, urgency, by_age);

        if (t == NULL || (n > 0 && !mf_embed_order_fits(lim, t, bytes, tokens))) {
            break;
        }
        mf_embed_order_remove(o, t);
        tasks[n++] = t;
        bytes += t->text.n;
        tokens += t->cost;
    }
    return n;
}
