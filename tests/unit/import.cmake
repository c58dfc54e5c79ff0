set(mf_main ${PROJECT_SOURCE_DIR}/src/main)
mf_test(import SOURCES unit/test_import.c ${mf_main}/import_feed.c ${mf_main}/import_lines.c
  DEPENDS looptest api engine)
