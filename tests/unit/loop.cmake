# What the tests of every module on the loop share.
add_library(mf_looptest STATIC lib/loop_fixture.c)
mf_target_defaults(mf_looptest)
target_link_libraries(mf_looptest PUBLIC mf_testlib mf_loop)

mf_test(loop SOURCES unit/test_loop.c LIBS mf_looptest DEPENDS loop)
mf_test(loop_monitor SOURCES unit/test_loop_monitor.c DEPENDS loop)
mf_test(loop_pool SOURCES unit/test_loop_pool.c DEPENDS loop)
mf_test(lane SOURCES unit/test_lane.c LIBS mf_looptest DEPENDS loop)
mf_test(mailbox SOURCES unit/test_mailbox.c LIBS mf_looptest DEPENDS loop)
mf_test(dep SOURCES unit/test_dep.c DEPENDS loop)
