mf_test(npu_wire SOURCES unit/test_npu_wire.c DEPENDS npu)

add_executable(npu_test_worker lib/npu_test_worker.c)
mf_target_defaults(npu_test_worker)
target_include_directories(npu_test_worker PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(npu_test_worker PRIVATE mf_npu)

# kill: under load, MF_NPU_KILLS times.
foreach(part remote lost kill)
  mf_test(npu_${part} SOURCES unit/test_npu_${part}.c lib/npu_rig.c DEPENDS npu)
  target_compile_definitions(test_npu_${part} PRIVATE
    NPU_TEST_WORKER="$<TARGET_FILE:npu_test_worker>")
  add_dependencies(test_npu_${part} npu_test_worker)
endforeach()
