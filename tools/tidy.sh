#!/bin/sh
# Runs clang-tidy (pinned to 14) over src/**/*.c: tidy.sh BUILD_DIR, a build by clang with
# compile_commands.json. Prints findings only.
set -eu
cd "$(dirname "$0")/.."

build=${1:?usage: tidy.sh BUILD_DIR}
tidy=run-clang-tidy-14
if ! command -v $tidy >/dev/null 2>&1; then
  echo "tidy.sh: no $tidy here (Debian 13 has none): clang-tidy is not run"
  exit 0
fi
log=$build/tidy.log
# Each file once, though tests may compile it too: what the linter remembers of the first
# time (va_start) misleads it in the second.
once=$build/tidy
mkdir -p "$once"
python3 - "$build" "$once" <<'EOF'
import json
import sys
from pathlib import Path

build, once = map(Path, sys.argv[1:])
commands = json.loads((build / "compile_commands.json").read_text())
first = {c["file"]: c for c in reversed(commands)}
(once / "compile_commands.json").write_text(json.dumps(list(first.values())))
EOF
if $tidy -quiet -clang-tidy-binary clang-tidy-14 -p "$once" -j "$(nproc)" \
  "^$PWD/src/.*\.c\$" >"$log" 2>&1; then
  echo "tidy.sh: no finding in $(grep -c '^clang-tidy-14 ' "$log") files"
else
  grep -vE '^clang-tidy-14 |^[0-9]+ warnings? (generated|treated)|^$' "$log" || cat "$log"
  exit 1
fi
