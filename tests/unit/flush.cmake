add_library(mf_fakestore STATIC lib/fake_store.c)
mf_target_defaults(mf_fakestore)
target_include_directories(mf_fakestore PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_fakestore PUBLIC mf_store mf_loop)

mf_test(flushq SOURCES unit/test_flushq.c DEPENDS flush)
mf_test(batch SOURCES unit/test_batch.c DEPENDS flush)
mf_test(retry SOURCES unit/test_retry.c DEPENDS flush)
mf_test(flusher SOURCES unit/test_flusher.c unit/flush_rig.c
  DEPENDS flush fakestore testrounds looptest)
mf_test(flusher_make SOURCES unit/test_flusher_make.c unit/flush_rig.c
  DEPENDS flush fakestore testrounds looptest)
mf_test(flusher_faults SOURCES unit/test_flusher_faults.c unit/flush_rig.c
  DEPENDS flush fakestore testrounds looptest)
mf_test(flush_aside SOURCES unit/test_flush_aside.c unit/flush_rig.c
  DEPENDS flush fakestore testrounds looptest)
mf_test(flush_sim SOURCES unit/test_flush_sim.c unit/flush_rig.c
  DEPENDS flush fakestore testrounds looptest)
