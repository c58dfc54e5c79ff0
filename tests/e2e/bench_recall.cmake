mf_pytest(bench_recall e2e/test_bench_recall.py)
