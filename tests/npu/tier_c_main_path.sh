#!/bin/bash
# tier_c_main_path.sh BUILD TEST..
# Tests of the whole program (tests/e2e/test_TEST.py) with embed.device: npu on tier C, and
# a table of what passed. BUILD: as tier_c.sh left it; XRT225_ROOM and MEMFUSE_TEST_MODEL
# as there (without the second, or with MF_TEST_MADE_UP, a made-up model, unless
# MF_TEST_NEEDS_MODEL); MF_PYTHON: a Python with the packages of tests/e2e. Skipped (77)
# without.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$(realpath -m "${1:?the build of tier_c.sh}")
shift
room=${XRT225_ROOM:-}
if [ -z "$room" ] || [ ! -f "$build/libkemu.so" ] || [ ! -x "${MF_PYTHON:-}" ]; then
  echo "skipped: set XRT225_ROOM, run tier_c.sh (docs/npu-testing.md), and set MF_PYTHON"
  exit 77
fi
if [ -n "${MF_TEST_NEEDS_MODEL:-}" ] && [ ! -f "${MEMFUSE_TEST_MODEL:-}/config.json" ]; then
  echo "skipped: set MEMFUSE_TEST_MODEL"
  exit 77
fi
cmake --build "$build" --target memfuse npu_artefacts tier_c >"$build/build.log" 2>&1 ||
  { tail -n 40 "$build/build.log"; exit 1; }

TMPDIR=$(mktemp -d /tmp/memfuse-tier-c.XXXXXX)
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR TIER_C_BUILD=$build MEMFUSE_BIN=$PWD/tests/npu/tier_c_memfuse.sh
export MF_TEST_DEVICE=npu-c MF_TEST_MODULE=/mnt/run/npu
export NPU_ARTEFACTS=$build/tests/npu_artefacts

failed=0
for test in "$@"; do
  rc=0
  "$MF_PYTHON" -m pytest -q -p no:cacheprovider "tests/e2e/test_$test.py" \
    >"$build/$test.log" 2>&1 || rc=$?
  [ $rc = 0 ] || { failed=$((failed + 1)); sed 's/^/    /' "$build/$test.log"; }
  grep -h 'vectors against' "$build/$test.log" || true
  printf '%-20s %s\n' "$test" "$(tail -n 1 "$build/$test.log")"
done
echo "$# test files, $failed failed"
[ $failed = 0 ]
