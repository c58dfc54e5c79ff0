# What release builds carry against our own mistakes; position independent everywhere.
# The linker drops what nobody calls: the binary stays small.
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(mf_harden INTERFACE)
set(flags -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
          -ffunction-sections -fdata-sections)
foreach(flag -fstack-clash-protection -fcf-protection=full)
  string(MAKE_C_IDENTIFIER "MF_HAS${flag}" has)
  check_c_compiler_flag(${flag} ${has})
  if(${has})
    list(APPEND flags ${flag})
  endif()
endforeach()
target_compile_options(mf_harden INTERFACE "$<$<CONFIG:Release>:${flags}>")
target_link_options(mf_harden INTERFACE
  "$<$<CONFIG:Release>:-Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--as-needed>")
