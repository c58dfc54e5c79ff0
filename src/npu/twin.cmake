target_sources(mf_npu PRIVATE canary.c twin.c twin_faults.c twin_gemm.c twin_line.c)
target_sources(mf_npu PRIVATE offload.c offload_check.c offload_measure.c offload_rig.c
                              offload_run.c offload_sums.c)
# Without it a test of the twin takes minutes.
set_source_files_properties(canary.c twin_gemm.c offload_run.c offload_check.c
                            offload_sums.c
  PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Debug>:-O2>)
