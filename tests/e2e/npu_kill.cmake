mf_pytest(npu_kill e2e/test_npu_kill.py)
