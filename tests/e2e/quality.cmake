add_executable(embed_probe ${PROJECT_SOURCE_DIR}/tests/lib/embed_probe.c)
mf_target_defaults(embed_probe)
target_link_libraries(embed_probe PRIVATE mf_embed)
mf_pytest(model_quality e2e/test_model_quality.py)
if(TEST e2e.model_quality)
  set_property(TEST e2e.model_quality APPEND PROPERTY
    ENVIRONMENT "MF_EMBED_PROBE=$<TARGET_FILE:embed_probe>")
  # The debug build computes slowly.
  set_tests_properties(e2e.model_quality PROPERTIES TIMEOUT 1800)
endif()
