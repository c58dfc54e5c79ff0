#!/bin/sh
# Makes a venv with Python packages for the tests and prints the path of its python. Does
# nothing when the list has not changed since.
#
# tools/pyenv.sh          build/venv of tests/e2e/requirements.txt
# tools/pyenv.sh clients  build/venv-clients of tests/e2e/requirements-clients.txt
set -eu
cd "$(dirname "$0")/.."

suffix=${1:+-$1}
venv=build/venv$suffix
want=tests/e2e/requirements$suffix.txt
stamp=$venv/installed-requirements.txt

if ! cmp -s "$want" "$stamp"; then
  rm -rf "$venv"
  mkdir -p build
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install -q --disable-pip-version-check --no-input -r "$want" >&2
  cp "$want" "$stamp"
fi
echo "$PWD/$venv/bin/python"
