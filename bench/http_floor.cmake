add_executable(bench_http_floor ${CMAKE_CURRENT_LIST_DIR}/http_floor.c)
mf_target_defaults(bench_http_floor)
target_link_libraries(bench_http_floor PRIVATE mf_http)
