/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/record.h"

#include "base/mem.h"

#include <xxhash.h>

#define VERSION      1
#define HEAD_BYTES   80 /* up to the messages */
#define MSG_BYTES    32 /* one message's lengths, role and times */
#define SUM_BYTES    8
#define N_HEAD_TEXTS 5

static const char magic[4] = {'m', 'f', 'r', VERSION};

/* Where a field stands in the head. */
enum {
    AT_MAGIC = 0,
    AT_LENGTH = 4,
    AT_SEQ = 8,
    AT_ACCEPTED = 16,
    AT_N_MSGS = 24,
    AT_LENGTHS = 28,
    AT_IDEM_HASH = 48,
};

/* And in a message's part. */
enum { AT_MSG_LENGTHS = 0, AT_MSG_ROLE = 12, AT_MSG_CREATED = 16, AT_MSG_UPDATED = 24 };

static void add_length(uint64_t *total, size_t n)
{
    /* Texts live in memory: a few of 2^48 bytes cannot wrap 64 bits, and beyond the
     * limit the exact figure does not matter. */
    *total = mf_min(*total + mf_min((uint64_t)n, (uint64_t)1 << 48), (uint64_t)1 << 62);
}

size_t mf_record_size(const struct mf_item *it)
{
    uint64_t n = HEAD_BYTES + SUM_BYTES + (uint64_t)it->n_msgs * MSG_BYTES;

    add_length(&n, it->user_id.n);
    add_length(&n, it->session_id.n);
    add_length(&n, it->agent_id.n);
    add_length(&n, it->round_id.n);
    add_length(&n, it->idem_key.n);
    for (uint32_t i = 0; i < it->n_msgs; i++) {
        add_length(&n, it->msgs[i].id.n);
        add_length(&n, it->msgs[i].content.n);
        add_length(&n, it->msgs[i].metadata.n);
    }
    return n > MF_RECORD_MAX_BYTES ? SIZE_MAX : (size_t)n;
}

static char *put_text(char *at, struct mf_slice s)
{
    if (s.n > 0) {
        memcpy(at, s.p, s.n);
    }
    return at + s.n;
}

static void put_head(char *p, const struct mf_item *it, size_t size)
{
    const size_t lengths[N_HEAD_TEXTS] = {it->user_id.n, it->session_id.n,
                                          it->agent_id.n, it->round_id.n,
                                          it->idem_key.n};

    memcpy(p + AT_MAGIC, magic, sizeof(magic));
    mf_put_u32(p + AT_LENGTH, (uint32_t)size);
    mf_put_u64(p + AT_SEQ, it->seq);
    mf_put_u64(p + AT_ACCEPTED, (uint64_t)it->accepted_us);
    mf_put_u32(p + AT_N_MSGS, it->n_msgs);
    for (size_t i = 0; i < N_HEAD_TEXTS; i++) {
        mf_put_u32(p + AT_LENGTHS + 4 * i, (uint32_t)lengths[i]);
    }
    memcpy(p + AT_IDEM_HASH, it->idem_hash, sizeof(it->idem_hash));
}

static void put_msg(char *p, const struct mf_msg *m)
{
    mf_put_u32(p + AT_MSG_LENGTHS, (uint32_t)m->id.n);
    mf_put_u32(p + AT_MSG_LENGTHS + 4, (uint32_t)m->content.n);
    mf_put_u32(p + AT_MSG_LENGTHS + 8, (uint32_t)m->metadata.n);
    mf_put_u32(p + AT_MSG_ROLE, (uint32_t)m->role);
    mf_put_u64(p + AT_MSG_CREATED, (uint64_t)m->created_us);
    mf_put_u64(p + AT_MSG_UPDATED, (uint64_t)m->updated_us);
}

int mf_record_pack(struct mf_buf *out, const struct mf_item *it)
{
    size_t size = mf_record_size(it);
    char *p, *at;

    MF_ASSERT(it->seq > 0 && it->seq <= MF_RECORD_MAX_SEQ);
    if (size == SIZE_MAX) {
        return MF_ETOOBIG;
    }
    p = mf_buf_reserve(out, size);
    if (p == NULL) {
        return MF_ENOMEM;
    }
    put_head(p, it, size);
    at = p + HEAD_BYTES + (size_t)it->n_msgs * MSG_BYTES;
    at = put_text(at, it->user_id);
    at = put_text(at, it->session_id);
    at = put_text(at, it->agent_id);
    at = put_text(at, it->round_id);
    at = put_text(at, it->idem_key);
    for (uint32_t i = 0; i < it->n_msgs; i++) {
        put_msg(p + HEAD_BYTES + (size_t)i * MSG_BYTES, &it->msgs[i]);
        at = put_text(at, it->msgs[i].id);
        at = put_text(at, it->msgs[i].content);
        at = put_text(at, it->msgs[i].metadata);
    }
    mf_put_u64(at, XXH3_64bits(p, size - SUM_BYTES));
    MF_ASSERT(at + SUM_BYTES == p + size);
    out->n += size;
    return 0;
}

/* The texts of a record, from the first on; `left` is what is not taken yet. */
struct texts {
    const char *at;
    size_t left;
};

static bool take_text(struct texts *t, const char *length_at, struct mf_slice *out)
{
    size_t n = mf_get_u32(length_at);

    if (n > t->left) {
        return false;
    }
    *out = mf_slice_of(t->at, n);
    t->at += n;
    t->left -= n;
    return true;
}

static bool take_head(struct texts *t, const char *p, struct mf_item_spec *spec)
{
    const char *lengths = p + AT_LENGTHS;

    spec->accepted_us = (int64_t)mf_get_u64(p + AT_ACCEPTED);
    spec->n_msgs = mf_get_u32(p + AT_N_MSGS);
    memcpy(spec->idem_hash, p + AT_IDEM_HASH, sizeof(spec->idem_hash));
    return take_text(t, lengths, &spec->user_id) &&
           take_text(t, lengths + 4, &spec->session_id) &&
           take_text(t, lengths + 8, &spec->agent_id) &&
           take_text(t, lengths + 12, &spec->round_id) &&
           take_text(t, lengths + 16, &spec->idem_key);
}

static bool take_msg(struct texts *t, const char *p, struct mf_msg *m)
{
    uint32_t role = mf_get_u32(p + AT_MSG_ROLE);

    if (role >= MF_MSG_ROLE_COUNT) {
        return false;
    }
    m->role = (enum mf_msg_role)role;
    m->created_us = (int64_t)mf_get_u64(p + AT_MSG_CREATED);
    m->updated_us = (int64_t)mf_get_u64(p + AT_MSG_UPDATED);
    return take_text(t, p + AT_MSG_LENGTHS, &m->id) &&
           take_text(t, p + AT_MSG_LENGTHS + 4, &m->content) &&
           take_text(t, p + AT_MSG_LENGTHS + 8, &m->metadata);
}

/* Who passes has room for n_msgs messages: a mad count takes no memory. */
bool mf_record_peek(struct mf_slice rec, struct mf_record_head *head)
{
    if (rec.n < HEAD_BYTES + SUM_BYTES || rec.n > MF_RECORD_MAX_BYTES ||
        memcmp(rec.p + AT_MAGIC, magic, sizeof(magic)) != 0 ||
        mf_get_u32(rec.p + AT_LENGTH) != rec.n) {
        return false;
    }
    head->seq = mf_get_u64(rec.p + AT_SEQ);
    head->n_msgs = mf_get_u32(rec.p + AT_N_MSGS);
    if (head->seq == 0 || head->seq > MF_RECORD_MAX_SEQ ||
        head->n_msgs > (rec.n - HEAD_BYTES - SUM_BYTES) / MSG_BYTES) {
        return false;
    }
    return XXH3_64bits(rec.p, rec.n - SUM_BYTES) ==
           mf_get_u64(rec.p + rec.n - SUM_BYTES);
}

static int unpack_msgs(struct mf_slice rec, const struct mf_record_head *head,
                       struct mf_msg *msgs, struct mf_item **out)
{
    struct mf_item_spec spec = {.msgs = msgs};
    size_t skip = HEAD_BYTES + (size_t)head->n_msgs * MSG_BYTES;
    struct texts t = {rec.p + skip, rec.n - skip - SUM_BYTES};
    struct mf_item *it;

    if (!take_head(&t, rec.p, &spec)) {
        return MF_ECORRUPT;
    }
    for (uint32_t i = 0; i < spec.n_msgs; i++) {
        if (!take_msg(&t, rec.p + HEAD_BYTES + (size_t)i * MSG_BYTES, &msgs[i])) {
            return MF_ECORRUPT;
        }
    }
    if (t.left != 0) {
        return MF_ECORRUPT;
    }
    it = mf_item_new(&spec);
    if (it == NULL) {
        return MF_ENOMEM;
    }
    mf_item_set_seq(it, head->seq);
    *out = it;
    return 0;
}

int mf_record_unpack(struct mf_slice rec, struct mf_item **out)
{
    struct mf_msg few[8];
    struct mf_msg *msgs = few;
    struct mf_record_head head;
    int rc;

    if (!mf_record_peek(rec, &head)) {
        return MF_ECORRUPT;
    }
    if (head.n_msgs > mf_countof(few)) {
        msgs = mf_array(head.n_msgs, sizeof(*msgs));
    }
    if (msgs == NULL) {
        return MF_ENOMEM;
    }
    rc = unpack_msgs(rec, &head, msgs, out);
    if (msgs != few) {
        mf_free(msgs);
    }
    return rc;
}
