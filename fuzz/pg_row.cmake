mf_fuzzer(pg_row DEPENDS store)
