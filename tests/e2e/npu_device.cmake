mf_pytest(npu_device e2e/test_npu_device.py)
