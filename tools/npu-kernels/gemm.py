#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The GEMM shapes that a model needs on an NPU, and their artefacts by somebody's own tools.

gemm.py list  --model FOLDER [--m 256,512]
    prints one line for each shape: its m, k, n, epilogue and the name of its instructions.
    Needs nothing but Python.
gemm.py make  --model FOLDER --out DIR --generation npu4 --design COMMAND [--m 256,512]
    runs COMMAND for each shape, aiecc on what it prints, and leaves DIR with one xclbin,
    the instructions and shapes.json. Needs mlir-aie with its compiler: see README.md.

In COMMAND, {m} {k} {n} {epilogue} are replaced; it prints MLIR.
"""
import argparse
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

HEAD, ENTRY, AT_SECTIONS = 456, 40, 448  # of an xclbin: see src/npu/xclbin.c
AIE_PARTITION, AT_IMAGES, IMAGE = 32, 120, 96


def end(sentence):
    print(f"gemm.py: {sentence}", file=sys.stderr)
    sys.exit(1)


def round_up(v, mult):
    return (v + mult - 1) // mult * mult


def model_sizes(folder):
    """Hidden and feed-forward width, and whether its activation is GELU."""
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        end(f"{path}: {e}")
    hidden = config.get("hidden_size", config.get("dim"))
    ffn = config.get("intermediate_size", config.get("hidden_dim"))
    if not isinstance(hidden, int) or not isinstance(ffn, int):
        end(f"{path}: hidden_size and intermediate_size must be whole numbers")
    return hidden, ffn, config.get("hidden_act", config.get("activation")) == "gelu"


def shapes_of(args):
    """As src/npu/offload asks for them: the bias is a row of B where k is padded, and only
    behind a bias the device can do GELU."""
    hidden, ffn, is_gelu = model_sizes(args.model)
    k_hidden = round_up(hidden, args.k_mult)
    up = "gelu" if is_gelu and k_hidden > hidden else "none"
    layer = ((k_hidden, 3 * hidden, "none"), (k_hidden, hidden, "none"), (k_hidden, ffn, up),
             (round_up(ffn, args.k_mult), hidden, "none"))
    seen = []
    for m in (int(word) for word in args.m.split(",")):
        if m < 1 or m % args.m_mult:
            end(f"--m {m}: must be a multiple of {args.m_mult}")
        for k, n, epilogue in layer:
            shape = (m, k, round_up(n, args.n_mult), epilogue)
            if shape not in seen:
                seen.append(shape)
    return seen


def name_of(shape):
    m, k, n, epilogue = shape
    return f"gemm_{m}_{k}_{n}_bf16_bf16_f32_{epilogue}.insts"


def configuration(path):
    """What the xclbin sets the device to: its AIE_PARTITION without the images' uuids."""
    data = path.read_bytes()
    for i in range(struct.unpack_from("<I", data, AT_SECTIONS)[0]):
        at = HEAD + i * ENTRY
        kind, = struct.unpack_from("<I", data, at)
        offset, size = struct.unpack_from("<QQ", data, at + 24)
        if kind == AIE_PARTITION:
            part = bytearray(data[offset:offset + size])
            n, first = struct.unpack_from("<II", part, AT_IMAGES)
            for j in range(n):
                part[first + j * IMAGE:first + j * IMAGE + 16] = bytes(16)
            return bytes(part)
    end(f"{path} has no AIE_PARTITION section")


def run(command, **more):
    print("gemm.py: " + " ".join(command), file=sys.stderr)
    done = subprocess.run(command, check=False, **more)
    if done.returncode:
        end(f"{command[0]} ended with {done.returncode}")
    return done.stdout


def find_tools():
    aiecc = os.environ.get("AIECC") or shutil.which("aiecc") or shutil.which("aiecc.py")
    peano = os.environ.get("PEANO_INSTALL_DIR")
    if not aiecc:
        end("aiecc of mlir-aie is not on PATH: this part needs your own mlir-aie "
            "installation (README.md); `gemm.py list` does not")
    if not peano or not Path(peano, "bin").is_dir():
        end("PEANO_INSTALL_DIR does not name the compiler for the device's cores "
            "(llvm-aie): README.md")
    return aiecc, peano


def build(args, tools, shape, work):
    """(xclbin, instructions) of one shape."""
    aiecc, peano = tools
    m, k, n, epilogue = shape
    stem = work / name_of(shape).removesuffix(".insts")
    stem.mkdir(parents=True, exist_ok=True)
    words = [w.format(m=m, k=k, n=n, epilogue=epilogue) for w in shlex.split(args.design)]
    (stem / "aie.mlir").write_bytes(run(words, stdout=subprocess.PIPE))
    run([aiecc, "--aie-generate-xclbin", "--xclbin-name=gemm.xclbin",
         "--aie-generate-npu-insts", "--npu-insts-name=gemm.insts", "--no-compile-host",
         "--no-xchesscc", "--no-xbridge", "--peano", peano, *shlex.split(args.aiecc),
         "aie.mlir"], cwd=stem)
    return stem / "gemm.xclbin", stem / "gemm.insts"


def make(args):
    tools = find_tools()
    shapes = shapes_of(args)
    out = Path(args.out)
    work = out / "build"
    built = [(shape, *build(args, tools, shape, work)) for shape in shapes]
    first = built[0][1]
    for shape, xclbin, insts in built:
        if configuration(xclbin) != configuration(first):
            end(f"{xclbin} sets the device otherwise than {first}: the design keeps the "
                "shape in its cores, and memfuse wants one xclbin for all shapes (README.md)")
        shutil.copyfile(insts, out / name_of(shape))
    shutil.copyfile(first, out / "gemm.xclbin")
    (out / "shapes.json").write_text(json.dumps({
        "format": 1, "generation": args.generation, "layout": args.layout,
        "rounding": "even", "kernel": "MLIR_AIE", "m_mult": args.m_mult,
        "k_mult": args.k_mult, "n_mult": args.n_mult,
        "tools": {"design": args.design, "aiecc": tools[0], "peano": tools[1]},
    }, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description="shapes of a model's GEMMs for an NPU")
    parser.add_argument("what", choices=["list", "make"])
    parser.add_argument("--model", required=True, help="folder with its config.json")
    parser.add_argument("--m", default="256,512", help="rows of a batch, after padding")
    for mult, value in (("m", 256), ("k", 512), ("n", 64)):
        parser.add_argument(f"--{mult}-mult", type=int, default=value)
    parser.add_argument("--out", help="where the artefacts go")
    parser.add_argument("--design", help="prints the MLIR of {m} {k} {n} {epilogue}")
    parser.add_argument("--aiecc", default="", help="more words for aiecc")
    parser.add_argument("--generation", default="npu4", help="npu1 (Phoenix), npu4 (Strix)")
    parser.add_argument("--layout", default="plain", choices=["plain", "tiled-8x8"])
    args = parser.parse_args()
    if args.what == "list":
        for shape in shapes_of(args):
            print(*shape, name_of(shape))
    elif not args.out or not args.design:
        end("make needs --out and --design")
    else:
        make(args)


if __name__ == "__main__":
    main()
