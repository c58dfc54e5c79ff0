# The service finds the module, and links nothing of it.
target_sources(mf_npu PRIVATE xrt_load.c)
set(module_dir lib/memfuse)
set_source_files_properties(xrt_load.c PROPERTIES COMPILE_DEFINITIONS
  "MF_NPU_MODULE_DIR=\"${CMAKE_INSTALL_PREFIX}/${module_dir}\";MF_NPU_MODULE_SUBDIR=\"${module_dir}\"")

# The module npu-xrt-GENERATION.so. Its objects are a library of their own, so that tests
# can link them otherwise.
if(NOT MF_XRT_FOUND)
  return()
endif()

add_library(mf_npu_xrt_bridge OBJECT ${CMAKE_CURRENT_LIST_DIR}/bridge.cpp)
set_target_properties(mf_npu_xrt_bridge PROPERTIES CXX_VISIBILITY_PRESET hidden)
target_include_directories(mf_npu_xrt_bridge PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(mf_npu_xrt_bridge PRIVATE mf_sanitize mf_harden mf_cxx PUBLIC mf_xrt)

add_library(mf_npu_xrt OBJECT)
foreach(part device entry job line mem runs verify)
  target_sources(mf_npu_xrt PRIVATE ${CMAKE_CURRENT_LIST_DIR}/${part}.c)
endforeach()
mf_target_defaults(mf_npu_xrt)
target_link_libraries(mf_npu_xrt PUBLIC mf_npu)

# mf_xrt_module(target FOLDER): a module of these objects in build/FOLDER.
function(mf_xrt_module target folder)
  set(exports ${PROJECT_SOURCE_DIR}/src/npu/xrt/exports.map)
  add_library(${target} MODULE)
  set_target_properties(${target} PROPERTIES PREFIX "" LINKER_LANGUAGE CXX
    OUTPUT_NAME npu-xrt-${MF_XRT_GENERATION} SKIP_BUILD_RPATH ON
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder}
    LINK_DEPENDS ${exports})
  target_link_libraries(${target} PRIVATE mf_npu_xrt mf_npu_xrt_bridge mf_sanitize
    mf_harden ${MF_XRT_LIBRARY})
  # Libraries that only unused parts of memfuse need are left out.
  target_link_options(${target} PRIVATE -Wl,--as-needed
                      -Wl,--version-script=${exports})
endfunction()

mf_xrt_module(npu_xrt npu)
install(TARGETS npu_xrt LIBRARY DESTINATION ${module_dir})
install(FILES ${PROJECT_SOURCE_DIR}/packaging/systemd/memfuse-npu.conf
        DESTINATION share/memfuse/systemd)
