# shellcheck shell=bash
# What the scripts round a test's own server share; sourced, with MF_TEST_PG_DIR set.

# Postgres refuses root.
as_server() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$MF_TEST_PG_DIR" "$@"
  else
    "$@"
  fi
}

# A server with its processes, as if its machine had lost its power: whichever of them are
# alive still.
kill_server() {
  local pid all
  all="$1 $(cat "/proc/$1/task/$1/children" 2>/dev/null || true)"
  # shellcheck disable=SC2086
  kill -KILL $all 2>/dev/null || true
  for pid in $all; do # a zombie has no cwd, and is as good as gone
    while readlink "/proc/$pid/cwd" >/dev/null 2>&1; do sleep 0.01; done
  done
}
