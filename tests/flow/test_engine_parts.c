/* SPDX-License-Identifier: Apache-2.0 */
/* A part of the store is away: who belongs there waits and is told so, nobody else. */
#include "flow/remote_kit.h"
#include "flow/verbs_kit.h"

#include <string.h>

struct owner {
    struct kit_id user, agent, session;
};

static struct kit k;
static struct owner away, there; /* the part of the first is away */

/* Who adds from here on. */
MF_LOOP static void act_as(const struct owner *o)
{
    k.user = o->user;
    k.agent = o->agent;
    k.session = o->session;
}

MF_LOOP static void make_owner(struct owner *o)
{
    create(&k, MF_ENTITY_USER, (struct mf_entity){.name = mf_slice_str("there")},
           &o->user);
    o->agent = k.agent;
    create(&k, MF_ENTITY_SESSION,
           (struct mf_entity){.user_id = mf_slice_str(o->user.s),
                              .agent_id = mf_slice_str(o->agent.s)},
           &o->session);
}

/* A round of each waits to be stored. */
static void open_parts(void) MF_ASSERTS_LOOP;

static void open_parts(void)
{
    remote_open(&k, still);
    away = (struct owner){k.user, k.agent, k.session};
    make_owner(&there);
    kit_add(&k, "of the part that is away", NULL);
    act_as(&there);
    kit_add(&k, "of the other part", NULL);
    mf_far_store_part_away(remote_store(), away.user.s);
}

MF_LOOP static int flush_all(void)
{
    struct run r;

    run_init(&r, &k.scope, on_run_done);
    began(&r, mf_engine_flush(k.e, &r.c.call));
    return run_end(&k, &r);
}

MF_LOOP static int delete_session(const struct owner *o)
{
    struct run r;

    begin_entity_delete(&k, &r, &k.scope, MF_ENTITY_SESSION, o->session.s);
    return run_end(&k, &r);
}

MF_LOOP static struct mf_engine_figures figures(void)
{
    struct mf_engine_figures f;

    mf_engine_figures(k.e, &f);
    return f;
}

MF_TEST(parts, who_wants_all_stored_is_told_what_waits_and_for_what)
{
    struct mf_engine_figures f;

    open_parts();
    MF_CHECK_INT(flush_all(), MF_EUNAVAILABLE);
    MF_CHECK_INT(n_stored(&k), 1);
    f = figures();
    MF_CHECK(!f.store_up && f.store_down_us > 0);
    MF_CHECK_STR(f.store_why, "a part of the store is away: 1 rounds wait for it");
    mf_far_store_part_away(remote_store(), NULL);
    MF_CHECK_OK(flush_all());
    MF_CHECK_INT(n_stored(&k), 2);
    f = figures();
    MF_CHECK(f.store_up && f.store_down_us == 0);
    remote_close(&k);
}

MF_TEST(parts, a_session_can_be_deleted_when_its_own_part_is_there)
{
    open_parts();
    MF_CHECK_INT(flush_all(), MF_EUNAVAILABLE);
    MF_CHECK_INT(delete_session(&away), MF_EUNAVAILABLE);
    MF_CHECK_OK(delete_session(&there));
    act_as(&away);
    kit_add(&k, "the session is open again", NULL);
    mf_far_store_part_away(remote_store(), NULL);
    MF_CHECK_OK(delete_session(&away));
    MF_CHECK_INT(n_stored(&k), 0);
    remote_close(&k);
}
