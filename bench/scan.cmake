add_executable(bench_scan ${CMAKE_CURRENT_LIST_DIR}/scan.c)
mf_target_defaults(bench_scan)
target_link_libraries(bench_scan PRIVATE mf_recall)
