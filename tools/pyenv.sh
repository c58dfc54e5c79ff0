#!/bin/sh
# Makes build/venv with the Python packages of tests/e2e/requirements.txt and prints the
# path of its python. Does nothing when the file has not changed since.
set -eu
cd "$(dirname "$0")/.."

venv=build/venv
want=tests/e2e/requirements.txt
stamp=$venv/installed-requirements.txt

if ! cmp -s "$want" "$stamp"; then
  rm -rf "$venv"
  mkdir -p build
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install -q --disable-pip-version-check --no-input -r "$want" >&2
  cp "$want" "$stamp"
fi
echo "$PWD/$venv/bin/python"
