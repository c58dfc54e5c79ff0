mf_test(pg_code SOURCES unit/test_pg_code.c DEPENDS store)
mf_test(pg_run SOURCES unit/test_pg_run.c unit/pg_run_rig.c LIBS mf_looptest DEPENDS store)
