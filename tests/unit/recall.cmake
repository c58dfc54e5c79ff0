foreach(part shelf lend stream)
  mf_test(recall_${part} SOURCES unit/test_recall_${part}.c unit/recall_kit.c
          DEPENDS recall)
endforeach()
foreach(part terms question searchrec dot)
  mf_test(recall_${part} SOURCES unit/test_recall_${part}.c DEPENDS recall)
endforeach()

add_executable(recall_probe lib/recall_probe.c)
mf_target_defaults(recall_probe)
target_link_libraries(recall_probe PRIVATE mf_recall)
if(COMMAND mf_pytest)
  mf_pytest(recall_reference e2e/test_recall_reference.py)
  if(TEST e2e.recall_reference)
    set_property(TEST e2e.recall_reference APPEND PROPERTY ENVIRONMENT
                 MF_RECALL_PROBE=$<TARGET_FILE:recall_probe>)
  endif()
endif()
