#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_xrt_symbols.py MODULE LIBRARY.. : what the module asks of XRT, each library has;
and the module shows one symbol of its own.

A name that is missing would only be seen when the module is loaded: in the fake library
by a test, in the real one by a user.
"""
import re
import subprocess
import sys

OF_XRT = re.compile(r"^(_Z\w*?N?K?3xrt|_ZTI?[VS]?N?3xrt|xrt[A-Z]|xcl[A-Z])")
ENTRY = "mf_npu_backend_entry"


def names(path, *options):
    lines = subprocess.run(["nm", "-D", *options, path], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line.strip()}


def main(module, *libraries):
    findings = []
    wanted = {n for n in names(module, "--undefined-only") if OF_XRT.match(n)}
    if not wanted:
        findings.append(f"{module} asks nothing of XRT: this check sees nothing")
    for library in libraries:
        missing = wanted - names(library, "--defined-only")
        findings += [f"{library} lacks {name}" for name in sorted(missing)]
    shown = names(module, "--defined-only")
    if shown != {ENTRY}:
        findings.append(f"{module} shows {sorted(shown)}, not {ENTRY} alone")
    print("\n".join(findings) or f"{len(wanted)} names of XRT, all there")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
