add_executable(tokenize_probe lib/tokenize_probe.c)
mf_target_defaults(tokenize_probe)
target_link_libraries(tokenize_probe PRIVATE mf_tokenizer)
foreach(part "" _open)
  mf_test(tokenizer${part} SOURCES unit/test_tokenizer${part}.c unit/tokenizer_kit.c
          DEPENDS tokenizer)
  target_include_directories(test_tokenizer${part} PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit)
endforeach()
