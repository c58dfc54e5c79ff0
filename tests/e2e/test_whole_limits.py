# SPDX-License-Identifier: Apache-2.0
"""What the program as a whole does at its limits: two of it, a wrong configuration, a
port in use, a full disk, a store that is locked."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import backend
import pytest
from talk import Talk, rare


def run(*words, env=None, cwd=None):
    return subprocess.run([os.environ["MEMFUSE_BIN"], *words], capture_output=True, text=True,
                          timeout=60, env={**os.environ, **(env or {})}, cwd=cwd)


def test_a_second_process_on_the_same_folder_is_refused(start_server):
    server = start_server()
    second = run("serve", "--set", f"data.dir={server.data}", "--set", "server.port=0")
    assert second.returncode == 1
    assert str(server.process.pid) in second.stderr
    assert str(server.data) in second.stderr
    assert server.request("GET", "/api/v1/health").status_code == 200
    server.kill()
    again = start_server(data=server.data)  # the dead one's lock is no obstacle
    assert again.request("GET", "/api/v1/health").status_code == 200


def test_all_that_is_wrong_in_a_configuration_is_told_at_once(tmp_path):
    conf = tmp_path / "memfuse.yaml"
    conf.write_text("server:\n"
                    "  port: 99999\n"
                    "  colour: green\n"
                    "store:\n"
                    "  backend: oracle\n")
    done = run("serve", "-c", str(conf), "--set", f"data.dir={tmp_path / 'd'}",
               "--set", "buffer.enabled=perhaps",
               env={"MEMFUSE__EMBED__MAX_CONCURRENT": "65"})
    assert done.returncode == 2
    for words in (("memfuse.yaml:2", "server.port", "65535"),
                  ("memfuse.yaml:3", "server.colour"),
                  ("memfuse.yaml:5", "store.backend", "sqlite"),
                  ("MEMFUSE__EMBED__MAX_CONCURRENT",),
                  ("--set", "buffer.enabled")):
        assert any(all(w in line for w in words) for line in done.stderr.splitlines()), (
            words, done.stderr)
    assert not (tmp_path / "d").exists(), "something was opened before the check"
    assert run("check-config", "-c", str(conf)).returncode == 2


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = run("serve", "--set", f"data.dir={tmp_path / 'd'}",
                   "--set", f"server.port={port}")
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr or str(port) in done.stderr
    assert "in use" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_with_code_0(start_server, how):
    server = start_server()
    server.process.send_signal(how)
    assert server.process.wait(30) == 0
    server.http.close()
    server.log_file.close()


@pytest.fixture
def small_disk():
    where = Path(tempfile.mkdtemp())
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(where)],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        where.rmdir()
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)
    where.rmdir()


def add(server, session, text):
    return server.request("POST", f"/api/v1/sessions/{session}/messages", json={
        "messages": [{"role": "user", "content": text}]})


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not come in time"
        time.sleep(0.05)


@pytest.mark.parametrize("min_free", ["1MiB", "0"])
def test_a_full_disk_refuses_and_recovers(start_server, small_disk, min_free):
    """507 for adds, reading goes on, nothing acknowledged is lost; with room again all
    goes on without a restart."""
    server = start_server(f"journal.min_free={min_free}", "flush.retry_first=0.05",
                          "flush.retry_max=0.2", "journal.checkpoint_pages=100",
                          data=small_disk / "data")
    talk = Talk(server.port)
    user, _, session = talk.owner("hoarder")
    acked = [talk.add(session, f"before {rare(0)}")[0]]
    # SQLite shares the disk; Postgres would take all away from it.
    lock = backend.lock_writes(server.data) if backend.IS_POSTGRES else None
    ballast = small_disk / "ballast"
    free = shutil.disk_usage(small_disk).free
    ballast.write_bytes(b"x" * max(free - (1 << 21), 0))
    refused = None
    for n in range(1, 400):
        answer = add(server, session, f"note {rare(n)} " + "long " * 4000)
        if answer.status_code == 201:
            acked += answer.json()["data"]["message_ids"]
            continue
        refused = answer
        break
    assert refused is not None, "8 MiB took everything"
    assert refused.status_code == 507, refused.text
    assert refused.json()["message"]
    for at in range(0, len(acked), 20):
        assert len(talk.read(session, acked[at:at + 20])) == len(acked[at:at + 20])
    assert acked[0] in talk.found(user, rare(0))
    ballast.unlink()
    if lock is not None:
        lock.close()
    wait_for(lambda: add(server, session, f"after {rare(999)}").status_code == 201)
    talk.wire.close()
    talk = Talk(server.port)
    wait_for(lambda: talk.wire.ask("POST", "/api/v1/buffer/flush")[0] == 200)
    for message in acked:
        assert [r["id"] for r in talk.read(session, [message])] == [message]
    talk.close()
    assert server.stop() == 0, server.log()
    server = start_server(data=small_disk / "data")
    talk = Talk(server.port)
    assert len(talk.read(session, acked)) == len(acked)
    talk.close()
    assert server.stop() == 0


def test_with_the_store_locked_adds_go_on_and_all_arrives_later(start_server):
    server = start_server("buffer.performance.flush_interval=0.05", "flush.retry_first=0.05",
                          "flush.retry_max=0.2", "flush.batch_age=0",
                          "buffer.performance.force_flush_timeout=0.05",
                          "recall.store_timeout=0.5")
    talk = Talk(server.port)
    user, agent, session = talk.owner("stubborn")
    lock = backend.lock_writes(server.data)
    ids = []
    for n in range(60):
        ids += talk.add(session, f"meanwhile {rare(n)}")
    assert [r["id"] for r in talk.list(session)] == ids
    for n in range(0, 60, 7):
        assert ids[n] in talk.found(user, rare(n))
    stats = talk.verb(200, "GET", "/buffer/stats")
    assert stats["pending"]["messages"] == 60, stats
    lock.close()
    talk.wait_until_stored(session, 60)
    assert talk.verb(200, "GET", "/buffer/stats")["pending"]["messages"] == 0
    for n in range(60):
        assert talk.found(user, rare(n)).count(ids[n]) == 1
    talk.close()


def test_full_buffers_refuse_with_a_time_to_come_back(start_server):
    """Far more comes than the store takes: bounded, said, and over when the store is back."""
    server = start_server("buffer.max_bytes=1MiB", "flush.retry_first=0.05",
                          "flush.retry_max=0.1")
    talk = Talk(server.port)
    _, _, session = talk.owner("flood")
    lock = backend.lock_writes(server.data)
    acked, refused = [], None
    while refused is None:
        answer = add(server, session, f"drop {rare(len(acked))} " + "water " * 1000)
        if answer.status_code == 201:
            acked += answer.json()["data"]["message_ids"]
            assert len(acked) < 1000, "1 MiB is not full after 6 MB"
        else:
            refused = answer
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json()["code"] == 503 and refused.json()["message"]
    assert server.request("GET", "/api/v1/health").status_code == 200
    assert len(talk.read(session, acked)) == len(acked)
    lock.close()
    wait_for(lambda: add(server, session, "one more").status_code == 201)
    talk.flush()
    assert len(talk.read(session, acked)) == len(acked)
    talk.close()


def test_without_the_store_a_query_answers_from_memory_and_says_so(start_server):
    settings = ["recall.store_timeout=0.2", "flush.retry_first=0.05", "flush.retry_max=0.2"]
    server = start_server(*settings)
    talk = Talk(server.port)
    user, agent, session = talk.owner("half remembered")
    old = talk.add(session, f"the old box is {rare(1)}")[0]
    talk.close()
    assert server.stop() == 0
    server = start_server(*settings, data=server.data)
    talk = Talk(server.port)
    talk.query(user, "", top_k=0)  # who they are is known from here on,
    talk.list(session, limit=1)  # what they said is not
    lock = backend.lock_reads(server.data)
    new = talk.add(session, f"the new box is {rare(2)}")[0]
    began = time.monotonic()
    answer = talk.verb(200, "POST", f"/users/{user}/query", {"query": f"box {rare(2)}"})
    assert time.monotonic() - began < 20, "a query waits for recall.store_timeout only"
    assert answer["partial"] is True
    assert [r["id"] for r in answer["results"]] == [new]
    lock.close()
    assert {r["id"] for r in talk.query_whole(user, "box", seconds=30)} == {old, new}
    talk.close()
