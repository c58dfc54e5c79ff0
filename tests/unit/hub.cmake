foreach(part names listing manifest find)
  mf_test(hub_${part} SOURCES unit/test_hub_${part}.c DEPENDS hub)
endforeach()
