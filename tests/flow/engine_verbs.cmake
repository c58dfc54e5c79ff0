add_library(mf_verbskit STATIC flow/verbs_kit.c)
mf_target_defaults(mf_verbskit)
target_include_directories(mf_verbskit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_verbskit PUBLIC mf_enginekit)

foreach(name engine_verbs engine_races engine_nomem)
  mf_test(${name} SOURCES flow/test_${name}.c DEPENDS verbskit LABEL flow)
endforeach()
