mf_pytest(user_start e2e/test_user_start.py)
mf_pytest(user_names e2e/test_user_names.py)
