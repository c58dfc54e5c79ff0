/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened elsewhere. A shelf that cannot take a change (no memory) is dropped:
 * the next scan loads another one, which has it.
 *
 * Of a shared store no record is replaced while loading: what the store gives is at
 * least as new, and what is in the buffers is put before a scan runs.
 */
#include "query/library_priv.h"

#include "base/log.h"

/* After a change of a RESIDENT holder's shelf. MF_ENOTFOUND: it has nothing to change,
 * so nothing is wrong. */
MF_LOOP static void changed(struct mf_holder *h, uint64_t seq, int rc)
{
    if (rc != MF_ENOTFOUND && mf_holder_judge_put(seq, rc) < 0) {
        mf_holder_drop(h);
        return;
    }
    mf_holder_account(h);
}

MF_LOOP static void replace(struct mf_library *lib, struct mf_slice user_id,
                            uint64_t seq, struct mf_slice rec)
{
    struct mf_holder *h = mf_holder_find(lib, user_id);
    struct mf_shelf_row row = {.seq = seq, .rec = rec};

    if (h == NULL) {
        return;
    }
    if (h->state == MF_HOLDER_LOADING && !lib->store->info.is_shared) {
        mf_load_note(h, MF_CHANGE_REPLACE, &row);
    } else if (h->state == MF_HOLDER_RESIDENT) {
        mf_delta_told(h, seq, row.session_id);
        changed(h, seq, mf_shelf_replace(h->shelf, seq, rec));
    }
}

/* When the seq is not there the entry holds the record, and is put with it. */
void mf_library_record_made(struct mf_library *lib, struct mf_slice user_id,
                            uint64_t seq, struct mf_slice rec)
{
    replace(lib, user_id, seq, rec);
}

/* Of a shared store the next read brings what the row is by then: another process may
 * have changed it after us, and we are told in any order. */
void mf_library_replaced(struct mf_library *lib, struct mf_slice user_id, uint64_t seq,
                         struct mf_slice rec)
{
    if (!lib->store->info.is_shared) {
        replace(lib, user_id, seq, rec);
    }
}

MF_LOOP static void put(struct mf_holder *h, const struct mf_shelf_row *row)
{
    if (h->state == MF_HOLDER_LOADING) {
        mf_load_note(h, MF_CHANGE_PUT, row);
    } else if (h->state == MF_HOLDER_RESIDENT && !mf_shelf_has(h->shelf, row->seq)) {
        changed(
            h, row->seq,
            mf_shelf_put(h->shelf, row->seq, row->session_id, row->agent_id, row->rec));
    }
}

void mf_library_put(struct mf_library *lib, struct mf_slice user_id, uint64_t seq,
                    struct mf_slice session_id, struct mf_slice agent_id,
                    struct mf_slice rec)
{
    struct mf_holder *h = mf_holder_find(lib, user_id);
    struct mf_shelf_row row = {seq, session_id, agent_id, rec};

    if (h != NULL) {
        put(h, &row);
    }
}

void mf_library_stored(struct mf_library *lib, struct mf_entry *e)
{
    const struct mf_item *it = e->item;
    struct mf_holder *h = mf_holder_find(lib, it->user_id);

    for (uint32_t i = 0; h != NULL && !h->is_gone && i < it->n_msgs; i++) {
        const struct mf_buf *rec = &e->msgs[i].search;
        struct mf_shelf_row row = {e->msgs[i].seq, it->session_id, it->agent_id,
                                   mf_slice_of(rec->p, rec->n)};

        put(h, &row);
    }
}

void mf_library_removed(struct mf_library *lib, struct mf_slice user_id, uint64_t seq)
{
    struct mf_holder *h = mf_holder_find(lib, user_id);
    struct mf_shelf_row row = {.seq = seq};

    if (h == NULL) {
        return;
    }
    mf_holder_note_gone(h, seq);
    if (h->state == MF_HOLDER_LOADING) {
        mf_load_note(h, MF_CHANGE_REMOVE, &row);
    } else if (h->state == MF_HOLDER_RESIDENT) {
        mf_delta_told(h, seq, row.session_id);
        changed(h, seq, mf_shelf_remove(h->shelf, seq));
    }
}

void mf_library_session_gone(struct mf_library *lib, struct mf_slice user_id,
                             struct mf_slice session_id)
{
    struct mf_holder *h = mf_holder_find(lib, user_id);
    struct mf_shelf_row row = {.session_id = session_id};

    if (h == NULL) {
        return;
    }
    h->epoch++; /* hits do not tell their session: active runs rank anew */
    switch (h->state) {
    case MF_HOLDER_LOADING: mf_load_note(h, MF_CHANGE_REMOVE_SESSION, &row); break;
    case MF_HOLDER_RESIDENT:
        mf_delta_told(h, 0, session_id);
        changed(h, 0, mf_shelf_remove_session(h->shelf, session_id));
        break;
    case MF_HOLDER_LARGE: mf_holder_drop(h); break; /* perhaps it fits now */
    case MF_HOLDER_FAILED: break;
    }
}

void mf_library_user_gone(struct mf_library *lib, struct mf_slice user_id)
{
    struct mf_holder *h = mf_holder_find(lib, user_id);

    if (h != NULL) {
        mf_holder_drop(h);
    }
}
