/* SPDX-License-Identifier: Apache-2.0 */
/* What is deleted while the library loads or scans. */
#include "unit/query_kit.h"

#include "base/stat.h"

struct loading {
    struct kit k;
    struct kit_scan q;
    uint64_t first, second;
};

/* Two stored messages, of sessions 1 and 2; the store has read both, the library does
 * not know yet. */
MF_ANY static void begin_loading(struct loading *l) MF_ASSERTS_LOOP;

static void begin_loading(struct loading *l)
{
    kit_open(&l->k);
    l->first = kit_add(&l->k, "u1", 1, "my zebra eats grass");
    l->second = kit_add(&l->k, "u1", 2, "a zebra has stripes");
    kit_store(&l->k, "u1", l->first);
    kit_store(&l->k, "u1", l->second);
    kit_question(&l->k, &l->q, "u1", "zebra");
    kit_gate(&l->k, KIT_HOLD_AFTER);
    MF_CHECK_OK(kit_submit(&l->q));
    kit_wait_gated(&l->k, 1);
}

MF_LOOP static void end_loading(struct loading *l)
{
    kit_gate(&l->k, KIT_OPEN);
    kit_wait(&l->q);
}

MF_TEST(library, honours_a_deletion_while_loading)
{
    struct loading l;

    begin_loading(&l);
    kit_delete(&l.k, "u1", l.first);
    end_loading(&l);
    MF_CHECK_INT(kit_count(&l.q, l.first), 0);
    MF_CHECK_INT(kit_count(&l.q, l.second), 1);
    kit_forget(&l.q);
    kit_close(&l.k);
}

MF_TEST(library, honours_the_end_of_a_session_while_loading)
{
    struct loading l;

    begin_loading(&l);
    kit_delete_session(&l.k, "u1", 2);
    end_loading(&l);
    MF_CHECK_INT(kit_count(&l.q, l.first), 1);
    MF_CHECK_INT(kit_count(&l.q, l.second), 0);
    kit_forget(&l.q);
    kit_close(&l.k);
}

MF_TEST(library, honours_the_end_of_a_user_while_loading)
{
    struct loading l;
    struct mf_store_entity e = {.req = {.op = MF_STORE_DELETE}, .kind = MF_ENTITY_USER};

    begin_loading(&l);
    e.in.id = mf_slice_str("u1");
    MF_CHECK_OK(kit_ask(&l.k, &e.req));
    mf_store_req_fini(&e.req);
    mf_library_user_gone(l.k.lib, mf_slice_str("u1"));
    end_loading(&l);
    MF_CHECK_INT(l.q.s.n_hits, 0);
    kit_forget(&l.q);
    kit_close(&l.k);
}

MF_TEST(library, loads_again_when_it_could_not_note_a_deletion)
{
    struct loading l;

    begin_loading(&l);
    mf_holder_find(l.k.lib, mf_slice_str("u1"))->has_lost_log = true;
    kit_delete(&l.k, "u1", l.first);
    end_loading(&l);
    MF_CHECK_INT(l.k.n_asked, 2);
    MF_CHECK_INT(kit_count(&l.q, l.first), 0);
    MF_CHECK_INT(kit_count(&l.q, l.second), 1);
    kit_forget(&l.q);
    kit_close(&l.k);
}

/* A scan that is under way ends after the deletion was told. */
MF_TEST(library, honours_a_deletion_while_scanning)
{
    struct loading l;
    struct kit_scan q;

    begin_loading(&l);
    end_loading(&l);
    kit_forget(&l.q);
    mf_lane_set_permits(l.k.lib->lane, 0);
    kit_question(&l.k, &q, "u1", "zebra");
    MF_CHECK_OK(kit_submit(&q));
    kit_turns(&l.k, 3);
    MF_CHECK_INT(mf_lane_n_waiting(l.k.lib->lane), 1);
    kit_delete(&l.k, "u1", l.first);
    mf_lane_set_permits(l.k.lib->lane, 1);
    kit_wait(&q);
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK_INT(q.hits[0].seq, l.second);
    kit_forget(&q);
    kit_check_not_found(&l.k, "zebra", l.first);
    kit_close(&l.k);
}

MF_TEST(library, honours_the_end_of_a_session_while_scanning)
{
    struct loading l;
    struct kit_scan q;

    begin_loading(&l);
    end_loading(&l);
    kit_forget(&l.q);
    mf_lane_set_permits(l.k.lib->lane, 0);
    kit_question(&l.k, &q, "u1", "zebra");
    MF_CHECK_OK(kit_submit(&q));
    kit_turns(&l.k, 3);
    kit_delete_session(&l.k, "u1", 1);
    mf_lane_set_permits(l.k.lib->lane, 1);
    kit_wait(&q);
    MF_CHECK_INT(q.s.n_hits, 1);
    MF_CHECK_INT(q.hits[0].seq, l.second);
    kit_forget(&q);
    kit_close(&l.k);
}
