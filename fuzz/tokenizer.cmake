mf_fuzzer(tokenizer DEPENDS tokenizer)
