target_sources(mf_npu PRIVATE canary.c twin.c twin_faults.c twin_gemm.c twin_line.c)
# Without it a test of the twin takes minutes.
set_source_files_properties(canary.c twin_gemm.c PROPERTIES COMPILE_OPTIONS
                            $<$<CONFIG:Debug>:-O2>)
