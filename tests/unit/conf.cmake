foreach(part values yaml sources print fault)
  mf_test(conf_${part} SOURCES unit/test_conf_${part}.c unit/conf_kit.c DEPENDS conf)
endforeach()
target_compile_definitions(test_conf_print PRIVATE MF_SOURCE_DIR="${PROJECT_SOURCE_DIR}")

find_package(Python3 COMPONENTS Interpreter REQUIRED)
foreach(check check_conf_readers test_check_conf_readers)
  add_test(NAME lint.${check}
    COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/${check}.py)
  set_tests_properties(lint.${check} PROPERTIES LABELS lint TIMEOUT 60)
endforeach()
