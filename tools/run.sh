#!/bin/sh
# Serves with a sentence encoder, which is fetched first when it is missing, or says why not.
#   tools/run.sh MEMFUSE DATA MODELS MODEL     MODEL: its name, or none
set -eu

memfuse=$1 data=$2 models=$3 model=$4
folder=$models/$model

if [ "$model" = none ]; then
  folder=hash
elif [ ! -f "$folder/config.json" ]; then
  [ "$model" != all-MiniLM-L6-v2 ] || "$(dirname "$0")/model.sh" "$models" ||
    [ $? -lt 128 ] || exit 130
fi
if [ "$folder" != hash ] && [ ! -f "$folder/config.json" ]; then
  echo "run.sh: no model in $folder: the built-in one serves, which compares words, not meanings" >&2
  folder=hash
fi
exec "$memfuse" serve --set data.dir="$data" --set embed.model="$folder"
