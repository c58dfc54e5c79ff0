if(TARGET mf_encoder)
  foreach(part "" _kernels _edge _bf16)
    mf_test(linear${part} SOURCES unit/test_linear${part}.c unit/linear_kit.c
            DEPENDS encoder LIBS m)
  endforeach()
endif()
