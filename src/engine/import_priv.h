/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import_priv: an import, between import.c (rows into the store) and import_names.c
 * (users, agents and sessions).
 *
 * Owns:    struct mf_import
 * Thread:  loop
 * Limits:  see import.h
 * Fails:   see import.h
 */
#ifndef MF_ENGINE_IMPORT_PRIV_H
#define MF_ENGINE_IMPORT_PRIV_H

#include "base/map.h"
#include "engine/import.h"
#include "engine/seqs.h"
#include "journal/journal.h"

struct mf_import {
    struct mf_loop *loop;
    struct mf_import_events events;
    struct mf_journal *journal; /* of a store on this disk; else NULL */
    struct mf_store *store;
    struct mf_terms_pool *terms;
    struct mf_record_maker maker;
    struct mf_seqs seqs;

    struct mf_map names;
    struct mf_buf key; /* scratch */

    /* the one request that is under way */
    struct mf_store_entity entity;
    struct mf_store_write write;
    bool is_answered;
    int answer;
};

/* Submits the request and runs the loop until it is answered. */
MF_MUST MF_LOOP int mf_import_ask(struct mf_import *im, struct mf_store_req *req,
                                  struct mf_err *err);

/* import_names.c */
MF_ANY void mf_import_init_names(struct mf_import *im);
MF_ANY void mf_import_forget_names(struct mf_import *im);
/* The ids of the line's user and session, made when they are missing, in `arena`.
 * MF_EUNPROCESSABLE: such a line cannot be stored. */
MF_MUST MF_LOOP int mf_import_resolve(struct mf_import *im,
                                      const struct mf_import_line *line,
                                      struct mf_arena *arena, struct mf_slice *user_id,
                                      struct mf_slice *session_id, struct mf_err *err);

#endif
