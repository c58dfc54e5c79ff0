mf_test(mf_test SOURCES unit/test_mf_test.c DEPENDS base)
mf_test(mf_test_leak SOURCES unit/test_mf_test_leak.c DEPENDS base)
set_tests_properties(unit.mf_test_leak PROPERTIES
  PASS_REGULAR_EXPRESSION "mf_test.leaks left 1 blocks of the seam behind")
