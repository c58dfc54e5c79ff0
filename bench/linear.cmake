if(TARGET mf_encoder)
  add_executable(bench_linear ${CMAKE_CURRENT_LIST_DIR}/linear.c
                              ${CMAKE_CURRENT_LIST_DIR}/ceiling.c)
  mf_target_defaults(bench_linear)
  target_include_directories(bench_linear PRIVATE ${CMAKE_CURRENT_LIST_DIR})
  target_link_libraries(bench_linear PRIVATE mf_encoder)
endif()
