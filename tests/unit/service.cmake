mf_test(vcache SOURCES unit/test_vcache.c DEPENDS embed)
mf_test(service SOURCES unit/test_service.c DEPENDS embed fakemodel)
