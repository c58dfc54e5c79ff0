mf_pytest(npu_cli e2e/test_npu_cli.py)
if(TEST e2e.npu_cli)
  set_property(TEST e2e.npu_cli APPEND PROPERTY
    ENVIRONMENT "NPU_ARTEFACTS=$<TARGET_FILE:npu_artefacts>")
endif()
