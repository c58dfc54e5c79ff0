/* SPDX-License-Identifier: Apache-2.0 */
/* What is deleted while the library loads or scans. */
#include "unit/query_kit.h"

/* Two stored messages; the store has read both, the library does not know yet. */
MF_ANY static void begin_loading(struct kit_held *l) MF_ASSERTS_LOOP;

static void begin_loading(struct kit_held *l)
{
    kit_open(&l->k);
    l->first = kit_add(&l->k, "u1", 1, "my zebra eats grass");
    l->second = kit_add(&l->k, "u1", 2, "a zebra has stripes");
    kit_store(&l->k, "u1", l->first);
    kit_store(&l->k, "u1", l->second);
    kit_hold_read(&l->k, &l->q, KIT_HOLD_AFTER);
}

MF_TEST(library, honours_a_deletion_while_loading)
{
    struct kit_held l;

    begin_loading(&l);
    kit_delete(&l.k, "u1", l.first);
    kit_end_held(&l, false, true);
    kit_close(&l.k);
}

MF_TEST(library, honours_the_end_of_a_session_while_loading)
{
    struct kit_held l;

    begin_loading(&l);
    kit_delete_session(&l.k, "u1", 2);
    kit_end_held(&l, true, false);
    kit_close(&l.k);
}

MF_TEST(library, honours_the_end_of_a_user_while_loading)
{
    struct kit_held l;
    struct mf_store_entity e = {.req = {.op = MF_STORE_DELETE}, .kind = MF_ENTITY_USER};

    begin_loading(&l);
    e.in.id = mf_slice_str("u1");
    MF_CHECK_OK(kit_ask(&l.k, &e.req));
    mf_store_req_fini(&e.req);
    mf_library_user_gone(l.k.lib, mf_slice_str("u1"));
    kit_end_held(&l, false, false);
    MF_CHECK_INT(l.q.s.n_hits, 0);
    kit_close(&l.k);
}

MF_TEST(library, loads_again_when_it_could_not_note_a_deletion)
{
    struct kit_held l;

    begin_loading(&l);
    mf_holder_find(l.k.lib, mf_slice_str("u1"))->has_lost_log = true;
    kit_delete(&l.k, "u1", l.first);
    kit_end_held(&l, false, true);
    MF_CHECK_INT(l.k.n_asked, 2);
    kit_close(&l.k);
}

/* The shelf has both; a scan of it is under way. */
MF_ANY static void begin_scanning(struct kit_held *l) MF_ASSERTS_LOOP;

static void begin_scanning(struct kit_held *l)
{
    begin_loading(l);
    kit_end_held(l, true, true);
    kit_hold_work(&l->k, &l->q);
}

MF_LOOP static void check_second_alone(struct kit_held *l)
{
    kit_let_work(&l->k, &l->q);
    MF_CHECK_INT(l->q.s.n_hits, 1);
    MF_CHECK_INT(l->q.hits[0].seq, l->second);
    kit_forget(&l->q);
}

/* A scan that is under way ends after the deletion was told. */
MF_TEST(library, honours_a_deletion_while_scanning)
{
    struct kit_held l;

    begin_scanning(&l);
    kit_delete(&l.k, "u1", l.first);
    check_second_alone(&l);
    kit_check_not_found(&l.k, "zebra", l.first);
    kit_close(&l.k);
}

MF_TEST(library, honours_the_end_of_a_session_while_scanning)
{
    struct kit_held l;

    begin_scanning(&l);
    kit_delete_session(&l.k, "u1", 1);
    check_second_alone(&l);
    kit_close(&l.k);
}
