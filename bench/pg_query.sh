#!/bin/bash
# bench/query.py with the messages in Postgres: bench/pg_query.sh BUILD_DIR
set -euo pipefail
build=$(realpath "${1:?usage: bench/pg_query.sh BUILD_DIR}")
cd "$(dirname "$0")/.."

tools/pyenv.sh >/dev/null
for version in 15 18; do
  tests/lib/with_postgres.sh $version python3 bench/query.py "$build"
done
