mf_pytest(readme e2e/test_readme.py)
