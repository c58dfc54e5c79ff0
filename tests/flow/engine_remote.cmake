# A test's own store between the engine and the real one.
add_library(mf_remotekit STATIC flow/remote_kit.c lib/far_store.c)
mf_target_defaults(mf_remotekit)
target_include_directories(mf_remotekit PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_remotekit PUBLIC mf_enginekit)
target_link_options(mf_remotekit INTERFACE -Wl,--wrap=mf_store_open)

foreach(name engine_remote engine_keys)
  mf_test(${name} SOURCES flow/test_${name}.c DEPENDS remotekit LABEL flow)
endforeach()
mf_test(engine_parts SOURCES flow/test_engine_parts.c DEPENDS remotekit verbskit LABEL flow)
