mf_pytest(npu_manifest e2e/test_npu_manifest.py)
if(TEST e2e.npu_manifest)
  set_property(TEST e2e.npu_manifest APPEND PROPERTY ENVIRONMENT
               "NPU_ARTEFACTS=$<TARGET_FILE:npu_artefacts>")
endif()
