mf_test(pg_dsn SOURCES unit/test_pg_dsn.c DEPENDS store)

# The pool above a connection that needs no server: its own objects, not the store's.
foreach(name pg_pool pg_pool_down)
  mf_test(${name}
    SOURCES unit/test_${name}.c unit/pg_pool_rig.c unit/fake_pg_conn.c
            ${PROJECT_SOURCE_DIR}/src/store/pg_pool.c
            ${PROJECT_SOURCE_DIR}/src/store/pg_member.c
            ${PROJECT_SOURCE_DIR}/src/store/pg_dsn.c
            ${PROJECT_SOURCE_DIR}/src/store/pg_dsn_parts.c
    LIBS mf_looptest PkgConfig::LIBPQ
    DEPENDS base loop)
endforeach()
mf_test(pg_conn_error SOURCES unit/test_pg_conn_error.c DEPENDS store)
