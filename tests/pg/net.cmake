include(${CMAKE_CURRENT_LIST_DIR}/pg.cmake)

mf_pg_test(pg_conn SOURCES pg/test_pg_conn.c pg/conn_kit.c LIBS mf_looptest DEPENDS store
  VERSIONS 15 18)

# Debian's server alone has TLS.
foreach(name pg_connect pg_names)
  add_executable(test_${name} pg/test_${name}.c pg/far_kit.c pg/conn_kit.c)
  mf_target_defaults(test_${name})
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE mf_testlib mf_looptest mf_store)
  mf_pg_run(${name}
    COMMAND bash ${CMAKE_CURRENT_LIST_DIR}/with_far_server.sh $<TARGET_FILE:test_${name}>
    VERSIONS 15)
endforeach()
