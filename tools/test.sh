#!/bin/bash
# Everything that must hold before a change goes in, in the order of its price; stops at
# the first failure. `make test` and .ci/run are this.
set -euo pipefail
cd "$(dirname "$0")/.."

export CTEST_OUTPUT_ON_FAILURE=1
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=second_deadlock_stack=1
jobs=$(nproc)
began=$SECONDS

step() {
  printf '\n==== [%4d s] %s\n' $((SECONDS - began)) "$*"
}

build() { # preset [cmake options]
  cmake --preset "$1" "${@:2}" >"build/$1.configure.log" 2>&1 ||
    { cat "build/$1.configure.log"; return 1; }
  cmake --build "build/$1" -j "$jobs"
}

check() { # preset, ctest options
  ctest --test-dir "build/$1" -j "$jobs" --no-tests=error "${@:2}"
}

# The thread sanitizer needs the address space layout that some kernels do not draw.
fixed_layout() {
  if setarch "$(uname -m)" -R true 2>/dev/null; then
    setarch "$(uname -m)" -R "$@"
  else
    "$@"
  fi
}

# What people install stays small: 3 MB without symbols.
small_enough() {
  [ -f src/main/CMakeLists.txt ] || return 0
  strip -o "$1.stripped" "$1"
  echo "$1: $(stat -c %s "$1.stripped") bytes without symbols"
  [ "$(stat -c %s "$1.stripped")" -lt $((3 * 1024 * 1024)) ]
}

mkdir -p build
step "dependencies"
tools/deps.sh
python=$(tools/pyenv.sh)
# Not ./models: what stands there is served by `make run`.
tools/model.sh build/models || echo "no model: its tests are skipped"
model=$PWD/build/models/all-MiniLM-L6-v2
[ ! -f "$model/config.json" ] || export MEMFUSE_TEST_MODEL=$model
clients=$(tools/pyenv.sh clients)
node=$(tools/nodeenv.sh)

step "a Postgres of each version starts"
for version in 15 18; do
  tests/lib/with_postgres.sh $version sh -c '"$MF_TEST_PG_BIN/psql" -XAtc "SELECT version()" "$MF_TEST_DSN"'
done

step "format"
tools/format.sh --check

step "layers and house rules"
python3 tools/check_layers.py

step "gcc: build and tests"
build dev -DMF_PYTHON="$python" -DMF_CLIENTS_PYTHON="$clients" -DMF_NODE_MODULES="$node"
check dev -LE 'e2e|lint|torture|citus|^more$'

step "gcc: release build"
build release
small_enough build/release/memfuse

step "clang: build with thread roles checked, unit tests"
build clang
check clang -L unit

step "clang-tidy"
tools/tidy.sh build/clang

step "address, leak and undefined behaviour sanitizers"
build asan
MF_FLOOD_TOKENS=60000 check asan -LE 'e2e|lint|torture|citus|^more$'

step "thread sanitizer"
build tsan
fixed_layout env -u MEMFUSE_TEST_MODEL ctest --test-dir build/tsan -j "$jobs" --no-tests=error -L 'unit|flow|http|^pg$'

step "fuzzers, 20,000 inputs each"
build fuzz
tools/fuzz.sh smoke

step "end to end"
check dev -L 'e2e|lint'
