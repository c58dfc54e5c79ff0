add_library(mf_testrounds STATIC lib/rounds.c)
mf_target_defaults(mf_testrounds)
target_include_directories(mf_testrounds PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_testrounds PUBLIC mf_item)

mf_test(wbuf SOURCES unit/test_wbuf.c DEPENDS buffer)
mf_test(buffers SOURCES unit/test_buffers.c DEPENDS buffer testrounds)
