# The main path on Postgres. What CI runs has the label e2e, the rest `more` (make test-pg)
# and `citus` (make test-citus).
set(MF_PG_MAIN_PATH api_entities api_messages api_bodies api_idempotency api_auth sdk_sync
    sdk_async sdk_openai sessions handover kill user_start user_names whole_limits)
# A core each, or most of them.
set(MF_PG_SERIAL kill handover pg_citus pg_faults)

# mf_pg_pytest(name label [VERSIONS 15 18 citus] [TIMEOUT s] [ENVIRONMENT ..])
function(mf_pg_pytest name label)
  cmake_parse_arguments(P "" "TIMEOUT" "VERSIONS;ENVIRONMENT" ${ARGN})
  if(NOT MF_PYTHON OR NOT TARGET memfuse)
    return()
  endif()
  if(NOT P_TIMEOUT)
    set(P_TIMEOUT 900)
  endif()
  foreach(version IN LISTS P_VERSIONS)
    set(test e2e.pg${version}.${name})
    if(version STREQUAL citus)
      set(test e2e.citus.${name})
    elseif(label STREQUAL torture-pg)
      set(test torture.pg${version}.${name})
    endif()
    add_test(NAME ${test}
      COMMAND bash ${PROJECT_SOURCE_DIR}/tests/lib/with_postgres.sh ${version} ${MF_PYTHON}
              -m pytest -q -p no:cacheprovider ${PROJECT_SOURCE_DIR}/tests/e2e/test_${name}.py)
    set_tests_properties(${test} PROPERTIES LABELS ${label} TIMEOUT ${P_TIMEOUT}
      SKIP_RETURN_CODE 77
      ENVIRONMENT "MEMFUSE_BIN=$<TARGET_FILE:memfuse>;MF_PYTHON=${MF_PYTHON};${P_ENVIRONMENT}")
    if(name IN_LIST MF_PG_SERIAL)
      set_tests_properties(${test} PROPERTIES RUN_SERIAL TRUE)
    endif()
  endforeach()
endfunction()

set(MF_PG_SMALL MF_CALL_CYCLES=6 MF_TERM_CYCLES=3 MF_HAND_OVERS=50)
foreach(name IN LISTS MF_PG_MAIN_PATH)
  mf_pg_pytest(${name} e2e VERSIONS 15 18 ENVIRONMENT ${MF_PG_SMALL})
  mf_pg_pytest(${name} citus VERSIONS citus ENVIRONMENT ${MF_PG_SMALL})
endforeach()
mf_pg_pytest(pgproxy e2e VERSIONS 15 18)
mf_pg_pytest(pg_same e2e VERSIONS 15 18)
mf_pg_pytest(pg_same citus VERSIONS citus)
mf_pg_pytest(pg_citus citus VERSIONS citus)
mf_pg_pytest(pg_faults e2e VERSIONS 18)
mf_pg_pytest(pg_faults more VERSIONS 15)
mf_pg_pytest(pg_faults torture-pg VERSIONS 15 18 TIMEOUT 21600
  ENVIRONMENT MF_TEST_PG_FSYNC=on MF_PG_RESTARTS=1000 MF_PG_CUTS=1000 MF_PG_LOST_COMMITS=1000
              MF_PG_AWAY_SECONDS=600 MF_PG_POISON_ROWS=100000)
mf_pg_pytest(kill torture-pg VERSIONS 15 18 TIMEOUT 7200
  ENVIRONMENT MF_TEST_PG_FSYNC=on MF_KILL_CYCLES=200 MF_CALL_CYCLES=90 MF_TERM_CYCLES=50)
