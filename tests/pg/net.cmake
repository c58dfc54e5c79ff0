include(${CMAKE_CURRENT_LIST_DIR}/pg.cmake)

mf_pg_test(pg_conn SOURCES pg/test_pg_conn.c pg/conn_kit.c LIBS mf_looptest DEPENDS store
  VERSIONS 15 18)

# Debian's server alone has TLS.
add_executable(test_pg_connect pg/test_pg_connect.c pg/conn_kit.c)
mf_target_defaults(test_pg_connect)
target_include_directories(test_pg_connect PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(test_pg_connect PRIVATE mf_testlib mf_looptest mf_store)
mf_pg_run(pg_connect
  COMMAND bash ${CMAKE_CURRENT_LIST_DIR}/with_far_server.sh $<TARGET_FILE:test_pg_connect>
  VERSIONS 15)
