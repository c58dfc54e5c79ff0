mf_test(pace SOURCES unit/test_pace.c DEPENDS engine)
