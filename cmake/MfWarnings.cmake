# Warning flags. -Werror only in presets, not for people who build a tarball.
add_library(mf_warnings INTERFACE)
target_compile_options(mf_warnings INTERFACE
  -Wall -Wextra
  -Wshadow              # a name means one thing in a function
  -Wstrict-prototypes -Wmissing-prototypes # every call is checked against a header
  -Wundef               # a misspelt macro is not silently 0
  -Wvla                 # the stack has a known size
  -Wformat=2            # formats are literals
  -Wpointer-arith -Wwrite-strings -Wcast-qual
  -Wswitch-enum         # a new code or state must be looked at everywhere
  -fno-common -fvisibility=hidden)
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  target_compile_options(mf_warnings INTERFACE -Wthread-safety) # MF_LOOP, MF_WORKER
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # Sentences and log lines are cut on purpose; who must know compares the length.
  target_compile_options(mf_warnings INTERFACE -Wno-format-truncation)
endif()
option(MF_WERROR "warnings are errors" OFF)
if(MF_WERROR)
  target_compile_options(mf_warnings INTERFACE -Werror)
endif()
