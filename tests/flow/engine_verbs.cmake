mf_test(engine_verbs SOURCES flow/test_engine_verbs.c DEPENDS enginekit LABEL flow)
mf_test(engine_nomem SOURCES flow/test_engine_nomem.c DEPENDS enginekit LABEL flow)
