add_executable(bench_tokenize ${CMAKE_CURRENT_LIST_DIR}/tokenize.c)
mf_target_defaults(bench_tokenize)
target_link_libraries(bench_tokenize PRIVATE mf_tokenizer)
