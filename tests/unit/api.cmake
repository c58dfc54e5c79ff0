mf_test(api_json_in SOURCES unit/test_api_json_in.c LIBS mf_api_json)
mf_test(api_json_out SOURCES unit/test_api_json_out.c LIBS mf_api_json)
mf_test(api_route SOURCES unit/test_api_route.c DEPENDS api)
mf_test(api_auth SOURCES unit/test_api_auth.c DEPENDS api)
