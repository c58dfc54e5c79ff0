/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__clang__)
struct mf_role mf_role_loop;
#endif

void mf_assert_failed(const char *cond, const char *file, int line, const char *func)
{
    (void)fprintf(stderr, "memfuse: assertion '%s' failed in %s at %s:%d\n", cond, func,
                  file, line);
    abort();
}
