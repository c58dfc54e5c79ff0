#!/bin/bash
# Starts and stops the server that with_postgres.sh made, by its environment.
#   pg_ctl.sh start|stop|restart|restart-immediate|pid
# stop is at once, without a word to the clients, as restart-immediate is: what a crash of
# the server is. restart ends the sessions in order. pid prints the server's process.
set -euo pipefail

as_server() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$MF_TEST_PG_DIR" "$@"
  else
    "$@"
  fi
}

control() {
  # Not the caller's descriptors: a server that holds a pipe or a lock outlives both.
  as_server "$MF_TEST_PG_BIN/pg_ctl" -s -w -t 60 -D "$MF_TEST_PG_DIR/data" \
    -l "$MF_TEST_PG_DIR/log" "$@" </dev/null
}

[ -d "$MF_TEST_PG_DIR/data" ] || { echo "pg_ctl.sh: no server of one folder here" >&2; exit 1; }
case ${1:-} in
start) control start ;;
stop) control -m immediate stop ;;
restart) control -m fast restart ;;
restart-immediate) control -m immediate restart ;;
pid) head -n 1 "$MF_TEST_PG_DIR/data/postmaster.pid" ;;
*) echo "usage: pg_ctl.sh start|stop|restart|restart-immediate|pid" >&2; exit 1 ;;
esac
