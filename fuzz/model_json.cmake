mf_fuzzer(model_json DEPENDS weights)
