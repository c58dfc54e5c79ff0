/* SPDX-License-Identifier: Apache-2.0 */
/* Lines to rows: ids and search records. */
#include "engine/import.h"

#include "engine/keyids.h"

#define ARENA_BLOCK ((size_t)256 * 1024)

void mf_import_batch_init(struct mf_import_batch *b)
{
    memset(b, 0, sizeof(*b));
    mf_arena_init(&b->arena, ARENA_BLOCK);
    mf_buf_init(&b->scratch);
}

void mf_import_batch_reset(struct mf_import_batch *b)
{
    mf_arena_reset(&b->arena);
    b->n_lines = b->n_rows = b->bytes = 0;
}

void mf_import_batch_fini(struct mf_import_batch *b)
{
    mf_arena_fini(&b->arena);
    mf_free(b->lines);
    mf_free(b->rows);
    mf_buf_fini(&b->scratch);
}

/* Lengths stand before what could be anything. */
static int begin_ids(struct mf_import_batch *b, const struct mf_import_line *line,
                     struct mf_keyids *ids)
{
    uint8_t hash[MF_KEYIDS_BYTES];
    int rc = mf_keyids_hash(line->text, hash);

    if (rc < 0) {
        return rc;
    }
    mf_buf_reset(&b->scratch);
    mf_buf_addf(&b->scratch, "import %llu %zu:", (unsigned long long)line->number,
                line->user.n);
    mf_buf_add_slice(&b->scratch, line->user);
    mf_buf_addf(&b->scratch, " %zu:", line->session.n);
    mf_buf_add_slice(&b->scratch, line->session);
    rc = mf_buf_status(&b->scratch);
    return rc < 0 ? rc
                  : mf_keyids_init(ids, mf_slice_of(b->scratch.p, b->scratch.n), hash);
}

static int make_id(struct mf_import_batch *b, const struct mf_keyids *ids, uint32_t i,
                   struct mf_slice *out)
{
    struct mf_id id;
    int rc = mf_keyids_make(ids, i, &id);
    char *copy = rc < 0 ? NULL : mf_arena_strndup(&b->arena, id.s, id.n);

    *out = mf_slice_of(copy, id.n);
    return copy == NULL ? MF_ENOMEM : 0;
}

static int make_record(struct mf_import_batch *b, const struct mf_record_maker *maker,
                       struct mf_store_row *row)
{
    int rc;
    char *copy;

    mf_buf_reset(&b->scratch);
    rc = mf_record_build(&b->scratch, maker, &row->msg);
    if (rc < 0) {
        return rc;
    }
    copy = mf_arena_strndup(&b->arena, b->scratch.p, b->scratch.n);
    row->search = mf_slice_of(copy, b->scratch.n);
    return copy == NULL ? MF_ENOMEM : 0;
}

static int make_row(struct mf_import_batch *b, const struct mf_keyids *ids, uint32_t i,
                    const struct mf_msg *msg, const struct mf_record_maker *maker,
                    int64_t now_us)
{
    struct mf_store_row *row = &b->rows[b->n_rows];

    *row = (struct mf_store_row){.msg = *msg, .is_pending = true};
    row->msg.updated_us = now_us;
    if (msg->created_us == 0) {
        row->msg.created_us = now_us;
    }
    if (msg->id.n == 0 && make_id(b, ids, i, &row->msg.id) < 0) {
        return MF_ENOMEM;
    }
    b->n_rows++;
    b->bytes += msg->content.n + msg->metadata.n;
    return make_record(b, maker, row);
}

int mf_import_batch_add(struct mf_import_batch *b, const struct mf_import_line *line,
                        const struct mf_record_maker *maker, int64_t now_us)
{
    size_t first = b->n_rows;
    struct mf_keyids ids;
    struct mf_slice round_id;
    int rc =
        mf_grow((void **)&b->lines, &b->lines_cap, b->n_lines + 1, sizeof(*b->lines));

    if (rc == 0) {
        rc = mf_grow((void **)&b->rows, &b->rows_cap, first + line->n_msgs + 1,
                     sizeof(*b->rows));
    }
    if (rc == 0) {
        rc = begin_ids(b, line, &ids);
    }
    if (rc == 0) {
        rc = make_id(b, &ids, UINT32_MAX, &round_id);
    }
    for (uint32_t i = 0; rc == 0 && i < line->n_msgs; i++) {
        rc = make_row(b, &ids, i, &line->msgs[i], maker, now_us);
        b->rows[first + i].round_id = round_id;
    }
    if (rc < 0) {
        return rc;
    }
    b->lines[b->n_lines] = *line;
    b->lines[b->n_lines].text = mf_slice_of(NULL, 0);
    b->lines[b->n_lines++].first = first;
    return 0;
}
