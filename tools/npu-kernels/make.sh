#!/bin/sh
# The artefacts of a model for an NPU, by your own mlir-aie installation, and their manifest:
#   make.sh MODEL DIR GENERATION 'DESIGN COMMAND {m} {k} {n} {epilogue}' [words for gemm.py]
# MODEL: a folder with config.json. GENERATION: npu1, npu4, .. MEMFUSE: the program (memfuse).
# What must be installed, and what a design must promise: README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

end() { echo "make.sh: $*" >&2; exit 1; }

[ $# -ge 4 ] || end "usage: make.sh MODEL DIR GENERATION 'DESIGN COMMAND' [words for gemm.py]"
model=$1 dir=$2 generation=$3 design=$4
shift 4
memfuse=${MEMFUSE:-memfuse}

command -v python3 >/dev/null 2>&1 || end "python3 is missing"
command -v "$memfuse" >/dev/null 2>&1 ||
  end "$memfuse is no program here: name it by MEMFUSE=/where/memfuse"
python3 -c 'import aie' 2>/dev/null ||
  end "python3 has no module 'aie': this script runs only where mlir-aie (IRON) is" \
    "installed and its environment is set; see tools/npu-kernels/README.md"

mkdir -p "$dir"
python3 "$here/gemm.py" make --model "$model" --out "$dir" --generation "$generation" \
  --design "$design" "$@"
"$memfuse" npu manifest "$dir"
