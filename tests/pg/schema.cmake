mf_pg_test(pg_schema
  SOURCES pg/test_pg_schema.c pg/pg_drive.c
  LIBS PkgConfig::LIBPQ
  DEPENDS store)
