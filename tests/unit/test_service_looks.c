/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of a text, and a vector for each. */
#include "unit/service_desk.h"

#include "base/err.h"
#include "base/mem.h"

MF_TEST(service, looks_at_the_pieces_of_a_text)
{
    struct look l = {.k = {.text = MF_SLICE("one two  three"), .done = look_done}};
    struct desk d;

    desk_open(&d);
    MF_CHECK_OK(mf_service_look(d.s, &l.k));
    MF_CHECK(mf_loop_run_until(d.f.loop, &l.is_done, PATIENCE));
    MF_CHECK_OK(l.rc);
    MF_CHECK_INT(l.k.n, 3);
    MF_CHECK_INT(l.k.pieces[2].start, 9);
    MF_CHECK_INT(l.k.pieces[2].end, 14);
    mf_free(l.k.pieces);
    desk_close(&d);
}

MF_TEST(service, looks_at_a_vector_for_each_piece)
{
    struct look l = {
        .k = {.text = MF_SLICE("one two"), .wants_states = true, .done = look_done}};
    struct desk d;
    float want[DIM];

    desk_open(&d);
    MF_CHECK_OK(mf_service_look(d.s, &l.k));
    MF_CHECK_INT(mf_service_n_requests(d.s), 1);
    MF_CHECK(mf_loop_run_until(d.f.loop, &l.is_done, PATIENCE));
    MF_CHECK_OK(l.rc);
    MF_CHECK_INT(l.k.n, 2);
    mf_fake_vector(d.f.fake, MF_SLICE("two"), want);
    MF_CHECK_MEM(l.k.states + DIM, want, sizeof(want));
    mf_free(l.k.states);
    MF_CHECK_INT(mf_service_n_requests(d.s), 0);
    desk_close(&d);
}

MF_TEST(service, ends_looks_when_it_closes)
{
    struct look l[3];
    struct desk d;

    desk_open(&d);
    memset(l, 0, sizeof(l));
    for (size_t i = 0; i < 3; i++) {
        l[i].k.text = MF_SLICE("one two");
        l[i].k.done = look_done;
        MF_CHECK_OK(mf_service_look(d.s, &l[i].k));
    }
    desk_close(&d);
    for (size_t i = 0; i < 3; i++) {
        MF_CHECK_INT(l[i].n_done, 1);
        MF_CHECK(l[i].rc == 0 || l[i].rc == MF_ECANCELED);
        mf_free(l[i].k.pieces);
    }
}

MF_TEST(service, looks_at_more_pieces_than_it_expected)
{
    char text[400];
    struct look l = {.k = {.text = {text, sizeof(text)}, .done = look_done}};
    struct desk d;

    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = i % 2 == 0 ? 'a' : ' ';
    }
    desk_open(&d);
    l.k.special = true;
    MF_CHECK_OK(mf_service_look(d.s, &l.k));
    MF_CHECK(mf_loop_run_until(d.f.loop, &l.is_done, PATIENCE));
    MF_CHECK_OK(l.rc);
    MF_CHECK_INT(l.k.n, 201);
    MF_CHECK(l.k.pieces[0].is_special);
    MF_CHECK_INT(l.k.pieces[200].start, 398);
    mf_free(l.k.pieces);
    desk_close(&d);
}
