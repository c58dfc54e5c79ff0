mf_fuzzer(xclbin DEPENDS npu)
