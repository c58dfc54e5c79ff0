# MF_XRT auto|on|off: the module that talks to XRT (src/npu/xrt). C++ is asked for only
# here: memfuse itself needs none, and links nothing of XRT.
# MF_XRT_ROOT: a prefix to look in, for an XRT that is not the system's.
# Sets MF_XRT_FOUND, MF_XRT_GENERATION ("2.13"), and the targets mf_xrt (headers and
# library) and mf_cxx (warnings of our C++).
set(MF_XRT auto CACHE STRING "module for XRT: auto, on or off")
set_property(CACHE MF_XRT PROPERTY STRINGS auto on off)
set(MF_XRT_ROOT "" CACHE PATH "prefix of an XRT that is not the system's")
set(MF_XRT_FOUND FALSE)

function(mf_xrt_say sentence)
  if(MF_XRT STREQUAL "on")
    message(FATAL_ERROR "MF_XRT=on, but ${sentence}")
  endif()
  message(STATUS "XRT module: not built: ${sentence}")
endfunction()

# Its version stands in another header in each generation.
function(mf_xrt_version include out)
  foreach(file version.h xrt/detail/version-slim.h xrt/detail/version.h xrt/version.h)
    if(EXISTS ${include}/${file})
      file(STRINGS ${include}/${file} line REGEX "define XRT_VERSION_CODE")
      if(line MATCHES "XRT_VERSION\\(([0-9]+), *([0-9]+)\\)")
        set(${out} ${CMAKE_MATCH_1}.${CMAKE_MATCH_2} PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

macro(mf_xrt_look)
  # xrt.pc of Debian's 2.13 names folders that do not exist, so headers are looked for.
  find_path(MF_XRT_INCLUDE xrt/xrt_kernel.h HINTS ${MF_XRT_ROOT}/include
            PATH_SUFFIXES xrt)
  find_library(MF_XRT_LIBRARY xrt_coreutil HINTS ${MF_XRT_ROOT}/lib
               ${MF_XRT_ROOT}/lib/${CMAKE_LIBRARY_ARCHITECTURE})
  find_library(MF_UUID_LIBRARY uuid)
  mark_as_advanced(MF_XRT_INCLUDE MF_XRT_LIBRARY MF_UUID_LIBRARY)
  if(NOT MF_XRT_INCLUDE OR NOT MF_XRT_LIBRARY OR NOT MF_UUID_LIBRARY)
    mf_xrt_say("no headers or library of XRT (libxrt-dev)")
    return()
  endif()
  mf_xrt_version(${MF_XRT_INCLUDE} MF_XRT_GENERATION)
  if(NOT MF_XRT_GENERATION)
    mf_xrt_say("${MF_XRT_INCLUDE} does not tell its version")
    return()
  endif()
  # Objects of both go into one module, with one sanitizer: of one vendor, please.
  get_filename_component(folder ${CMAKE_C_COMPILER} DIRECTORY)
  get_filename_component(cxx ${CMAKE_C_COMPILER} NAME)
  string(REPLACE clang clang++ cxx ${cxx})
  set(cxx ${folder}/${cxx})
  if(CMAKE_C_COMPILER_ID STREQUAL "Clang" AND NOT CMAKE_CXX_COMPILER AND EXISTS ${cxx}
     AND NOT DEFINED ENV{CXX})
    set(CMAKE_CXX_COMPILER ${cxx})
  endif()
  include(CheckLanguage)
  check_language(CXX)
  if(NOT CMAKE_CXX_COMPILER)
    mf_xrt_say("there is no C++ compiler")
    return()
  endif()
  enable_language(CXX)
  # What the library itself needs is for its package to provide, not for the probe.
  try_compile(MF_XRT_COMPILES ${CMAKE_BINARY_DIR}/xrt-probe
    ${CMAKE_CURRENT_LIST_DIR}/MfXrtProbe.cpp
    CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${MF_XRT_INCLUDE};${CMAKE_CURRENT_LIST_DIR}/../src"
    LINK_OPTIONS -Wl,--unresolved-symbols=ignore-in-shared-libs
    LINK_LIBRARIES ${MF_XRT_LIBRARY} ${MF_UUID_LIBRARY}
    CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON
    OUTPUT_VARIABLE MF_XRT_WHY)
  if(NOT MF_XRT_COMPILES)
    file(WRITE ${CMAKE_BINARY_DIR}/CMakeFiles/xrt-probe.log "${MF_XRT_WHY}")
    mf_xrt_say("XRT ${MF_XRT_GENERATION} does not compile and link (CMakeFiles/xrt-probe.log)")
    return()
  endif()
endmacro()

if(MF_XRT STREQUAL "off")
  message(STATUS "XRT module: off")
  return()
endif()
mf_xrt_look()
set(MF_XRT_FOUND TRUE)
message(STATUS
  "XRT module: npu-xrt-${MF_XRT_GENERATION}.so (${MF_XRT_INCLUDE}, ${MF_XRT_LIBRARY})")

add_library(mf_xrt INTERFACE)
target_include_directories(mf_xrt SYSTEM INTERFACE ${MF_XRT_INCLUDE})
target_compile_definitions(mf_xrt INTERFACE MF_XRT_GENERATION="${MF_XRT_GENERATION}")
target_link_libraries(mf_xrt INTERFACE ${MF_UUID_LIBRARY})

# mf_warnings is for C.
add_library(mf_cxx INTERFACE)
target_compile_features(mf_cxx INTERFACE cxx_std_17)
target_compile_options(mf_cxx INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;
  -Wundef;-Wvla;-Wformat=2;-Wpointer-arith;-Wcast-qual>)
if(MF_SANITIZE STREQUAL "address")
  # Their runtime is in no program that is linked as C.
  target_compile_options(mf_cxx INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=vptr>
    $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-fno-sanitize=function>)
endif()
if(MF_WERROR)
  target_compile_options(mf_cxx INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
