mf_test(pace SOURCES unit/test_pace.c DEPENDS engine)
mf_test(engine_directory SOURCES unit/test_engine_directory.c unit/stub_store.c
  DEPENDS engine looptest)
mf_test(engine_idem SOURCES unit/test_engine_idem.c unit/stub_store.c
  DEPENDS engine looptest)
mf_test(engine_keyids SOURCES unit/test_engine_keyids.c DEPENDS engine)
mf_test(engine_seqs SOURCES unit/test_engine_seqs.c DEPENDS engine)
mf_test(engine_scope SOURCES unit/test_engine_scope.c DEPENDS engine)
mf_test(engine_settle SOURCES unit/test_engine_settle.c DEPENDS enginekit)
mf_test(engine_call SOURCES unit/test_engine_call.c DEPENDS enginekit)
