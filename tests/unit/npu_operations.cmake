set(mf_main ${PROJECT_SOURCE_DIR}/src/main)
mf_test(npu_doctor
  SOURCES unit/test_npu_doctor.c lib/npu_artefacts.c ${mf_main}/npu_doctor_system.c
          ${mf_main}/npu_doctor_text.c ${mf_main}/npu_doctor_xrt.c
  DEPENDS npu)
mf_test(npu_verify
  SOURCES unit/test_npu_verify.c ${mf_main}/npu_verify_table.c
  DEPENDS npu)
target_compile_definitions(test_npu_verify PRIVATE MF_VERSION="0")
