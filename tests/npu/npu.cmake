# The XRT module: on a fake library (tier A: numbers and faults), and on the real 2.13 with
# its driver that does nothing (tier B: life cycle).
if(NOT MF_XRT_FOUND OR NOT TARGET npu_xrt)
  return()
endif()
set(fakes ${PROJECT_BINARY_DIR}/npu-fakes)
set(fake_name libxrt_coreutil.so.2)
set(fake_version FAKE_VERSION=0x9004d) # 9.77

# mf_fake_xrt(target source): a libxrt_coreutil.so.2 in a folder of its own.
function(mf_fake_xrt target source)
  add_library(${target} SHARED ${source})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME xrt_coreutil SOVERSION 2
    LIBRARY_OUTPUT_DIRECTORY ${fakes}/${target})
endfunction()

foreach(target fake_xrt fake_xrt_both)
  mf_fake_xrt(${target} npu/fake_xrt.cpp)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${target} PRIVATE mf_sanitize mf_cxx mf_xrt)
  # Its loops are what tests wait for. Products are not to be fused with sums.
  target_compile_options(${target} PRIVATE -O2 -ftree-vectorize -ffp-contract=off)
endforeach()
mf_fake_xrt(fake_xrt_future npu/fake_generation.c)
mf_fake_xrt(fake_xrt_between npu/fake_generation.c)
target_compile_definitions(fake_xrt_future PRIVATE ${fake_version})
target_compile_definitions(fake_xrt_between PRIVATE FAKE_CONTEXT)
target_compile_definitions(fake_xrt_both PRIVATE ${fake_version})
if(MF_XRT_GENERATION VERSION_LESS 2.17) # whose headers know no version
  target_sources(fake_xrt_both PRIVATE npu/fake_generation.c)
endif()

# A module whose syncs can be left out.
mf_xrt_module(npu_xrt_skip npu-skip)
target_sources(npu_xrt_skip PRIVATE npu/skip_sync.c)
target_include_directories(npu_xrt_skip PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_options(npu_xrt_skip PRIVATE -Wl,--wrap=mf_xrt_bo_sync)

function(mf_xrt_test name module)
  mf_test(${name} SOURCES npu/test_${name}.c npu/xrt_kit.c lib/npu_artefacts.c
          DEPENDS npu LABEL npu LIBS m)
  target_compile_definitions(test_${name} PRIVATE
    KIT_MODULE="$<TARGET_FILE_DIR:${module}>"
    KIT_FAKE="${fakes}/fake_xrt/${fake_name}"
    KIT_FAKE_FUTURE="${fakes}/fake_xrt_future/${fake_name}"
    KIT_FAKE_BETWEEN="${fakes}/fake_xrt_between/${fake_name}"
    KIT_FAKE_BOTH="${fakes}/fake_xrt_both/${fake_name}"
    MF_XRT_GENERATION="${MF_XRT_GENERATION}")
  if(MF_SANITIZE) # clang's looks for the exceptions of C++ when the program starts
    target_link_libraries(test_${name} PRIVATE -Wl,--no-as-needed -lstdc++)
  endif()
  add_dependencies(test_${name} ${module} fake_xrt fake_xrt_future fake_xrt_between
                   fake_xrt_both)
endfunction()

mf_xrt_test(npu_xrt npu_xrt)
mf_xrt_test(npu_xrt_faults npu_xrt)
mf_xrt_test(npu_xrt_load npu_xrt)
mf_xrt_test(npu_xrt_skip npu_xrt_skip)

# The real library, without a device.
mf_xrt_test(npu_no_device npu_xrt)

# Only this generation has the driver.
get_filename_component(libs ${MF_XRT_LIBRARY} DIRECTORY)
if(EXISTS ${libs}/libxrt_noop.so.2)
  mf_xrt_test(npu_noop npu_xrt)
  target_compile_definitions(test_npu_noop PRIVATE KIT_XRT_LIBS="${libs}")
endif()

find_package(Python3 COMPONENTS Interpreter REQUIRED)
add_test(NAME npu.xrt_symbols
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/npu/check_xrt_symbols.py
          $<TARGET_FILE:npu_xrt> ${MF_XRT_LIBRARY} $<TARGET_FILE:fake_xrt>)
set_tests_properties(npu.xrt_symbols PROPERTIES LABELS npu TIMEOUT 60)
