# Needs a server: bench/pg_flush.sh brings one.
add_executable(pg_flush ${CMAKE_CURRENT_LIST_DIR}/pg_flush.c ${CMAKE_CURRENT_LIST_DIR}/probe.c)
mf_target_defaults(pg_flush)
target_link_libraries(pg_flush PRIVATE mf_store)
