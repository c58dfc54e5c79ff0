/* SPDX-License-Identifier: Apache-2.0 */
#include "item/item.h"

#include "base/mem.h"

static const char *const role_names[MF_MSG_ROLE_COUNT] = {
    [MF_MSG_USER] = "user",
    [MF_MSG_ASSISTANT] = "assistant",
    [MF_MSG_SYSTEM] = "system",
    [MF_MSG_TOOL] = "tool",
};

const char *mf_msg_role_name(enum mf_msg_role r)
{
    MF_ASSERT((unsigned)r < MF_MSG_ROLE_COUNT);
    return role_names[r];
}

int mf_msg_role_parse(struct mf_slice s, enum mf_msg_role *out)
{
    for (unsigned i = 0; i < MF_MSG_ROLE_COUNT; i++) {
        if (mf_slice_is(s, role_names[i])) {
            *out = (enum mf_msg_role)i;
            return 0;
        }
    }
    return MF_EINVAL;
}

static bool add_size(size_t *total, size_t n)
{
    return !__builtin_add_overflow(*total, n, total);
}

/* Bytes of the whole block; false when no size_t holds them. */
static bool block_size(const struct mf_item_spec *spec, size_t *size)
{
    size_t n;

    *size = sizeof(struct mf_item);
    if (__builtin_mul_overflow((size_t)spec->n_msgs, sizeof(struct mf_msg), &n) ||
        !add_size(size, n) || !add_size(size, spec->user_id.n) ||
        !add_size(size, spec->session_id.n) || !add_size(size, spec->agent_id.n) ||
        !add_size(size, spec->round_id.n) || !add_size(size, spec->idem_key.n)) {
        return false;
    }
    for (uint32_t i = 0; i < spec->n_msgs; i++) {
        const struct mf_msg *m = &spec->msgs[i];

        if (!add_size(size, m->id.n) || !add_size(size, m->content.n) ||
            !add_size(size, m->metadata.n)) {
            return false;
        }
    }
    return true;
}

static struct mf_slice copy(char **at, struct mf_slice s)
{
    struct mf_slice c = {*at, s.n};

    if (s.n > 0) {
        memcpy(*at, s.p, s.n);
        *at += s.n;
    }
    return c;
}

static char *copy_msgs(struct mf_item *it, const struct mf_item_spec *spec, char *at)
{
    for (uint32_t i = 0; i < spec->n_msgs; i++) {
        struct mf_msg *m = &it->msgs[i];
        uint32_t tokens;

        *m = spec->msgs[i];
        m->id = copy(&at, m->id);
        m->content = copy(&at, m->content);
        m->metadata = copy(&at, m->metadata);
        tokens = mf_tokens_of_message(m->role, m->content);
        if (__builtin_add_overflow(it->tokens, tokens, &it->tokens)) {
            it->tokens = UINT32_MAX;
        }
    }
    return at;
}

struct mf_item *mf_item_new(const struct mf_item_spec *spec)
{
    struct mf_item *it;
    size_t size;
    char *at;

    if (!block_size(spec, &size)) {
        return NULL;
    }
    it = mf_malloc(size);
    if (it == NULL) {
        return NULL;
    }
    *it = (struct mf_item){.accepted_us = spec->accepted_us,
                           .n_msgs = spec->n_msgs,
                           .bytes = size,
                           .msgs = (struct mf_msg *)(it + 1),
                           .refs = 1};
    memcpy(it->idem_hash, spec->idem_hash, sizeof(it->idem_hash));
    at = (char *)(it->msgs + it->n_msgs);
    it->user_id = copy(&at, spec->user_id);
    it->session_id = copy(&at, spec->session_id);
    it->agent_id = copy(&at, spec->agent_id);
    it->round_id = copy(&at, spec->round_id);
    it->idem_key = copy(&at, spec->idem_key);
    at = copy_msgs(it, spec, at);
    MF_ASSERT(at == (char *)it + size);
    return it;
}

void mf_item_set_seq(struct mf_item *it, uint64_t seq)
{
    MF_ASSERT(it->seq == 0 && it->refs == 1);
    it->seq = seq;
}

struct mf_item *mf_item_ref(struct mf_item *it)
{
    MF_ASSERT(it->refs > 0);
    it->refs++;
    return it;
}

void mf_item_unref(struct mf_item *it)
{
    if (it == NULL) {
        return;
    }
    MF_ASSERT(it->refs > 0);
    if (--it->refs == 0) {
        mf_free(it);
    }
}
