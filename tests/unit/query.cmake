add_library(mf_querykit STATIC unit/query_kit.c unit/query_kit_scan.c
                               unit/query_kit_shared.c)
mf_target_defaults(mf_querykit)
target_include_directories(mf_querykit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_querykit PUBLIC mf_query mf_testlib)

mf_test(library SOURCES unit/test_library.c DEPENDS query querykit)
mf_test(library_far SOURCES unit/test_library_far.c DEPENDS query querykit)
mf_test(library_sim SOURCES unit/test_library_sim.c DEPENDS query querykit)
mf_test(library_shared SOURCES unit/test_library_shared.c DEPENDS query querykit)
mf_test(library_shared_far SOURCES unit/test_library_shared_far.c
        DEPENDS query querykit)
mf_test(query SOURCES unit/test_query.c unit/query_rig.c
        DEPENDS query querykit fakemodel)
mf_test(query_shared SOURCES unit/test_query_shared.c unit/query_rig.c
        DEPENDS query querykit)
