# SPDX-License-Identifier: Apache-2.0
"""What computes the model's products in the servers that the tests start: the CPU, or by MF_TEST_DEVICE a simulated NPU
(docs/npu-testing.md):

    npu-fake  tier A, on the XRT of the folder MF_TEST_XRT
    npu-c     tier C; MEMFUSE_BIN is tests/npu/tier_c_memfuse.sh

MF_TEST_MODULE is the folder of memfuse's module (without it, where it was installed) and NPU_ARTEFACTS the program that writes artefacts. The model is the one of
MEMFUSE_TEST_MODEL, or with MF_TEST_MADE_UP, or without that, a made-up one.

    told_model()                    health's word of it
    settings(given), environment()  what a server is told besides; nothing where a test chose its model
    look(server)                    is the device at work, and right? Asked of every server before it ends
    check()                         was it used at all? Asked at the end of a test file
"""
import json
import os
import subprocess
import tempfile
from pathlib import Path

import made_up

NAME = os.environ.get("MF_TEST_DEVICE", "cpu")
IS_NPU = NAME != "cpu"
REAL_MODEL = None if os.environ.get("MF_TEST_MADE_UP") else os.environ.get("MEMFUSE_TEST_MODEL")
_made = []
_n_products = {}


def _folder():
    """Of the artefacts and the made-up model; kept until Python ends."""
    if not _made:
        _made.append(tempfile.TemporaryDirectory(prefix="npu-"))
        folder = Path(_made[0].name)
        shapes = [] if REAL_MODEL else ["small"]
        subprocess.run([os.environ["NPU_ARTEFACTS"], folder / "artefacts", *shapes], check=True)
        if not REAL_MODEL:
            made_up.write(folder / "made-up")
    return _made[0].name


def model():
    """As the server sees it."""
    if REAL_MODEL and NAME == "npu-c":
        return "/mnt/model"
    return REAL_MODEL or f"{_folder()}/made-up"


def told_model():
    """What health says of it."""
    if not IS_NPU:
        return {"model": "hash", "semantic": False}
    name = Path(model()).name
    if name == "model":  # says nothing: the name that it was published by
        name = json.loads((Path(REAL_MODEL) / "config.json").read_text())["_name_or_path"].split("/")[-1]
    return {"model": name, "semantic": True}


def settings(given=()):
    if not IS_NPU or any(s.startswith(("embed.model=", "embed.device=")) for s in given):
        return []
    return [f"embed.model={model()}", "embed.device=npu", f"embed.npu.dir={_folder()}/artefacts",
            f"embed.npu.module={os.environ.get('MF_TEST_MODULE', '')}", "embed.npu.min_rows=1"]


def environment():
    if NAME != "npu-fake":
        return {}
    return {"LD_LIBRARY_PATH": os.environ["MF_TEST_XRT"]}


def _told(server):
    return server.request("GET", "/api/v1/health").json()["data"]["device"]


def look(server):
    if not server.has_npu or server.process.poll() is not None:
        return
    told = _told(server)
    if told["products"]["npu"] == 0:  # nobody had a text for it
        server.request("POST", "/embed", json={"inputs": "Who computes this?"})
        told = _told(server)
    assert told["name"] == "simulated npu" and told["backend"] == "xrt" and told["simulated"] is True, told
    assert told["state"] == "ready" and told["verified"] is True and told["jobs"]["failed"] == 0, told
    _n_products[server] = told["products"]["npu"]


def check():
    assert not IS_NPU or sum(_n_products.values()) > 0, "the device computed nothing for any of these servers"
