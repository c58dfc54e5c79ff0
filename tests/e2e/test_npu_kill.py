# SPDX-License-Identifier: Apache-2.0
"""The helper process of an NPU is killed and stopped while clients add and query: no error reaches them, no vector is
wrong, and the device comes back. MF_NPU_KILLS: how often (8)."""
import itertools
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
import requests
from api_kit import API, messages_path, ok, session
from hub_kit import write_tiny
from vectors_kit import cosine

N_KILLS = int(os.environ.get("MF_NPU_KILLS", "8"))
N_CLIENTS = 4
# So many that few come again: an answer from a cache says nothing about the device.
TEXTS = [" ".join(words) for n in range(2, 7) for words in itertools.product(("green", "bike", "bi"), repeat=n)]


def worker_of(server):
    """Its pid, or None while there is none."""
    pid = server.process.pid
    for child in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = child.read_text().split()
        except OSError:
            continue
        for c in children:
            try:
                if b"npu-worker" in Path(f"/proc/{c}/cmdline").read_bytes():
                    return int(c)
            except OSError:
                pass
    return None


def n_children(server):
    return sum(len(f.read_text().split()) for f in Path(f"/proc/{server.process.pid}/task").glob("*/children"))


def device(server):
    return ok(server.request("GET", f"{API}/health"))["device"]


def vectors(server, http, texts):
    response = http.post(f"{server.url}/v1/embeddings", json={"input": texts}, timeout=30)
    assert response.status_code == 200, response.text
    return [d["embedding"] for d in response.json()["data"]]


class Client(threading.Thread):
    """Adds, asks and embeds until it is told to end; what went wrong is in `fault`."""

    def __init__(self, server, want):
        super().__init__()
        self.server, self.want, self.http = server, want, requests.Session()
        self.session = session(server)
        self.is_over, self.fault, self.n = False, None, 0

    def run(self):
        try:
            while not self.is_over:
                self.turn()
                self.n += 1
        except Exception as e:  # a thread's: told by the test
            self.fault = e

    def turn(self):
        texts = random.sample(TEXTS, 3)
        body = {"messages": [{"role": "user", "content": t} for t in texts]}
        added = self.http.post(self.server.url + messages_path(self.session["id"]), json=body, timeout=30)
        assert added.status_code == 201, added.text
        path = f"{API}/users/{self.session['user_id']}/query"
        found = self.http.post(self.server.url + path, json={"query": f"{texts[0]} {texts[1]}"}, timeout=30)
        assert found.status_code == 200 and found.json()["data"]["results"], found.text
        for text, got in zip(texts, vectors(self.server, self.http, texts)):
            assert cosine(got, self.want[text]) > 0.999, text


def await_ready(server):
    end = time.monotonic() + 90
    while device(server)["state"] != "ready":
        assert time.monotonic() < end, device(server)
        time.sleep(0.02)


def strike(server):
    """At a random moment of its work; at times when it is only about to come back."""
    if random.random() < 0.9:
        await_ready(server)
    time.sleep(random.random() / 3)
    pid = worker_of(server)
    if pid is not None:
        try:
            os.kill(pid, random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP]))
        except ProcessLookupError:
            pass


@pytest.fixture
def model(tmp_path):
    write_tiny(tmp_path / "model")
    return f"embed.model={tmp_path}/model"


def test_no_client_sees_that_the_worker_is_killed(start_server, model):
    plain = start_server(model, "embed.device=cpu")
    want = {}
    for i in range(0, len(TEXTS), 100):
        want.update(zip(TEXTS[i:i + 100], vectors(plain, plain.http, TEXTS[i:i + 100])))
    server = start_server(model, "embed.device=npu", "embed.npu.simulated=true", "embed.npu.min_rows=1",
                          "embed.npu.max_backoff=0.2")
    assert device(server)["state"] == "ready" and worker_of(server) is not None
    clients = [Client(server, want) for _ in range(N_CLIENTS)]
    for c in clients:
        c.start()
    for _ in range(N_KILLS):
        strike(server)
    await_ready(server)
    before = device(server)["products"]["npu"]
    end = time.monotonic() + 60
    while device(server)["products"]["npu"] == before and time.monotonic() < end:
        time.sleep(0.05)
    for c in clients:
        c.is_over = True
    for c in clients:
        c.join()
    assert [c.fault for c in clients] == [None] * N_CLIENTS
    assert all(c.n > 0 for c in clients)
    after = device(server)
    assert after["state"] == "ready" and after["products"]["npu"] > before, after
    assert after["reopened"] > 0
    assert n_children(server) == 1  # the one at work: no dead one waits to be fetched
