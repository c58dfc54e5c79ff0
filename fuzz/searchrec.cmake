mf_fuzzer(searchrec DEPENDS recall)
