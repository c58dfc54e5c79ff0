foreach(name sdk_sync sdk_async sdk_openai sessions handover kill soak whole_limits)
  mf_pytest(${name} e2e/test_${name}.py)
endforeach()

# The same, longer: make torture.
mf_pytest(kill e2e/test_kill.py LABEL torture)
mf_pytest(soak e2e/test_soak.py LABEL torture)
mf_pytest(handover e2e/test_handover.py LABEL torture)
if(TEST torture.kill)
  set_property(TEST torture.kill APPEND PROPERTY
    ENVIRONMENT "MF_KILL_CYCLES=200;MF_CALL_CYCLES=90;MF_TERM_CYCLES=50")
  set_property(TEST torture.soak APPEND PROPERTY ENVIRONMENT "MF_SOAK_SECONDS=30")
  set_property(TEST torture.handover APPEND PROPERTY ENVIRONMENT "MF_HAND_OVERS=1000")
  set_tests_properties(torture.kill torture.soak torture.handover PROPERTIES TIMEOUT 3600)
endif()
# They take a core each, or most of the descriptors.
foreach(name e2e.kill e2e.soak e2e.handover torture.kill torture.soak torture.handover)
  if(TEST ${name})
    set_tests_properties(${name} PROPERTIES RUN_SERIAL TRUE)
  endif()
endforeach()
