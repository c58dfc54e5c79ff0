mf_fuzzer(embed_in)
target_link_libraries(fuzz_embed_in PRIVATE mf_api_json)
mf_fuzzer(vec_out)
target_link_libraries(fuzz_vec_out PRIVATE mf_api_json)
