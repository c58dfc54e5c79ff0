add_library(mf_transcript STATIC ${CMAKE_CURRENT_LIST_DIR}/transcript.c)
mf_target_defaults(mf_transcript)
target_include_directories(mf_transcript PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(mf_transcript PUBLIC mf_http)

mf_test(http_reply SOURCES http/test_http_reply.c DEPENDS http LABEL http)
mf_test(http_parse SOURCES http/test_http_parse.c DEPENDS http transcript LABEL http)
foreach(part bounds end talk)
  mf_test(http_${part} SOURCES http/test_http_${part}.c http/http_fixture.c
          lib/loop_fixture.c DEPENDS http LABEL http)
endforeach()
