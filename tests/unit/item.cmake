mf_test(item SOURCES unit/test_item.c DEPENDS item)
mf_test(chunk SOURCES unit/test_chunk.c DEPENDS item)
