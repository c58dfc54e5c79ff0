foreach(name schema entities)
  mf_pg_test(pg_${name}
    SOURCES pg/test_pg_${name}.c pg/pg_drive.c
    LIBS PkgConfig::LIBPQ
    DEPENDS store)
endforeach()
