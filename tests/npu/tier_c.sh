#!/bin/bash
# tier_c.sh BUILD [CASE]
# The tests of the XRT module (test_npu_xrt*.c, test_npu_kernel.c) on XRT 2.25 as it is
# shipped, above an emulated kernel. XRT225_ROOM: a root folder with that XRT
# (docs/npu-testing.md); without it, or where no private mount namespace can be had, the
# tests are skipped (77). Each case is a process of its own, CASE those whose name has it.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$(realpath -m "${1:?where to build}")
wanted=${2:-}
room=${XRT225_ROOM:-}
here=tests/npu

skip() {
  echo "skipped: $*"
  exit 77
}

[ -n "$room" ] || skip "set XRT225_ROOM (docs/npu-testing.md)"
library=$(find "$room/usr/lib" -maxdepth 2 -name libxrt_driver_xdna.so.2 -print -quit)
[ -n "$library" ] || skip "$room has no libxrt_driver_xdna.so.2 (libxrt-npu2)"
unshare -r -m true 2>/dev/null || [ "$(id -u)" = 0 ] || skip "no user namespaces here"

# A prefix with nothing but XRT: the room's other headers are not for this compiler.
mkdir -p "$build/xrt/include" "$build/xrt/lib"
ln -sfn "$room/usr/include/xrt" "$build/xrt/include/xrt"
ln -sfn "$(dirname "$library")/libxrt_coreutil.so" "$build/xrt/lib/libxrt_coreutil.so"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DMF_WERROR=ON -DMF_XRT=on \
  -DMF_XRT_ROOT="$build/xrt" -DMF_XRT225_ROOM="$room" >"$build/configure.log" ||
  { cat "$build/configure.log"; exit 1; }
cmake --build "$build" --target tier_c >"$build/build.log" 2>&1 ||
  { tail -n 40 "$build/build.log"; exit 1; }

cases() { # test
  tr -d '\n' <"$here/test_$1.c" | grep -oE 'MF_TEST\([a-z_]+, *[a-z0-9_]+\)' |
    sed 's/.*, *//; s/)$//'
}

n=0
failed=0
run() { # test, case
  local state=passed device=
  # XRT looks for devices once: that there is none must hold from the beginning.
  case $2 in finds_no_device_*) device=none ;; esac
  NPU_ROOM_DEVICE=$device timeout 120 "$here/npu_room.sh" "$room" "$build" \
    "./c_$1" "$2" >"$build/case.log" 2>&1 || state=FAILED
  n=$((n + 1))
  echo "$state $1.$2"
  [ $state = passed ] || { failed=$((failed + 1)); sed 's/^/    /' "$build/case.log"; }
}

for test in npu_kernel npu_xrt npu_xrt_faults npu_xrt_skip; do
  for case in $(cases $test); do
    case $case in *"$wanted"*) run $test "$case" ;; esac
  done
done
echo "$n cases, $failed failed"
[ $n -gt 0 ] && [ $failed = 0 ]
