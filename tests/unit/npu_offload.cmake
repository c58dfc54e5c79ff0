if(TARGET mf_npu)
  mf_test(npu_twin SOURCES unit/test_npu_twin.c DEPENDS npu)
  foreach(part offload offload_faults offload_sums offload_wrong)
    mf_test(npu_${part} SOURCES unit/test_npu_${part}.c unit/offload_kit.c
            unit/encoder_kit.c DEPENDS npu)
  endforeach()
  # Needs a real model's folder in MEMFUSE_TEST_MODEL.
  mf_test(npu_minilm SOURCES unit/test_npu_minilm.c DEPENDS npu embed)
endif()
if(TARGET mf_engine)
  mf_test(engine_device SOURCES unit/test_engine_device.c unit/conf_kit.c lib/model_folder.c
          DEPENDS engine looptest)
endif()
