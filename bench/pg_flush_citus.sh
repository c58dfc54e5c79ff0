#!/bin/bash
# The Postgres store's writer on a Citus cluster (coordinator and two workers) beside a
# single server of the same version, one after the other: bench/pg_flush_citus.sh BUILD_DIR
# CITUS_SRC: a folder with an up.sh, see tests/lib/with_postgres.sh.
set -euo pipefail
if [ "${1:-}" = --inside ]; then
  program=$2
  cluster=$MF_TEST_DSN
  echo "---- a single server; load average $(cut -d ' ' -f 1-3 /proc/loadavg)"
  "$program" "$SINGLE" | tee "$MF_TEST_PG_DIR/single"
  echo "---- the cluster; load average $(cut -d ' ' -f 1-3 /proc/loadavg)"
  "$program" "$cluster" citus | tee "$MF_TEST_PG_DIR/cluster"
  echo "----"
  for way in "store" "bare loop" "COPY BINARY"; do
    for which in single cluster; do
      sed -n "s|^$way  *\([0-9]*\) rows/s.*|\1|p" "$MF_TEST_PG_DIR/$which"
    done | paste -s | awk -v way="$way" '{
      printf "%-12s cluster %6d rows/s, single server %6d rows/s: %.2f x\n", way, $2, $1, $2 / $1 }'
  done
  exit
fi
build=$(realpath "${1:?usage: bench/pg_flush_citus.sh BUILD_DIR}")
[ -n "${CITUS_SRC:-}" ] || { echo "skipped: set CITUS_SRC"; exit 0; }
cd "$(dirname "$0")/.."

export MF_TEST_PG_FSYNC=on MF_TEST_PG_SHARDS=32
base=${MF_TEST_PG_BASE:-/tmp/mfpg-$(id -u)}
# shellcheck disable=SC2016
MF_TEST_PG_BASE=$base-single tests/lib/with_postgres.sh 15 bash -c '
  export SINGLE=$MF_TEST_DSN MF_TEST_PG_BASE=$1
  tests/lib/with_postgres.sh citus bash bench/pg_flush_citus.sh --inside "$2"' \
  _ "$base-cluster" "$build/bench/pg_flush"
