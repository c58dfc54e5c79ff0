mf_fuzzer(npu_manifest DEPENDS npu)
