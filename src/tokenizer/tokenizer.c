/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer/tokenizer.h"

#include "base/mem.h"
#include "tokenizer/tokenizer_priv.h"

/* What the reader filled, when it could. */
static int finish(struct mf_tokenizer **out, struct mf_tokenizer *t, int rc,
                  struct mf_err *err)
{
    if (rc == 0) {
        rc = t->ops->prepare(t, err);
    }
    if (rc < 0) {
        mf_tokenizer_close(t);
        return rc;
    }
    *out = t;
    return 0;
}

int mf_tokenizer_open(struct mf_tokenizer **out, const char *folder, struct mf_err *err)
{
    struct mf_tokenizer *t = mf_calloc(1, sizeof(*t));
    int rc;

    *out = NULL;
    if (t == NULL) {
        return mf_err_set(err, MF_ENOMEM, "tokenizer in %s: out of memory", folder);
    }
    rc = mf_tokenizer_read_json(t, folder, err);
    if (rc == MF_ENOTFOUND) {
        rc = mf_tokenizer_read_vocab_txt(t, folder, err);
    }
    rc = finish(out, t, rc, err);
    return rc < 0 ? mf_err_wrap(err, rc, "tokenizer in %s", folder) : 0;
}

int mf_tokenizer_open_vocab(struct mf_tokenizer **out,
                            const struct mf_tokenizer_vocab *v, struct mf_err *err)
{
    struct mf_tokenizer *t = mf_calloc(1, sizeof(*t));
    int rc;

    *out = NULL;
    if (t == NULL) {
        return mf_err_set(err, MF_ENOMEM, "vocabulary: out of memory");
    }
    rc = finish(out, t, mf_tokenizer_take_vocab(t, v, err), err);
    return rc < 0 ? mf_err_wrap(err, rc, "vocabulary") : 0;
}

void mf_tokenizer_close(struct mf_tokenizer *t)
{
    if (t == NULL) {
        return;
    }
    mf_vocab_fini(&t->vocab);
    mf_normaliser_fini(&t->norm);
    mf_added_fini(&t->added);
    mf_free(t);
}

const struct mf_tokenizer_info *mf_tokenizer_info(const struct mf_tokenizer *t)
{
    return &t->info;
}

struct mf_slice mf_tokenizer_piece(const struct mf_tokenizer *t, uint32_t id)
{
    return mf_vocab_piece(&t->vocab, id);
}

/* Offsets have 32 bits: what lies behind is cut off. */
static struct mf_slice in_reach(struct mf_slice text)
{
    return mf_slice_of(text.p, mf_min(text.n, (size_t)UINT32_MAX));
}

static size_t count_pieces(const struct mf_tokenizer *t, struct mf_slice text)
{
    struct mf_piece_sink sink = {.counts_all = true};

    t->ops->walk(t, text, &sink);
    return sink.n_seen;
}

static void put_special(struct mf_pieces *p, uint32_t id)
{
    p->id[p->n] = id;
    if (p->start != NULL) {
        p->start[p->n] = 0;
    }
    if (p->end != NULL) {
        p->end[p->n] = 0;
    }
    p->n++;
}

/* The sink behind the pieces that are written already; `room` of them. */
static struct mf_piece_sink sink_behind(const struct mf_pieces *p, size_t room)
{
    return (struct mf_piece_sink){
        .id = p->id == NULL ? NULL : p->id + p->n,
        .start = p->start == NULL ? NULL : p->start + p->n,
        .end = p->end == NULL ? NULL : p->end + p->n,
        .cap = room,
    };
}

/* Writes the text's own pieces; returns how many there are, or one more than `room`. */
static size_t encode_text(const struct mf_tokenizer *t, struct mf_slice text,
                          unsigned flags, struct mf_pieces *p, size_t room)
{
    struct mf_piece_sink sink = sink_behind(p, room);
    size_t kept;

    sink.counts_all = (flags & (MF_ENCODE_COUNT | MF_ENCODE_LEFT)) == MF_ENCODE_COUNT;
    if ((flags & MF_ENCODE_LEFT) != 0) {
        size_t n = count_pieces(t, text);

        sink.skip = n > room ? n - room : 0;
    }
    if (sink.skip == 0 || room > 0) {
        t->ops->walk(t, text, &sink);
    }
    sink.n_seen = mf_max(sink.n_seen, sink.skip);
    kept = mf_min(sink.n_seen - sink.skip, room);
    p->n += kept;
    p->n_bytes = text.n;
    if (sink.n_seen > room) {
        p->n_bytes = kept == 0                       ? 0
                     : (flags & MF_ENCODE_LEFT) != 0 ? text.n - sink.first
                                                     : sink.last;
    }
    return sink.n_seen;
}

size_t mf_tokenizer_encode(const struct mf_tokenizer *t, struct mf_slice text,
                           unsigned flags, struct mf_pieces *p)
{
    bool is_special = (flags & MF_ENCODE_SPECIAL) != 0;
    size_t n_special = is_special ? t->info.n_special : 0;
    size_t room = p->cap > n_special ? p->cap - n_special : 0, n;

    p->n = 0;
    if (is_special && p->cap > 0) {
        put_special(p, t->info.cls_id);
    }
    n = n_special + encode_text(t, in_reach(text), flags, p, room);
    if (is_special && p->n < p->cap) {
        put_special(p, t->info.sep_id);
    }
    return (flags & MF_ENCODE_COUNT) != 0 || n == p->n ? n : p->n + 1;
}

size_t mf_tokenizer_offsets(const struct mf_tokenizer *t, struct mf_slice text,
                            uint32_t *at, size_t cap)
{
    struct mf_piece_sink sink = {.start = at, .cap = cap, .counts_all = true};

    t->ops->walk(t, in_reach(text), &sink);
    return sink.n_seen;
}
