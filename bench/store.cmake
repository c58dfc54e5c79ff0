add_executable(bench_store ${CMAKE_CURRENT_LIST_DIR}/store.c
                           ${CMAKE_CURRENT_LIST_DIR}/probe.c)
mf_target_defaults(bench_store)
target_link_libraries(bench_store PRIVATE mf_store)
