foreach(part file id log map mem stat str wallclock)
  mf_test(base_${part} SOURCES unit/test_base_${part}.c DEPENDS base)
endforeach()
