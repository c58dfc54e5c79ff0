/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop_fixture: a loop for one case, which must end with no handle left.
 *
 * Owns:    the loop between open and close
 * Thread:  the case's, which becomes the loop thread
 * Limits:  a wait ends after a minute, a close after ten seconds: the case fails
 * Fails:   through cmocka's assertions
 */
#ifndef MF_LOOP_FIXTURE_H
#define MF_LOOP_FIXTURE_H

#include "base/base.h"
#include "loop/loop.h"

/* From here on the case holds the loop's role and may call what is MF_LOOP. */
MF_ANY struct mf_loop *mf_loop_fixture_open(void) MF_ASSERTS_LOOP;
/* Runs turns until `*flag` is true. */
MF_LOOP void mf_loop_fixture_wait(struct mf_loop *l, const bool *flag);
/* Runs what is still closing, then asserts that nothing is left. */
MF_LOOP void mf_loop_fixture_close(struct mf_loop *l);

#endif
