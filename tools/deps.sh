#!/bin/sh
# Installs what memfuse is built (and tested) with on Debian 12 and Debian 13.
#   tools/deps.sh build   what the build needs
#   tools/deps.sh model   what `make model` needs to fetch a model
#   tools/deps.sh         the build's, and what `make test` needs
# Uses sudo when not root. With nothing missing it only looks, in well under a second.
# docs/dependencies.md tells why each package is here.
set -eu

BUILD="build-essential cmake ninja-build pkg-config libuv1-dev libyaml-dev
 libutf8proc-dev libxxhash-dev libssl-dev libpq-dev libsqlite3-dev libstemmer-dev
 libllhttp-dev libyyjson-dev libcurl4-openssl-dev"
MODEL="python3 python3-venv ca-certificates"
TEST="libcmocka-dev clang sqlite3 python3 python3-venv curl strace wrk nginx-light procps
 postgresql ca-certificates libxrt-dev uuid-dev"
# The format and tidy checks are pinned to clang 14; Debian 13 has none, and skips them.
TEST_12="clang-format clang-tidy libclang-rt-14-dev"
TEST_13="libclang-rt-19-dev"
LLHTTP_MIN=9.2
SOURCE=/etc/apt/sources.list.d/memfuse-trixie.sources
PIN=/etc/apt/preferences.d/memfuse-trixie
POLICY=/usr/sbin/policy-rc.d
CLUSTERS=/etc/postgresql-common/createcluster.conf
CLUSTERS_OF_PACKAGE=/usr/share/postgresql-common/createcluster.conf

say() { echo "deps.sh: $*" >&2; }
die() { say "$*"; exit 1; }

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 \
    -o Acquire::Retries=3 "$@"
}

# Writes stdin to the file $1 unless it holds that already.
put() {
  text=$(cat)
  if [ ! -f "$1" ] || [ "$(cat "$1")" != "$text" ]; then
    printf '%s\n' "$text" >"$1"
  fi
}

missing_of() {
  for package in "$@"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || printf '%s ' "$package"
  done
}

# Two leaf libraries come from Debian 13, from the archive that this machine's apt
# already uses for Debian 12: apt tells its address, in whatever form the sources are.
add_trixie_source() {
  # shellcheck disable=SC2016  # apt expands these
  uri=$(apt-get indextargets --format '$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)' |
        awk '$1=="Packages" && $2=="bookworm" && $3=="main" {print $4; exit}')
  [ -n "$uri" ] || die "apt has no source for bookworm main; add one and run this again"
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -f "$key" ] || die "$key is missing; install debian-archive-keyring"
  put "$PIN" <<EOT
# trixie is here for these packages only; nothing else comes from it.
Package: *
Pin: release n=trixie
Pin-Priority: -10

Package: libllhttp-dev libllhttp9.2 libyyjson-dev libyyjson0
Pin: release n=trixie
Pin-Priority: 500
EOT
  put "$SOURCE" <<EOT
Types: deb
URIs: $uri
Suites: trixie
Components: main
Signed-By: $key
EOT
  say "libllhttp and libyyjson come from Debian 13 ($SOURCE, pinned in $PIN)"
}

check_llhttp() {
  have=$(apt-cache policy libllhttp-dev | sed -n 's/^  Candidate: //p')
  dpkg --compare-versions "${have:-0}" ge "$LLHTTP_MIN" ||
    die "llhttp ${have:-(none)} is offered, $LLHTTP_MIN or later is needed"
}

# What is undone when the installation ends, well or not.
clean() {
  [ "$made_policy" = no ] || rm -f "$POLICY"
  [ "$made_clusters" = yes ] || return 0
  rm -f "$CLUSTERS"
  [ ! -e "$CLUSTERS_OF_PACKAGE" ] || cp "$CLUSTERS_OF_PACKAGE" "$CLUSTERS"
}

disable() {
  command -v systemctl >/dev/null 2>&1 || return 0
  systemctl disable -q "$1" 2>/dev/null || say "$1 was not disabled"
}

# nginx and Postgres are here for tests that start their own: no service may start or stay
# enabled, and the new server is given no cluster. One that was here before is left alone.
install() {
  made_policy=no
  made_clusters=no
  trap clean EXIT
  trap 'exit 1' HUP INT TERM
  if [ ! -e "$POLICY" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
  fi
  no_postgres=$(missing_of postgresql-common)
  if [ -n "$no_postgres" ] && [ ! -e "$CLUSTERS" ]; then
    made_clusters=yes
    mkdir -p "${CLUSTERS%/*}"
    echo "create_main_cluster = false" >"$CLUSTERS"
  fi
  apt_get install -y --no-install-recommends "$@"
  case " $* " in *" nginx-light "*) disable nginx.service ;; esac
  case "$no_postgres: $* " in p*" postgresql "*) disable postgresql.service ;; esac
  clean
  trap - EXIT
}

# shellcheck disable=SC1091
. /etc/os-release
case "${ID:-}:${VERSION_CODENAME:-}" in
debian:bookworm) test_more=$TEST_12 ;;
debian:trixie) test_more=$TEST_13 ;;
ubuntu:*)
  die "${PRETTY_NAME:-Ubuntu} has no llhttp >= $LLHTTP_MIN: use Debian 12 or 13, or a
 container with one of them" ;;
*) die "${PRETTY_NAME:-this system} is not known here: use Debian 12 or 13" ;;
esac

case "${1:-}" in
build) wanted=$BUILD ;;
model) wanted=$MODEL ;;
"") wanted="$BUILD $TEST $test_more" ;;
*) die "usage: deps.sh [build | model]" ;;
esac

# shellcheck disable=SC2086
missing=$(missing_of $wanted)
[ -n "$missing" ] || exit 0
say "to be installed: $missing"
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null 2>&1 || die "run this as root: sudo is not installed"
  exec sudo sh "$0" "$@"
fi
apt_get update
if [ "$VERSION_CODENAME" = bookworm ]; then
  add_trixie_source
  apt_get update
fi
check_llhttp
# shellcheck disable=SC2086
install $missing
