mf_test(hash_model SOURCES unit/test_hash_model.c DEPENDS embed)
