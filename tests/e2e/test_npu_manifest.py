# SPDX-License-Identifier: Apache-2.0
"""memfuse npu manifest and tools/npu-kernels, with a stand-in for the compiler: it hands out
the xclbin of our emulation and instructions of no meaning."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MEMFUSE = os.environ["MEMFUSE_BIN"]
TOOLS = Path(__file__).parents[2] / "tools/npu-kernels"
DESIGN = f"{sys.executable} -c 'print(\"mlir\", {{m}}, {{k}}, {{n}}, \"{{epilogue}}\")'"
# Its words are aiecc's; the last is the MLIR. DIFFER: the device is set up by the shape.
AIECC = """#!{python}
import os, sys
mlir = open(sys.argv[-1]).read()
data = bytearray(open("{xclbin}", "rb").read())
at = data.rindex(b"emulated image")
if os.environ.get("DIFFER"):
    data[at:at + 4] = mlir.split()[1].zfill(4).encode()
data[416:420] = os.urandom(4)
open("gemm.xclbin", "wb").write(data)
open("gemm.insts", "wb").write(mlir.encode().ljust(64))
"""


def run(*words, **env):
    return subprocess.run(words, capture_output=True, text=True, check=False,
                          env={**os.environ, **env})


@pytest.fixture
def emulated(tmp_path):
    assert run(os.environ["NPU_ARTEFACTS"], str(tmp_path / "emulated")).returncode == 0
    return tmp_path / "emulated"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(
        {"hidden_size": 384, "intermediate_size": 1536, "hidden_act": "gelu"}))
    return folder


@pytest.fixture
def toolchain(tmp_path, emulated):
    bin_ = tmp_path / "bin"
    (bin_ / "bin").mkdir(parents=True)
    (bin_ / "aie.py").write_text("")
    aiecc = bin_ / "aiecc"
    aiecc.write_text(AIECC.format(python=sys.executable, xclbin=emulated / "emulated.xclbin"))
    aiecc.chmod(0o755)
    path = f"{bin_}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(bin_), "PEANO_INSTALL_DIR": str(bin_),
            "MEMFUSE": MEMFUSE, "AIECC": str(aiecc)}


def test_manifest_is_written_and_told(emulated):
    before = json.loads((emulated / "manifest.json").read_text())
    (emulated / "manifest.json").unlink()
    done = run(MEMFUSE, "npu", "manifest", str(emulated))
    assert done.returncode == 0, done.stderr
    assert "npu4 (emulated), kernel MLIR_AIE, 8 shapes" in done.stdout
    assert json.loads((emulated / "manifest.json").read_text()) == before


def test_manifest_refuses_with_a_sentence(emulated, tmp_path):
    (emulated / "manifest.json").unlink()
    shutil.move(emulated / "emulated.xclbin", tmp_path / "kept")
    done = run(MEMFUSE, "npu", "manifest", str(emulated))
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no file *.xclbin" in done.stderr
    (emulated / "emulated.xclbin").write_bytes((tmp_path / "kept").read_bytes()[:300])
    done = run(MEMFUSE, "npu", "manifest", str(emulated))
    assert done.returncode == 1
    assert "emulated.xclbin: xclbin: 300 bytes; its header alone has 456" in done.stderr
    assert not (emulated / "manifest.json").exists()


def test_command_line_is_checked():
    assert run(MEMFUSE, "npu").returncode == 2
    assert run(MEMFUSE, "npu", "manifest").returncode == 2
    assert "unknown command 'npu fly'" in run(MEMFUSE, "npu", "fly").stderr


def test_listed_shapes_are_those_of_the_emulation(emulated, model):
    done = run(sys.executable, str(TOOLS / "gemm.py"), "list", "--model", str(model))
    names = {line.split()[-1] for line in done.stdout.splitlines()}
    assert names == {p.name for p in emulated.glob("*.insts")}


def test_script_says_what_it_needs(model, tmp_path):
    out = str(tmp_path / "out")
    words = [str(TOOLS / "make.sh"), str(model), out, "npu4", "echo"]
    done = run(*words, MEMFUSE=MEMFUSE, PYTHONPATH="")
    assert done.returncode == 1
    assert "runs only where mlir-aie (IRON) is installed" in done.stderr
    assert not Path(out).exists()
    done = run(sys.executable, str(TOOLS / "gemm.py"), "make", "--model", str(model), "--out",
               out, "--design", "echo", AIECC="", PATH="/nowhere")
    assert done.returncode == 1
    assert "needs your own mlir-aie installation" in done.stderr


def test_script_makes_a_folder_that_is_taken(model, toolchain, tmp_path):
    out = tmp_path / "out"
    done = run(str(TOOLS / "make.sh"), str(model), str(out), "npu4", DESIGN, **toolchain)
    assert done.returncode == 0, done.stderr
    assert "npu4, kernel MLIR_AIE, 8 shapes" in done.stdout
    manifest = json.loads((out / "manifest.json").read_text())
    for shape in manifest["shapes"]:
        words = (out / shape["file"]).read_text().split()
        assert words == ["mlir", *(str(shape[k]) for k in ("m", "k", "n", "epilogue"))]
    assert manifest["tools"]["design"] == DESIGN


def test_script_refuses_a_design_with_the_shape_in_its_cores(model, toolchain, tmp_path):
    out = tmp_path / "out"
    done = run(str(TOOLS / "make.sh"), str(model), str(out), "npu4", DESIGN, DIFFER="1",
               **toolchain)
    assert done.returncode == 1
    assert "memfuse wants one xclbin for all shapes" in done.stderr
    assert not (out / "manifest.json").exists()
