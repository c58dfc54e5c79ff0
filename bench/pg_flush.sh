#!/bin/bash
# The Postgres store's writer beside a bare loop and beside COPY BINARY, on PG 15 without
# and on PG 18 with and without vectors: bench/pg_flush.sh BUILD_DIR
set -euo pipefail
build=$(realpath "${1:?usage: bench/pg_flush.sh BUILD_DIR}")
cd "$(dirname "$0")/.."

export MF_TEST_PG_FSYNC=on
tools/pyenv.sh >/dev/null
for how in "15" "18" "18 vector"; do
  # shellcheck disable=SC2086,SC2016
  tests/lib/with_postgres.sh ${how%% *} \
    bash -c '"$0" "$MF_TEST_DSN" "${@}"' "$build/bench/pg_flush" ${how#1[58]}
done
