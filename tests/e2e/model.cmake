mf_pytest(model_cli e2e/test_model_cli.py)
mf_pytest(model_fetch e2e/test_model_fetch.py)
mf_pytest(model_serve e2e/test_model_serve.py)
