# The sources of the linear layers. Each kernel names its instruction set on its own
# functions: no file needs a flag, and the check of the CPU is plain code.
set(MF_LINEAR_SOURCES linear.c linear_bf16_avx512.c linear_f32_avx2.c
                      linear_f32_avx512.c linear_int8_avx2.c linear_int8_avx512.c
                      linear_pack.c linear_plain.c linear_run.c)
