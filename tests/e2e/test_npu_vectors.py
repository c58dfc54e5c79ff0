# SPDX-License-Identifier: Apache-2.0
"""The vectors of a server whose products XRT computes (device.py), against the CPU's of the same weights: floats, so that
what differs is the device's."""
import device
import pytest

MIN_COSINE = 0.999
WORDS = ["ferry", "pier", "peanuts", "meeting", "Thursday", "whale", "Bahnhof", "library", "copper", "sister"]
TEXTS = [
    "The ferry leaves at seven from the northern pier.",
    "My sister is allergic to peanuts.",
    "He moved the meeting to Thursday.",
    "blue whale",
    "Wir treffen uns um acht am Bahnhof.",
    "x",
    "",
    "Where is my bicycle? " * 60,
    *(f"{a} and {b}: note {i} of the {a}." for i, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS[:4])),
]

pytestmark = pytest.mark.skipif(not device.IS_NPU, reason="needs MF_TEST_DEVICE")


def vectors(server):
    response = server.request("POST", "/embed", json={"inputs": TEXTS[:5]})
    assert response.status_code == 200, response.text
    rows = response.json()
    for at in range(5, len(TEXTS), 16):  # batches of other sizes
        response = server.request("POST", "/embed", json={"inputs": [t or "." for t in TEXTS[at:at + 16]], "truncate": True})
        assert response.status_code == 200, response.text
        rows += response.json()
    return rows


def cosine(a, b):
    squares = sum(x * x for x in a) * sum(y * y for y in b)
    return sum(x * y for x, y in zip(a, b)) / squares ** 0.5


def test_every_vector_is_the_cpus(start_server, capsys):
    cpu = start_server(f"embed.model={device.model()}", "embed.device=cpu", "embed.precision=f32")
    expected = vectors(cpu)
    npu = start_server("embed.precision=f32")
    cosines = [cosine(a, b) for a, b in zip(expected, vectors(npu))]
    told = npu.request("GET", "/api/v1/health").json()["data"]["device"]
    with capsys.disabled():
        print(f"\n{device.NAME}, {device.told_model()['model']}, {len(cosines)} vectors against the CPU's in f32: "
              f"min {min(cosines):.6f}, mean {sum(cosines) / len(cosines):.6f}; {told['products']}")
    assert len(cosines) == len(TEXTS) and min(cosines) >= MIN_COSINE
    assert told["products"]["npu"] > 0 and told["products"]["cpu"] == 0 and told["agreement"] >= MIN_COSINE
