include(${CMAKE_CURRENT_LIST_DIR}/pg.cmake)

mf_pg_test(pg_run SOURCES pg/test_pg_run.c pg/run_kit.c LIBS mf_looptest DEPENDS store
  VERSIONS 15 18)
mf_pg_test(pg_store
  SOURCES pg/test_pg_store.c unit/store_kit.c unit/store_kit_pg.c
  LIBS mf_looptest PkgConfig::LIBPQ
  DEPENDS store
  VERSIONS 15 18)
