foreach(part manifest make xclbin)
  mf_test(npu_${part} SOURCES unit/test_npu_${part}.c lib/npu_artefacts.c DEPENDS npu)
endforeach()
mf_test(npu_pack SOURCES unit/test_npu_pack.c DEPENDS npu)

# Emulated artefacts for tests of the whole program.
add_executable(npu_artefacts lib/npu_artefacts_main.c lib/npu_artefacts.c)
mf_target_defaults(npu_artefacts)
target_include_directories(npu_artefacts PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(npu_artefacts PRIVATE mf_npu)
