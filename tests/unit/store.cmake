pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)

add_executable(store_child unit/store_child.c)
mf_target_defaults(store_child)
target_link_libraries(store_child PRIVATE mf_store)

foreach(name messages entities search walk open fault)
  mf_test(store_${name}
    SOURCES unit/test_store_${name}.c unit/store_kit.c unit/store_kit_pg.c
    LIBS mf_looptest PkgConfig::LIBPQ
    DEPENDS store)
endforeach()
target_sources(test_store_fault PRIVATE unit/store_faults.c)
add_dependencies(test_store_open store_child)
target_compile_definitions(test_store_open PRIVATE
  MF_STORE_CHILD="$<TARGET_FILE:store_child>")

# The same promises, whichever store keeps them.
foreach(name messages entities search walk)
  mf_pg_run(store_${name} COMMAND $<TARGET_FILE:test_store_${name}>)
  mf_pg_run(store_${name}_shared COMMAND $<TARGET_FILE:test_store_${name}>
    VERSIONS 18 ENVIRONMENT MF_TEST_PG_SHARED=1)
  mf_pg_run(store_${name}_shared COMMAND $<TARGET_FILE:test_store_${name}>
    VERSIONS 15 citus LABELS more ENVIRONMENT MF_TEST_PG_SHARED=1)
endforeach()
