mf_test(vcache SOURCES unit/test_vcache.c DEPENDS embed)
foreach(name service service_looks)
  mf_test(${name} SOURCES unit/test_${name}.c unit/service_desk.c DEPENDS embedfix)
endforeach()
