#!/bin/sh
# Runs each fuzzer of the fuzz preset for a while: fuzz.sh [SECONDS [NAME]].
# fuzz.sh smoke: a fixed number of inputs from a fixed seed, the same each time, so that
# what a change is judged by is the change.
# Starts from fuzz/seeds/NAME; what it learns stays in build/fuzz/corpus/NAME. An input
# that breaks a property is left in build/fuzz and its fuzzer named.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-60}
name=${2:-}
limits="-max_total_time=$seconds"
[ "$seconds" != smoke ] || limits="-seed=1 -runs=20000 -max_total_time=20"
n=0
for program in build/fuzz/fuzz/fuzz_${name:-*}; do
  [ -x "$program" ] && [ -f "$program" ] || continue
  target=${program##*/fuzz_}
  corpus=build/fuzz/corpus/$target
  seeds=fuzz/seeds/$target
  [ "$seconds" != smoke ] || rm -rf "$corpus"
  mkdir -p "$corpus"
  [ -d "$seeds" ] || seeds=
  echo "fuzz.sh: $target, $limits"
  # shellcheck disable=SC2086
  "$program" $limits -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build/fuzz/$target-" "$corpus" $seeds >"build/fuzz/$target.log" 2>&1 ||
    { tail -n 60 "build/fuzz/$target.log"; exit 1; }
  n=$((n + 1))
done
[ "$n" -gt 0 ] || { echo "fuzz.sh: no fuzzer built (fuzz_${name:-*})" >&2; exit 1; }
echo "fuzz.sh: $n fuzzers held their properties"
