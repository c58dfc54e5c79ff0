foreach(name pg_args pg_copy pg_row pg_write)
  mf_test(${name} SOURCES unit/test_${name}.c DEPENDS store)
endforeach()
