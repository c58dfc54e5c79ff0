mf_fuzzer(yaml DEPENDS conf)
