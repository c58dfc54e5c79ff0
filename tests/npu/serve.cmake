# The main path of the whole program with embed.device: npu, on tier A: the service, its
# helper process and the module as they are, above the library in XRT's place. What CI
# runs, on a made-up model, has the label npu, the rest `more` (make test-npu).
set(MF_NPU_MAIN_PATH api_entities api_messages api_bodies api_idempotency api_auth sdk_sync
    sdk_async sdk_openai sessions handover kill user_start user_names whole_limits
    npu_vectors)
set(MF_NPU_IN_CI api_entities api_messages sessions sdk_sync npu_vectors)
# Where a CPU plays an NPU with a model of six layers, a text takes it a second.
set(MF_NPU_WITH_MINILM npu_vectors api_entities api_messages sdk_sync sdk_async user_start
    user_names)
# A core each, or most of them.
set(MF_NPU_SERIAL kill handover whole_limits)

function(mf_npu_serves test label)
  set_tests_properties(${test} PROPERTIES LABELS ${label} TIMEOUT 1800 SKIP_RETURN_CODE 77)
  if(test MATCHES "[.](.*)$" AND CMAKE_MATCH_1 IN_LIST MF_NPU_SERIAL)
    set_tests_properties(${test} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

if(NOT TARGET fake_xrt OR NOT MF_PYTHON OR NOT TARGET memfuse)
  return()
endif()
set(small MF_CALL_CYCLES=6 MF_TERM_CYCLES=3 MF_HAND_OVERS=50)
set(tier_a "MEMFUSE_BIN=$<TARGET_FILE:memfuse>" "MF_PYTHON=${MF_PYTHON}"
  MF_TEST_DEVICE=npu-fake "MF_TEST_XRT=$<TARGET_FILE_DIR:fake_xrt>"
  "MF_TEST_MODULE=$<TARGET_FILE_DIR:npu_xrt>"
  "NPU_ARTEFACTS=$<TARGET_FILE:npu_artefacts>" ${small})
foreach(name IN LISTS MF_NPU_MAIN_PATH)
  set(label more)
  if(name IN_LIST MF_NPU_IN_CI)
    set(label npu)
  endif()
  set(pytest ${MF_PYTHON} -m pytest -q -p no:cacheprovider
    ${PROJECT_SOURCE_DIR}/tests/e2e/test_${name}.py)
  add_test(NAME npu_a.${name} COMMAND ${pytest})
  mf_npu_serves(npu_a.${name} ${label})
  set_property(TEST npu_a.${name} PROPERTY ENVIRONMENT ${tier_a} MF_TEST_MADE_UP=1)
  if(NOT name IN_LIST MF_NPU_WITH_MINILM)
    continue()
  endif()
  add_test(NAME npu_a_minilm.${name} COMMAND sh -c
    "[ -n \"$MEMFUSE_TEST_MODEL\" ] || exit 77; exec \"$@\"" sh ${pytest})
  mf_npu_serves(npu_a_minilm.${name} more)
  set_property(TEST npu_a_minilm.${name} PROPERTY ENVIRONMENT ${tier_a})
endforeach()

# As it is installed, below another root: the program finds its module by itself.
set(root ${PROJECT_BINARY_DIR}/installed)
add_test(NAME npu_a.install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR})
set_tests_properties(npu_a.install PROPERTIES LABELS npu TIMEOUT 60
  ENVIRONMENT DESTDIR=${root} FIXTURES_SETUP mf_installed)
add_test(NAME npu_a_installed.npu_vectors COMMAND ${MF_PYTHON} -m pytest -q
  -p no:cacheprovider ${PROJECT_SOURCE_DIR}/tests/e2e/test_npu_vectors.py)
mf_npu_serves(npu_a_installed.npu_vectors npu)
set(installed ${tier_a})
list(FILTER installed EXCLUDE REGEX "^(MEMFUSE_BIN|MF_TEST_MODULE)=")
set_tests_properties(npu_a_installed.npu_vectors PROPERTIES FIXTURES_REQUIRED mf_installed)
set_property(TEST npu_a_installed.npu_vectors PROPERTY ENVIRONMENT ${installed}
  MF_TEST_MADE_UP=1 "MEMFUSE_BIN=${root}${CMAKE_INSTALL_PREFIX}/bin/memfuse")
