# Not bench_*: bench/retrieval.py runs it.
add_executable(embed_vectors ${PROJECT_SOURCE_DIR}/tests/lib/embed_probe.c)
mf_target_defaults(embed_vectors)
target_link_libraries(embed_vectors PRIVATE mf_embed)
