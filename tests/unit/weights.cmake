mf_test(weights_folder SOURCES unit/test_weights_folder.c lib/model_folder.c
        DEPENDS weights)
foreach(part safetensors tensor)
  mf_test(weights_${part} SOURCES unit/test_weights_${part}.c DEPENDS weights)
endforeach()
