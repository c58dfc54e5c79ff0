mf_fuzzer(chunk DEPENDS embed)
