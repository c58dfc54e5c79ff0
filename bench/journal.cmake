add_executable(bench_journal ${CMAKE_CURRENT_LIST_DIR}/journal.c
                             ${CMAKE_CURRENT_LIST_DIR}/probe.c)
mf_target_defaults(bench_journal)
target_link_libraries(bench_journal PRIVATE mf_journal)
