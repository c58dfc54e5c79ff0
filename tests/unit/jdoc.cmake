mf_test(jdoc SOURCES unit/test_jdoc.c DEPENDS jdoc)
