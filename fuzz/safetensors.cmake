mf_fuzzer(safetensors DEPENDS weights)
