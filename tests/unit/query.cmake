add_library(mf_querykit STATIC unit/query_kit.c unit/query_kit_scan.c
                               unit/query_kit_shared.c)
mf_target_defaults(mf_querykit)
target_include_directories(mf_querykit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_querykit PUBLIC mf_query mf_testlib)

foreach(name library library_delete library_far library_sim library_shared
        library_shared_far)
  mf_test(${name} SOURCES unit/test_${name}.c DEPENDS query querykit)
endforeach()
mf_test(query SOURCES unit/test_query.c unit/query_rig.c
        DEPENDS query querykit fakemodel)
mf_test(query_shared SOURCES unit/test_query_shared.c unit/query_rig.c
        DEPENDS query querykit)
