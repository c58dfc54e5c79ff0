mf_test(pg_code SOURCES unit/test_pg_code.c DEPENDS store)
mf_test(pg_run_paths SOURCES unit/test_pg_run_paths.c unit/pg_run_rig.c
  LIBS mf_looptest DEPENDS store)
