#!/bin/sh
# Formats the C files; with --check only says which are not formatted.
# Pinned: another clang-format formats otherwise, so no other one is asked.
set -eu
cd "$(dirname "$0")/.."

format=clang-format-14
if ! command -v $format >/dev/null 2>&1; then
  [ "${1:-}" = --check ] || { echo "format.sh: $format is not installed" >&2; exit 1; }
  echo "format.sh: no $format here (Debian 13 has none): the format is not checked"
  exit 0
fi
case "${1:-}" in
"") mode=-i ;;
--check) mode="--dry-run -Werror" ;;
*) echo "usage: format.sh [--check]" >&2; exit 2 ;;
esac
folders=
for folder in src include tests fuzz bench; do
  [ ! -d $folder ] || folders="$folders $folder"
done
# shellcheck disable=SC2086
find $folders \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) \
  -print0 | xargs -0 -r $format $mode
