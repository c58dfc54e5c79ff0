include(${CMAKE_CURRENT_LIST_DIR}/pg.cmake)

mf_pg_test(pg_conn SOURCES pg/test_pg_conn.c pg/conn_kit.c LIBS mf_looptest DEPENDS store
  VERSIONS 15 18)
