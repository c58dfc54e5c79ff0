include_guard()

# mf_pg_run(name COMMAND c.. [VERSIONS 15 18 citus] [LABELS pg] [TIMEOUT s] [ENVIRONMENT ..])
#
# Registers the command for each version, pg15.NAME, pg18.NAME, beside a fresh server
# (tests/lib/with_postgres.sh). Citus is for `make test-citus` alone: label citus. Where
# there is no such server the test is skipped, and says why.
function(mf_pg_run name)
  cmake_parse_arguments(R "" "TIMEOUT" "COMMAND;VERSIONS;LABELS;ENVIRONMENT" ${ARGN})
  if(NOT R_VERSIONS)
    set(R_VERSIONS 15 18 citus)
  endif()
  if(NOT R_LABELS)
    set(R_LABELS pg)
  endif()
  if(NOT R_TIMEOUT)
    set(R_TIMEOUT 300)
  endif()
  foreach(version IN LISTS R_VERSIONS)
    if(version STREQUAL citus)
      set(test citus.${name})
      set(labels citus)
    else()
      set(test pg${version}.${name})
      set(labels ${R_LABELS})
    endif()
    add_test(NAME ${test} COMMAND bash ${PROJECT_SOURCE_DIR}/tests/lib/with_postgres.sh
                                  ${version} ${R_COMMAND})
    set_tests_properties(${test} PROPERTIES LABELS "${labels}" TIMEOUT ${R_TIMEOUT}
      SKIP_RETURN_CODE 77 ENVIRONMENT "MF_PYTHON=${MF_PYTHON};${R_ENVIRONMENT}")
  endforeach()
endfunction()

# mf_pg_test(name SOURCES t.c .. [DEPENDS ..] [LIBS ..] [VERSIONS ..]): as mf_test, of a
# program that finds the database in MF_TEST_DSN.
function(mf_pg_test name)
  cmake_parse_arguments(T "" "" "VERSIONS" ${ARGN})
  mf_test_program(${name} ${T_UNPARSED_ARGUMENTS})
  mf_pg_run(${name} COMMAND $<TARGET_FILE:test_${name}> VERSIONS ${T_VERSIONS})
endfunction()
