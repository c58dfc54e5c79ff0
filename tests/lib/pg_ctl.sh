#!/bin/bash
# Starts and stops the server that with_postgres.sh made, by its environment.
#   pg_ctl.sh start|stop|restart|restart-immediate|pid
#   pg_ctl.sh kill|start|port WORKER      of a Citus cluster
# stop is at once, without a word to the clients, as restart-immediate is: what a crash of
# the server is. restart ends the sessions in order. pid prints the server's process. A
# worker is killed with all its processes, as if its machine had lost its power.
set -euo pipefail
# shellcheck source=tests/lib/pg_server.sh
. "$(dirname "${BASH_SOURCE[0]}")/pg_server.sh"

control() {
  # Not the caller's descriptors: a server that holds a pipe or a lock outlives both.
  as_server "$MF_TEST_PG_BIN/pg_ctl" -s -w -t 60 -D "$MF_TEST_PG_DIR/data" \
    -l "$MF_TEST_PG_DIR/log" "$@" </dev/null
}

kill_worker() {
  local pid
  pid=$(head -n 1 "$folder/postmaster.pid")
  kill -0 "$pid" # who kills it expects that it is there
  kill_server "$pid"
}

# One of its processes may have been born while the others were killed.
start_worker() {
  local n
  for n in $(seq 50); do
    as_server "$MF_TEST_PG_BIN/pg_ctl" -s -w -t 60 -D "$folder" -l "$folder.log" start \
      </dev/null >"$folder.start.log" 2>&1 && return
    sleep 0.1
  done
  echo "pg_ctl.sh: ${folder##*/} does not start, the last of $n times" >&2
  cat "$folder.start.log" >&2
  return 1
}

if [ $# = 2 ]; then
  folder=$MF_TEST_PG_DIR/$2
  case $1 in
  kill) kill_worker ;;
  start) start_worker ;;
  port) sed -n 4p "$folder/postmaster.pid" ;;
  *) echo "usage: pg_ctl.sh kill|start|port WORKER" >&2; exit 1 ;;
  esac
  exit
fi
[ -d "$MF_TEST_PG_DIR/data" ] || { echo "pg_ctl.sh: no server of one folder here" >&2; exit 1; }
case ${1:-} in
start) control start ;;
stop) control -m immediate stop ;;
restart) control -m fast restart ;;
restart-immediate) control -m immediate restart ;;
pid) head -n 1 "$MF_TEST_PG_DIR/data/postmaster.pid" ;;
*) echo "usage: pg_ctl.sh start|stop|restart|restart-immediate|pid" >&2; exit 1 ;;
esac
