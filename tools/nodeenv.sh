#!/bin/sh
# Puts OpenAI's client for Node into build/node and prints the path of its node_modules.
# Prints nothing, and says why, where there is no node and npm: the test skips then.
set -eu
cd "$(dirname "$0")/.."

want=openai@6.49.0
folder=build/node

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "no node and npm here: its client is not tested" >&2
  exit 0
fi
if [ "$(cat "$folder/installed" 2>/dev/null)" != "$want" ]; then
  rm -rf "$folder"
  mkdir -p "$folder"
  npm install --prefix "$folder" --silent --no-audit --no-fund "$want" >&2
  echo "$want" >"$folder/installed"
fi
echo "$PWD/$folder/node_modules"
