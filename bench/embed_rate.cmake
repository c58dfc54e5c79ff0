# Not bench_*: bench/embed.py runs it.
add_executable(embed_rate ${CMAKE_CURRENT_LIST_DIR}/embed_rate.c
                          ${CMAKE_CURRENT_LIST_DIR}/ceiling.c)
mf_target_defaults(embed_rate)
target_include_directories(embed_rate PRIVATE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(embed_rate PRIVATE mf_embed mf_encoder mf_tokenizer mf_weights)
