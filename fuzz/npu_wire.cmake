mf_fuzzer(npu_wire DEPENDS npu)
