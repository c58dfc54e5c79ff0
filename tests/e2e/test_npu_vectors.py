# SPDX-License-Identifier: Apache-2.0
"""The vectors of a server whose products XRT computes (device.py), against the CPU's of the same weights: floats, so that
what differs is the device's."""
import device
import pytest
from vectors_kit import TEXTS, cosine, embed

MIN_COSINE = 0.999
WORDS = ["ferry", "pier", "peanuts", "meeting", "Thursday", "whale", "Bahnhof", "library", "copper", "sister"]
MORE_TEXTS = [
    "x",
    "",
    "Where is my bicycle? " * 60,
    *(f"{a} and {b}: note {i} of the {a}." for i, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS[:4])),
]

pytestmark = pytest.mark.skipif(not device.IS_NPU, reason="needs MF_TEST_DEVICE")


def vectors(server):
    rows = embed(server, TEXTS)
    for at in range(0, len(MORE_TEXTS), 16):  # batches of other sizes
        rows += embed(server, [t or "." for t in MORE_TEXTS[at:at + 16]], truncate=True)
    return rows


def test_every_vector_is_the_cpus(start_server, capsys):
    cpu = start_server(f"embed.model={device.model()}", "embed.device=cpu", "embed.precision=f32")
    expected = vectors(cpu)
    npu = start_server("embed.precision=f32")
    cosines = [cosine(a, b) for a, b in zip(expected, vectors(npu))]
    told = npu.request("GET", "/api/v1/health").json()["data"]["device"]
    with capsys.disabled():
        print(f"\n{device.NAME}, {device.told_model()['model']}, {len(cosines)} vectors against the CPU's in f32: "
              f"min {min(cosines):.6f}, mean {sum(cosines) / len(cosines):.6f}; {told['products']}")
    assert len(cosines) == len(TEXTS) + len(MORE_TEXTS) and min(cosines) >= MIN_COSINE
    assert told["products"]["npu"] > 0 and told["products"]["cpu"] == 0 and told["agreement"] >= MIN_COSINE
