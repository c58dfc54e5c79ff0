mf_test(pg_dsn SOURCES unit/test_pg_dsn.c DEPENDS store)
