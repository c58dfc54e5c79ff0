add_executable(bench_embed_hash ${CMAKE_CURRENT_LIST_DIR}/embed_hash.c)
mf_target_defaults(bench_embed_hash)
target_link_libraries(bench_embed_hash PRIVATE mf_embed)
