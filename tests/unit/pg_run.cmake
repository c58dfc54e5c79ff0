mf_test(pg_code SOURCES unit/test_pg_code.c DEPENDS store)
