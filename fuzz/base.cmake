mf_fuzzer(base DEPENDS base)
