# SPDX-License-Identifier: Apache-2.0
"""A thousand connections that add and ask: no error, no growth.

MF_SOAK_SECONDS says how long (after the warm-up)."""
import asyncio
import json
import os
import random
import re
import resource
import time
from pathlib import Path

import pytest
from talk import Talk, Wire, rare

CONNECTIONS = 1000
SECONDS = float(os.environ.get("MF_SOAK_SECONDS", "10"))
WARM_UP_S = (15, 60)  # at least, at most
STEADY_GROWTH = 1.02  # in five seconds
GROWTH = 1.10
# Shelves that queries are using stay in memory beyond recall.max_bytes: many users, so
# that each has little, and a tight bound, so that it is reached in the warm-up.
USERS = 3000
SETTINGS = ["store.sqlite.cache=64KiB", "recall.max_bytes=4MiB", "buffer.performance.flush_interval=0.2",
            "buffer.performance.force_flush_timeout=0.5"]


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = CONNECTIONS + 512
    if hard != resource.RLIM_INFINITY and hard < want:
        pytest.skip(f"this process may open {hard} files only, {want} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


def n_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Crowd:
    def __init__(self, server, owners, rng):
        self.server, self.owners, self.rng = server, owners, rng
        self.ending = False
        self.adds = self.queries = 0
        self.statuses = {}

    def request(self):
        user, session = self.rng.choice(self.owners)
        n = self.rng.randrange(1 << 30)
        if self.rng.random() < 0.5:
            self.adds += 1
            return 201, Wire.request("POST", f"/api/v1/sessions/{session}/messages", {
                "messages": [{"role": "user", "content": f"note {rare(n)} of the river"},
                             {"role": "assistant", "content": "noted"}]})
        self.queries += 1
        return 200, Wire.request("POST", f"/api/v1/users/{user}/query",
                                 {"query": f"river {rare(n)}", "top_k": 5})

    async def one(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        while not self.ending:
            want, raw = self.request()
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: *(\d+)", head.lower()).group(1))
            body = await reader.readexactly(length)
            status = int(head[9:12])
            self.statuses[status] = self.statuses.get(status, 0) + 1
            assert status == want, (status, body)
            if status == 200:
                assert not json.loads(body)["data"].get("partial"), body
        writer.close()

    async def watch(self):
        """The largest RSS of the steady time's begin and of its end, and the most files."""
        pid = self.server.process.pid
        began, rss = time.monotonic(), [rss_kib(pid)]
        while True:
            await asyncio.sleep(1)
            rss.append(rss_kib(pid))
            took = time.monotonic() - began
            if took > WARM_UP_S[0] and max(rss[-5:]) < max(rss[-10:-5]) * STEADY_GROWTH:
                break
            assert took < WARM_UP_S[1], f"memory never settles: {rss} KiB"
        warm, files, end = max(rss[-3:]), 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            await asyncio.sleep(1)
            files = max(files, n_files(pid))
            rss.append(rss_kib(pid))
        self.ending = True
        return warm, max(rss[-3:]), files, rss

    async def run(self):
        tasks = [asyncio.create_task(self.one()) for _ in range(CONNECTIONS)]
        watch = asyncio.create_task(self.watch())
        done, _ = await asyncio.wait([watch, *tasks], return_when=asyncio.FIRST_EXCEPTION)
        self.ending = True
        for t in done:
            t.result()
        return watch.result()


def test_a_thousand_connections(start_server, many_files):
    server = start_server(*SETTINGS)
    talk = Talk(server.port)
    agent = talk.agent("of the crowd")
    files_before = n_files(server.process.pid)
    owners = []
    for i in range(USERS):
        user = talk.user(f"one of many {i}")
        owners.append((user, talk.session(user, agent)))
    crowd = Crowd(server, owners, random.Random(5))
    warm, end, files, rss = asyncio.run(crowd.run())
    talk.close()  # it was idle for longer than the server keeps a connection
    talk = Talk(server.port)
    stats = talk.verb(200, "GET", "/buffer/stats")
    print(f"{crowd.adds} adds, {crowd.queries} queries, answers {crowd.statuses}; RSS by "
          f"second, MiB: {' '.join(str(x // 1024) for x in rss)}; {files} files")
    print(f"pending {stats['pending']}, shelves {stats['shelves']}")
    assert set(crowd.statuses) == {200, 201}
    assert files <= CONNECTIONS + files_before + 8
    assert end <= warm * GROWTH, f"{warm} KiB after the warm-up, {end} KiB at the end"
    deadline = time.monotonic() + 30
    while n_files(server.process.pid) > files_before:
        assert time.monotonic() < deadline, "connections that ended keep their files"
        time.sleep(0.05)
    assert crowd.statuses[201] == crowd.adds and crowd.statuses[200] == crowd.queries
    talk.close()
