pkg_check_modules(SQLITE_TEST REQUIRED IMPORTED_TARGET sqlite3)
add_library(mf_enginekit STATIC flow/engine_kit.c)
mf_target_defaults(mf_enginekit)
target_include_directories(mf_enginekit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_enginekit PUBLIC mf_engine mf_fakemodel mf_looptest mf_testlib
  PkgConfig::SQLITE_TEST)

foreach(name engine_embed engine_store engine_again engine_backlog)
  mf_test(${name} SOURCES flow/test_${name}.c DEPENDS enginekit LABEL flow)
endforeach()
# The flush's records are made when the test says so.
target_link_options(test_engine_backlog PRIVATE -Wl,--wrap=mf_record_build)
