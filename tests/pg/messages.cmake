include(${CMAKE_CURRENT_LIST_DIR}/pg.cmake)

mf_pg_test(pg_messages
  SOURCES pg/test_pg_messages.c pg/crowd.c unit/store_kit.c unit/store_kit_pg.c
  LIBS mf_looptest PkgConfig::LIBPQ
  DEPENDS store)
mf_pg_test(pg_plans
  SOURCES pg/test_pg_plans.c unit/store_kit.c unit/store_kit_pg.c
  LIBS mf_looptest PkgConfig::LIBPQ
  DEPENDS store
  VERSIONS 15 18)
mf_pg_test(pg_load
  SOURCES pg/test_pg_load.c pg/crowd.c unit/store_kit.c unit/store_kit_pg.c
  LIBS mf_looptest PkgConfig::LIBPQ
  DEPENDS store
  VERSIONS 15 18)
