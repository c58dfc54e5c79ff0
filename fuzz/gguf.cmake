mf_fuzzer(gguf DEPENDS weights)
