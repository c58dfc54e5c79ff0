add_library(fuzz_http_transcript STATIC ${PROJECT_SOURCE_DIR}/tests/http/transcript.c)
mf_target_defaults(fuzz_http_transcript)
target_include_directories(fuzz_http_transcript PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(fuzz_http_transcript PUBLIC mf_http)

mf_fuzzer(http DEPENDS http)
target_link_libraries(fuzz_http PRIVATE fuzz_http_transcript)
