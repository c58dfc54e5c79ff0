#!/bin/bash
# A million messages acknowledged while the database is away, and what comes after:
# bench/pg_backlog.sh BUILD_DIR (MF_BACKLOG_ROWS makes it shorter)
set -euo pipefail
build=$(realpath "${1:?usage: bench/pg_backlog.sh BUILD_DIR}")
cd "$(dirname "$0")/.."

export MF_TEST_PG_FSYNC=on
tests/lib/with_postgres.sh 15 python3 bench/pg_backlog.py "$build"
