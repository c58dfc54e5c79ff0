mf_pytest(tokenizer_reference e2e/test_tokenizer_reference.py)
if(TEST e2e.tokenizer_reference)
  set_property(TEST e2e.tokenizer_reference APPEND PROPERTY ENVIRONMENT
               MF_TOKENIZE_PROBE=$<TARGET_FILE:tokenize_probe>)
endif()
