/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/loop_fixture.h"

#include "lib/mf_test.h"

#define WAIT_MS  60000
#define CLOSE_MS 10000

struct mf_loop *mf_loop_fixture_open(void)
{
    static const struct mf_loop_config cfg = {.pool_threads = 4};
    struct mf_loop *l = NULL;

    MF_CHECK_OK(mf_loop_open(&l, &cfg, NULL));
    mf_loop_assert(l);
    return l;
}

void mf_loop_fixture_wait(struct mf_loop *l, const bool *flag)
{
    MF_CHECK(mf_loop_run_until(l, flag, WAIT_MS));
}

void mf_loop_fixture_close(struct mf_loop *l)
{
    static const bool never = false;

    (void)mf_loop_run_until(l, &never, CLOSE_MS);
    MF_CHECK_OK(mf_loop_close(l));
}
