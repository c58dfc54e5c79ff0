# SPDX-License-Identifier: Apache-2.0
"""memfuse npu verify with the CPU's twin, and memfuse doctor npu, on emulated artefacts."""
import array
import json
import os
import random
import re
import socket
import struct
import subprocess

import hub_kit
import pytest

FOUND = {"kernel", "pci", "driver", "device", "memlock", "iommu", "log", "xrt", "module", "answer", "artefacts"}


def memfuse(*words, cwd, env=None):
    return subprocess.run([os.environ["MEMFUSE_BIN"], *map(str, words)], cwd=cwd, capture_output=True, text=True,
                          timeout=300, check=False, env={**os.environ, **(env or {})})


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npu") / "artefacts"
    subprocess.run([os.environ["NPU_ARTEFACTS"], folder], check=True)
    return folder


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory):
    """One layer as wide as those of MiniLM, for which the artefacts have programs."""
    folder = tmp_path_factory.mktemp("model") / "wide"
    was = hub_kit.HIDDEN, hub_kit.FFN
    hub_kit.HIDDEN, hub_kit.FFN = 384, 1536
    try:
        hub_kit.write_tiny(folder)
    finally:
        hub_kit.HIDDEN, hub_kit.FFN = was
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 12}))
    path = folder / "model.safetensors"
    data = path.read_bytes()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    dice = random.Random(1)
    numbers = array.array("f", (dice.random() / 8 - 1 / 16 for _ in range((len(data) - begin) // 4)))
    path.write_bytes(data[:begin] + numbers.tobytes())
    return folder


def verify(artefacts, *more, cwd):
    return memfuse("npu", "verify", artefacts, *more, cwd=cwd)


# ---- verify ----

def test_the_twin_computes_what_the_cpu_computes_and_is_called_simulated(artefacts, wide_model, tmp_path):
    done = verify(artefacts, "--backend", "twin", "--model", wide_model, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "SIMULATED" in lines[0] and lines[-1] == "verdict      ok, of a SIMULATED device"
    n_shapes = len(json.loads((artefacts / "manifest.json").read_text())["shapes"])
    assert sum(bool(re.match(r" +(256|512) .* ok$", line)) for line in lines) == n_shapes
    assert [int(m[1]) for line in lines if (m := re.match(r"(?:throughput)? +(\d+) +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", line))] \
        == [1, 8, 32, 128]
    jobs = re.search(r"^jobs +(\d+) ok, 0 failed, 0 late.*products: (\d+) on the device", done.stdout, re.M)
    assert jobs and int(jobs[1]) > 0 and int(jobs[2]) > 0
    in_histogram = sum(int(m) for m in re.findall(r"us +(\d+) jobs$", done.stdout, re.M))
    assert in_histogram == int(jobs[1])


def test_the_table_names_no_host_no_user_and_no_path(artefacts, wide_model, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for text in (verify(artefacts, "--backend", "twin", "--model", wide_model, cwd=tmp_path).stdout,
                 verify(broken, "--backend", "twin", "--model", wide_model, cwd=tmp_path).stdout):
        assert text.startswith("memfuse npu verify: ")
        for secret in (str(artefacts), str(broken), str(wide_model), str(tmp_path), socket.gethostname(), "/home", "/tmp"):
            assert secret not in text, secret


def test_a_model_for_which_there_are_no_programs_fails(artefacts, tmp_path):
    hub_kit.write_tiny(tmp_path / "tiny")
    done = verify(artefacts, "--backend", "twin", "--model", tmp_path / "tiny", cwd=tmp_path)
    assert done.returncode == 1 and "\nFAILED " in done.stdout, done.stdout


def test_damaged_artefacts_are_not_used(artefacts, wide_model, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in artefacts.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    xclbin = next(copy.glob("*.xclbin"))
    data = bytearray(xclbin.read_bytes())
    data[-1] ^= 1
    xclbin.write_bytes(data)
    done = verify(copy, "--backend", "twin", "--model", wide_model, cwd=tmp_path)
    assert done.returncode == 1
    assert "no device was opened" in done.stdout.splitlines()[0]
    assert re.search(r"^FAILED +the artefacts: .*" + re.escape(xclbin.name), done.stdout, re.M), done.stdout


def test_without_a_module_there_is_no_device_and_a_reason(artefacts, wide_model, tmp_path):
    done = verify(artefacts, "--model", wide_model, "--set", f"embed.npu.module={tmp_path}", cwd=tmp_path)
    assert done.returncode == 1
    assert "no device was opened" in done.stdout.splitlines()[0]
    assert re.search(r"^FAILED +there is no device to use: .", done.stdout, re.M), done.stdout


@pytest.mark.parametrize("words, sentence", [
    ([], "needs the folder of the artefacts"),
    (["DIR", "--backend", "gpu", "--model", "x"], "--backend is xrt or twin, not 'gpu'"),
    (["DIR", "--set", "embed.model=hash"], "which model?"),
    (["DIR", "--model"], "something must follow '--model'"),
    (["DIR", "two"], "unknown argument 'two'"),
])
def test_words_that_are_wrong_are_told(words, sentence, tmp_path):
    done = memfuse("npu", "verify", *words, cwd=tmp_path)
    assert done.returncode == 2 and sentence in done.stderr and done.stdout == "", done


# ---- doctor ----

def doctor(*words, cwd, env=None):
    done = memfuse("doctor", "npu", *words, cwd=cwd, env=env)
    found = re.findall(r"^(ok|bad|\?) +([a-z]+)  +(.+)$", done.stdout, re.M)
    assert done.returncode == (1 if any(mark == "bad" for mark, *_ in found) else 0), done
    return done, found


def test_the_doctor_looks_at_everything_and_says_what_to_attach(artefacts, tmp_path):
    done, found = doctor("--set", f"embed.npu.dir={artefacts}", "--set", f"embed.npu.module={tmp_path}", cwd=tmp_path)
    assert FOUND <= {what for _, what, _ in found}, done.stdout
    assert "xrt-smi examine" in done.stdout and "memfuse npu verify DIR" in done.stdout
    said = {what: (mark, text) for mark, what, text in found}
    assert said["artefacts"][0] == "bad" and "emulation" in said["artefacts"][1]
    assert said["module"][0] == "bad" and said["answer"][0] == "?"


def test_the_doctor_never_loads_xrt_into_its_own_process(tmp_path):
    done, _ = doctor("--set", f"embed.npu.module={tmp_path}", cwd=tmp_path, env={"LD_DEBUG": "files"})
    assert "libcrypto" in done.stderr and "libxrt" not in done.stderr


def test_the_doctor_wants_to_know_of_what(tmp_path):
    done = memfuse("doctor", cwd=tmp_path)
    assert done.returncode == 2 and "memfuse doctor npu" in done.stderr
