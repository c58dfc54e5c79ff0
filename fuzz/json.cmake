mf_fuzzer(json)
target_link_libraries(fuzz_json PRIVATE mf_api_json)
