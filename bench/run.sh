#!/bin/bash
# Runs every benchmark of a build: bench/run.sh BUILD_DIR: its programs bench_*, then the
# scripts that run the whole of it. Prints what the figures must be read with: processor
# and the price of one fsync, and before each the load. What cannot run here says why and
# is left out.
set -euo pipefail
build=$(realpath "${1:?usage: bench/run.sh BUILD_DIR}")
cd "$(dirname "$0")/.."

probe=$(mktemp build/fsync-probe.XXXXXX)
trap 'rm -f "$probe"' EXIT
echo "cpu: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1) x $(nproc)"
echo "200 synced writes of 4 KiB: $(dd if=/dev/zero of="$probe" bs=4k count=200 oflag=dsync \
  2>&1 | tail -n 1 | sed 's/.*copied, //')"

section() {
  printf '\n==== %s, load %s\n' "$1" "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

n=0
for program in "$build"/bench/bench_*; do
  [ -x "$program" ] && [ -f "$program" ] || continue
  section "${program##*/bench_}"
  "$program"
  n=$((n + 1))
done
[ "$n" -gt 0 ] || { echo "bench/run.sh: no benchmark built in $build/bench" >&2; exit 1; }

venv=build/venv-bench
if ! cmp -s bench/requirements.txt "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check --no-input -r bench/requirements.txt
  cp bench/requirements.txt "$venv/installed.txt"
fi
for script in start query ingest sustained; do
  section "$script"
  "$venv/bin/python" "bench/$script.py" "$build"
done

for script in pg_flush pg_flush_citus pg_query pg_backlog; do
  section "$script"
  "bench/$script.sh" "$build" || [ $? = 77 ] # no such Postgres here
done

model=${MEMFUSE_TEST_MODEL:-models/all-MiniLM-L6-v2}
for script in embed embed_http retrieval; do
  section "$script"
  if [ -f "$model/model.safetensors" ]; then
    "$venv/bin/python" "bench/$script.py" "$build" "$model"
  else
    echo "no sentence encoder in $model: run make model, or set MEMFUSE_TEST_MODEL"
  fi
done
