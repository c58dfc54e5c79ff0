add_test(NAME pg.with_postgres
  COMMAND bash ${PROJECT_SOURCE_DIR}/tests/pg/test_with_postgres.sh)
set_tests_properties(pg.with_postgres PROPERTIES LABELS pg TIMEOUT 300 SKIP_RETURN_CODE 77)
