foreach(part folder damage)
  mf_test(weights_${part} SOURCES unit/test_weights_${part}.c lib/model_folder.c
          DEPENDS weights)
endforeach()
foreach(part gguf vocab)
  mf_test(weights_${part} SOURCES unit/test_weights_${part}.c lib/gguf_file.c
          lib/model_folder.c DEPENDS weights)
endforeach()
foreach(part json safetensors tensor)
  mf_test(weights_${part} SOURCES unit/test_weights_${part}.c DEPENDS weights)
endforeach()
