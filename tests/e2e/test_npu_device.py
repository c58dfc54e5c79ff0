# SPDX-License-Identifier: Apache-2.0
"""embed.device: the service on a device that this CPU plays, in a helper process,
compared with the CPU alone."""
import os

import pytest
from vectors_kit import TEXTS, embed


def device(server):
    data = server.request("GET", "/api/v1/health").json()["data"]
    info = server.request("GET", "/info").json()["memfuse"]
    assert info["device"].keys() == data["device"].keys()
    return data["device"]


def test_without_artefacts_the_cpu_computes(start_server):
    assert device(start_server("embed.model=hash")) == {"name": "cpu"}


def test_a_device_that_is_not_there_is_gone_without_and_health_names_no_path(start_server):
    server = start_server("embed.model=hash", "embed.npu.dir=/no/such/folder")
    told = device(server)
    assert told["name"] == "cpu" and told["reason"] and "/" not in told["reason"]
    assert len(embed(server, TEXTS)) == len(TEXTS)


def test_vectors_of_the_simulated_device_are_the_cpus(start_server):
    model = os.environ.get("MEMFUSE_TEST_MODEL")
    if not model:
        pytest.skip("needs the folder of a sentence encoder in $MEMFUSE_TEST_MODEL")
    common = [f"embed.model={model}", "embed.precision=f32"]
    expected = embed(start_server(*common, "embed.device=cpu"), TEXTS)
    server = start_server(*common, "embed.device=npu", "embed.npu.simulated=true", "embed.npu.min_rows=1")
    got = embed(server, TEXTS)
    for a, b in zip(expected, got):
        assert sum(x * y for x, y in zip(a, b)) >= 0.999
    told = device(server)
    assert told["name"] == "simulated npu" and told["simulated"] is True and told["verified"] is True
    assert told["state"] == "ready" and told["products"]["npu"] > 0 and told["products"]["cpu"] == 0
    assert told["jobs"]["failed"] == 0 and told["agreement"] >= 0.999 and "reason" not in told
