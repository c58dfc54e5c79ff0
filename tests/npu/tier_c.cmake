# Tier C: the module on XRT 2.25 as it is shipped, above an emulated kernel (kemu.h). The
# script builds in a folder of its own, with MF_XRT225_ROOM, where that XRT is.
set(MF_XRT225_ROOM "" CACHE PATH "a Debian with XRT 2.25 (docs/npu-testing.md)")

if(NOT MF_XRT225_ROOM)
  foreach(name tier_c tier_c_serve)
    add_test(NAME npu.${name} COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/npu/${name}.sh
      ${PROJECT_BINARY_DIR}/tier-c)
    set_tests_properties(npu.${name} PROPERTIES LABELS npu TIMEOUT 1800
      SKIP_RETURN_CODE 77)
  endforeach()
  # They go on with what the first has built.
  set_tests_properties(npu.tier_c_serve PROPERTIES DEPENDS npu.tier_c)
  set(files_of_made_up ${MF_NPU_MAIN_PATH})
  set(files_of_minilm ${MF_NPU_WITH_MINILM})
  foreach(model made_up minilm)
    set(test npu_c_${model}.main_path)
    add_test(NAME ${test} COMMAND bash
      ${CMAKE_CURRENT_SOURCE_DIR}/npu/tier_c_main_path.sh ${PROJECT_BINARY_DIR}/tier-c
      ${files_of_${model}})
    set_tests_properties(${test} PROPERTIES LABELS npu TIMEOUT 3600 SKIP_RETURN_CODE 77
      DEPENDS npu.tier_c RUN_SERIAL TRUE)
  endforeach()
  set(small "MF_PYTHON=${MF_PYTHON}" MF_CALL_CYCLES=6 MF_TERM_CYCLES=3 MF_HAND_OVERS=50)
  set_property(TEST npu_c_made_up.main_path PROPERTY ENVIRONMENT ${small}
    MF_TEST_MADE_UP=1)
  set_property(TEST npu_c_minilm.main_path PROPERTY ENVIRONMENT ${small}
    MF_TEST_NEEDS_MODEL=1)
  return()
endif()

# All of it stands in the top of the build folder, which is what the room sees.
function(mf_tier_c_place target)
  set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  add_dependencies(tier_c ${target})
endfunction()

add_custom_target(tier_c)
add_library(kemu SHARED npu/kemu.c npu/kemu_bo.c npu/kemu_cmd.c npu/kemu_faults.c
  npu/kemu_gemm.c)
mf_target_defaults(kemu)
set_target_properties(kemu PROPERTIES C_VISIBILITY_PRESET hidden)
# The driver's interface is younger than the kernel headers of Debian 12.
target_compile_options(kemu PRIVATE -O2 -ftree-vectorize -ffp-contract=off
  -idirafter ${MF_XRT225_ROOM}/usr/include)
target_link_libraries(kemu PRIVATE m ${CMAKE_DL_LIBS})
mf_tier_c_place(kemu)

# mf_tier_c_test(name module): tests/npu/test_NAME.c, on that module.
function(mf_tier_c_test name module)
  add_executable(c_${name} npu/test_${name}.c npu/xrt_kit.c lib/npu_artefacts.c)
  mf_target_defaults(c_${name})
  target_include_directories(c_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(c_${name} PRIVATE mf_testlib mf_npu m)
  # As they are called in the room; the "fake" is the shipped library.
  target_compile_definitions(c_${name} PRIVATE KIT_MODULE="/mnt/run/${module}"
    KIT_FAKE="libxrt_coreutil.so.2")
  mf_tier_c_place(c_${name})
endfunction()

mf_tier_c_test(npu_kernel npu)
mf_tier_c_test(npu_xrt npu)
mf_tier_c_test(npu_xrt_faults npu)
mf_tier_c_test(npu_xrt_skip npu-skip)
add_dependencies(tier_c npu_xrt npu_xrt_skip npu_artefacts)
