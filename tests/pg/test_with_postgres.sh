#!/bin/bash
# with_postgres.sh passes the exit code on, runs side by side, and leaves nothing behind,
# not even what a killed run left.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
with=("$here/../lib/with_postgres.sh" 15)
fail() { echo "FAILED: $*" >&2; exit 1; }

code=0
# shellcheck disable=SC2016  # for the shell inside
"${with[@]}" bash -c '"$MF_TEST_PG_BIN/psql" -XAtq "$MF_TEST_DSN" -c "CREATE TABLE t (n int)" &&
  "$MF_TEST_PG_CTL" restart-immediate && "$MF_TEST_PG_CTL" stop && "$MF_TEST_PG_CTL" start &&
  "$MF_TEST_PG_BIN/psql" -XAt "$MF_TEST_DSN" -c "SELECT count(*) FROM t" && exit 7' || code=$?
[ $code != 77 ] || exit 77
[ $code = 7 ] || fail "exit code $code instead of 7"

note=$(mktemp)
export MF_TEST_PG_BASE=/tmp/mfpg-$$ # nobody else cleans up there
trap 'rm -f "$note" "$MF_TEST_PG_BASE.lock"' EXIT
start() { # a run that tells its folder and its server, and goes on for a minute
  : >"$note"
  # shellcheck disable=SC2016
  "${with[@]}" bash -c 'echo "$MF_TEST_PG_DIR $("$MF_TEST_PG_CTL" pid)" >"$0"; exec sleep 60' "$note" &
  runner=$!
  for _ in $(seq 600); do
    [ ! -s "$note" ] || break
    sleep 0.1
  done
  read -r folder server <"$note" || fail "it did not start"
}
is_there() { [ -e "$folder" ] || readlink "/proc/$server/cwd" >/dev/null; }

start
"${with[@]}" true || fail "two do not run side by side"
is_there || fail "the end of one run took another's server away"
kill -TERM "$runner"
code=0
wait "$runner" || code=$?
[ $code = 143 ] || fail "exit code $code after SIGTERM"
! is_there || fail "$folder or $server is still there after SIGTERM"

start
child=$(cat "/proc/$runner/task/$runner/children")
kill -KILL "$runner"
wait "$runner" 2>/dev/null || true
is_there || fail "the server went with its runner: nothing to clean up"
"${with[@]}" true
! is_there || fail "$folder or $server outlived the next run"
# shellcheck disable=SC2086
kill $child 2>/dev/null || true
