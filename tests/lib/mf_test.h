/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mf_test: a case is a sentence. MF_TEST(module, does_what_when) { ... } registers
 * itself; the program's main (here) runs all of them, or those whose name contains
 * argv[1], under cmocka. Memory of the seam (base/mem.h) that a case leaves behind
 * fails it. mf_test_fail_nth() makes the n-th allocation of the seam fail.
 */
#ifndef MF_TEST_H
#define MF_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

typedef void (*mf_test_fn)(void **state);

void mf_test_register(const char *name, mf_test_fn fn);

#define MF_TEST(module, name)                                                          \
    static void test_##module##_##name(void **state);                                  \
    __attribute__((constructor)) static void register_##module##_##name(void)          \
    {                                                                                  \
        mf_test_register(#module "." #name, test_##module##_##name);                   \
    }                                                                                  \
    static void test_##module##_##name(MF_UNUSED void **state)

#define MF_CHECK(cond)        assert_true(cond)
#define MF_CHECK_INT(a, b)    assert_int_equal(a, b)
#define MF_CHECK_PTR(a, b)    assert_ptr_equal(a, b)
#define MF_CHECK_STR(a, b)    assert_string_equal(a, b)
#define MF_CHECK_MEM(a, b, n) assert_memory_equal(a, b, n)
#define MF_CHECK_OK(rc)       assert_int_equal(rc, 0)

/* The n-th allocation from now on fails (1: the next); 0 switches it off. */
void mf_test_fail_nth(size_t n);
/* Whether the armed failure happened since it was armed. */
bool mf_test_has_failed(void);
size_t mf_test_live_blocks(void);
/* A fresh folder for this case, removed with all in it when the program ends. */
const char *mf_test_tmpdir(void);

#endif
