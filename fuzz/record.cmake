mf_fuzzer(record DEPENDS journal)
