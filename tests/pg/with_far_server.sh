#!/bin/bash
# Makes the server of with_postgres.sh one that is reached over TCP, with TLS and
# passwords, and puts a hot standby beside it; then runs a command.
#
#   with_postgres.sh 15 with_far_server.sh COMMAND [ARGUMENT]...
#
#   MF_TEST_PORT     of the server on 127.0.0.1; its socket has that number too
#   MF_TEST_STANDBY  port of the standby
#   MF_TEST_TLS      folder: ca.crt, which signed the server's certificate for localhost;
#                    other.crt, which did not
#
# Role `pw` logs in over TCP with the password hunter2, role `test` without one.
set -euo pipefail
dir=$MF_TEST_PG_DIR
tls=$dir/tls
# shellcheck source=tests/lib/pg_server.sh
. "$(dirname "$MF_TEST_PG_CTL")/pg_server.sh"

make_certificates() {
  local name
  mkdir "$tls"
  for name in ca other; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$name" \
      -keyout "$tls/$name.key" -out "$tls/$name.crt"
  done
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server \
    -keyout "$tls/server.key" -out "$tls/server.csr"
  echo "subjectAltName = DNS:localhost" >"$tls/names"
  openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" \
    -CAcreateserial -days 2 -extfile "$tls/names" -out "$tls/server.crt"
  chmod 600 "$tls/server.key"
  [ "$(id -u)" != 0 ] || chown -R 65534:65534 "$tls"
}

configure() {
  cat >>"$dir/data/postgresql.conf" <<EOT
listen_addresses = '127.0.0.1'
ssl = on
ssl_cert_file = '$tls/server.crt'
ssl_key_file = '$tls/server.key'
EOT
  cat >"$dir/data/pg_hba.conf" <<EOT
local all all trust
local replication all trust
host all pw 127.0.0.1/32 scram-sha-256
host all test 127.0.0.1/32 trust
EOT
}

# Two numbers that nobody uses.
take_ports() {
  local tries
  for tries in $(seq 20); do
    MF_TEST_PORT=$((20000 + (RANDOM * 7 + tries) % 12000 * 2))
    MF_TEST_STANDBY=$((MF_TEST_PORT + 1))
    if ! (: <"/dev/tcp/127.0.0.1/$MF_TEST_PORT" || : <"/dev/tcp/127.0.0.1/$MF_TEST_STANDBY") 2>/dev/null; then
      return 0
    fi
  done
  echo "with_far_server.sh: no free port" >&2
  exit 1
}

start_standby() {
  as_server "$MF_TEST_PG_BIN/pg_basebackup" -h "$dir" -p "$MF_TEST_PORT" -U test \
    -D "$dir/standby" -R -c fast --no-sync
  echo "port = $MF_TEST_STANDBY" >>"$dir/standby/postgresql.conf"
  as_server "$MF_TEST_PG_BIN/pg_ctl" -D "$dir/standby" -l "$dir/log" -w start
}

prepare() {
  make_certificates
  configure
  take_ports
  echo "port = $MF_TEST_PORT" >>"$dir/data/postgresql.conf"
  "$MF_TEST_PG_CTL" restart
  "$MF_TEST_PG_BIN/psql" -q -h "$dir" -p "$MF_TEST_PORT" -U test -d postgres \
    -c "CREATE ROLE pw LOGIN PASSWORD 'hunter2'"
  start_standby
}

prepare >"$dir/far.log" 2>&1 || { cat "$dir/far.log" "$dir/log" >&2; exit 1; }
export MF_TEST_PORT MF_TEST_STANDBY MF_TEST_TLS=$tls
export MF_TEST_DSN="$MF_TEST_DSN port=$MF_TEST_PORT"
"$@"
