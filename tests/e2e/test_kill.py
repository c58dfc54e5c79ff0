# SPDX-License-Identifier: Apache-2.0
"""SIGKILL and SIGTERM at random moments under load: what was acknowledged is there, once.

MF_KILL_CYCLES, MF_CALL_CYCLES and MF_TERM_CYCLES say how often, MF_SEED repeats a run."""
import os
import random
import signal
import socket
import subprocess
import threading
import time

import backend
import pytest
from ledger import Ledger, check_found, check_session, retry
from talk import Talk

KILLS = int(os.environ.get("MF_KILL_CYCLES", "25"))
CALLS = int(os.environ.get("MF_CALL_CYCLES", "12"))
TERMS = int(os.environ.get("MF_TERM_CYCLES", "5"))
SEED = int(os.environ.get("MF_SEED", str(random.SystemRandom().randrange(1 << 32))))
CONNECTIONS = 4
ENOUGH = 20  # messages acknowledged in a cycle, on the average
SAMPLE = 60  # older sessions and rounds looked at in each cycle; all at the end
SHAPES = [
    [],
    ["buffer.performance.flush_interval=0.02", "buffer.performance.force_flush_timeout=0.02",
     "flush.batch_age=0.005", "buffer.hybrid_buffer.max_size=1"],
    ["buffer.enabled=false", "journal.checkpoint_pages=100", "flush.batch_rows=7"],
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Torture:
    def __init__(self, start_server, tmp_path):
        print(f"seed {SEED}", flush=True)
        self.start_server, self.data = start_server, tmp_path / "data"
        self.rng = random.Random(SEED)
        self.ledgers = [Ledger(SEED, lane, CONNECTIONS) for lane in range(CONNECTIONS)]
        self.port = free_port()
        self.slowest_s = 0
        self.retried = 0
        self.marks = set()  # rounds of earlier cycles
        if backend.IS_POSTGRES:
            # Who dies while it makes the tables keeps others from it until its lease ends.
            server = start_server(data=self.data)
            server.wait_until_well()
            # Users and agents take a cluster longer than a short cycle lasts.
            talk = Talk(server.port)
            for ledger in self.ledgers:
                ledger.open_session(talk)
            talk.close()
            assert server.stop() == 0

    def start(self, settings):
        began = time.monotonic()
        self.server = self.start_server(*settings, data=self.data, port=self.port)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        return self.server

    def load(self, server, seconds, stop):
        """`stop` ends the server after so many seconds of load; what it returned."""
        threads = [threading.Thread(target=self._lane, args=(ledger,))
                   for ledger in self.ledgers]
        self.failed = []
        for t in threads:
            t.start()
        time.sleep(seconds)
        result = stop(server)
        for t in threads:
            t.join(60)
            assert not t.is_alive()
        assert not self.failed, self.failed
        return result

    def _lane(self, ledger):
        try:
            ledger.add_until_gone(self.port)
        except BaseException as e:  # told by the main thread
            self.failed.append(e)

    def rounds(self, state=None):
        return [r for ledger in self.ledgers for r in ledger.rounds(state)]

    def sessions(self):
        return [s for ledger in self.ledgers for s in ledger.sessions]

    def check(self, server, everything=False):
        """After a restart; then the unknown ones of this cycle are sent again."""
        talk = Talk(server.port)
        sessions, rounds = self.sessions(), self.rounds()
        new = rounds[:] if everything else self.new_rounds()
        touched = {id(r.session): r.session for r in new}
        older = [s for s in sessions if id(s) not in touched]
        if not everything:
            older = self.rng.sample(older, min(len(older), SAMPLE))
        for session in list(touched.values()) + older:
            check_session(talk, session)
        acked = [r for r in new if r.state == "acked"]
        old_acked = [r for s in older for r in s.rounds if r.state == "acked"]
        check_found(talk, acked if everything else self.rng.sample(
            acked, min(len(acked), 300)) + self.rng.sample(
            old_acked, min(len(old_acked), SAMPLE)))
        if not everything:
            self.retried += retry(talk, new, self.rng)
            for session in touched.values():
                check_session(talk, session)
            self.marks = {id(r) for r in rounds}
        talk.close()

    def new_rounds(self):
        return [r for r in self.rounds() if id(r) not in self.marks]

    def delay(self, longest):
        """Log-uniform: the first turns of a process are hit as often as the later ones."""
        return 0.0005 * (longest / 0.0005) ** self.rng.random()

    def n_acked(self):
        return sum(len(r.numbers) for r in self.rounds("acked"))

    def cycles(self, n):
        """So many, and on a slow machine or store more: until there was load enough."""
        for cycle in range(4 * n):
            if cycle >= n and self.n_acked() > ENOUGH * n:
                return
            yield cycle

    def tell(self, cycles):
        acked = self.n_acked()
        print(f"{cycles} cycles, {acked} messages acknowledged, "
              f"{len(self.rounds('unknown'))} rounds unknown, {self.retried} sent again; "
              f"slowest start {self.slowest_s * 1000:.0f} ms")
        assert acked > ENOUGH * cycles, "too little load to prove anything"


def test_sigkill_at_random_moments_loses_and_doubles_nothing(start_server, tmp_path):
    t = Torture(start_server, tmp_path)
    for cycle in t.cycles(KILLS):
        server = t.start(SHAPES[cycle % len(SHAPES)])
        if cycle:
            t.check(server)
        t.load(server, t.delay(0.8), lambda s: s.kill())
    t.check(t.start([]), everything=True)
    t.tell(KILLS)


def test_sigkill_during_recovery_loses_nothing(start_server, tmp_path):
    """The starts themselves are killed, many in a row, before they are ready."""
    t = Torture(start_server, tmp_path)
    server = t.start(["buffer.performance.flush_interval=3600"])
    t.load(server, 0.5, lambda s: s.kill())
    for _ in range(max(KILLS // 2, 5)):
        process = start_bare(t)
        time.sleep(t.delay(0.08))
        process.kill()
        process.wait()
    t.check(t.start([]), everything=True)


def start_bare(t, *before, settings=()):
    words = [*before, os.environ["MEMFUSE_BIN"], "serve", "--set", f"data.dir={t.data}",
             "--set", f"server.port={t.port}"]
    for setting in [*backend.settings(t.data), *settings]:
        words += ["--set", setting]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def may_trace():
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False,
                          capture_output=True).returncode == 0


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64", "write,writev"])
def test_sigkill_at_a_system_call_loses_and_doubles_nothing(start_server, tmp_path, call):
    """The thin windows: the process dies as it enters its nth such call."""
    if not may_trace():
        pytest.skip("strace may not trace here")
    t = Torture(start_server, tmp_path)
    died_loaded = 0
    for cycle in range(CALLS // 3):
        nth = int(2 ** (1 + t.rng.random() * (5 if call == "fdatasync" else 8)))  # of one thread
        process = start_bare(
            t, "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
            f"inject={call}:signal=KILL:when={nth}", settings=SHAPES[cycle % len(SHAPES)])
        while process.poll() is None and not is_open(t.port):
            time.sleep(0.001)
        died_loaded += process.poll() is None
        t.load(process, 0, end_traced)
        t.check(t.start([]))
        stop_current(t)
    t.check(t.start([]), everything=True)
    print(f"{call}: {died_loaded} of {CALLS // 3} died under load")


def end_traced(process):
    """It dies by itself; when there were too few such calls, by us."""
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        for child in children_of(process.pid):
            os.kill(child, signal.SIGKILL)
        process.wait(20)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


def stop_current(t):
    assert t.server.stop() == 0


def test_sigterm_under_load_ends_well_and_loses_nothing(start_server, tmp_path):
    t = Torture(start_server, tmp_path)
    for n, cycle in enumerate(t.cycles(TERMS), 1):
        server = t.start(SHAPES[cycle % len(SHAPES)])
        if cycle:
            t.check(server)
        code = t.load(server, t.delay(1.5), stop_after_a_pause if cycle % 3 == 2 else stop)
        assert code == 0, server.log()
    t.check(t.start([]), everything=True)
    t.tell(TERMS)
    unknown = len(t.rounds("unknown"))
    # what is committed is answered before the end: only a request on its way may be lost
    assert unknown <= n * CONNECTIONS


def stop(server):
    return server.stop()


def stop_after_a_pause(server):
    """As if the machine had slept."""
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    server.process.send_signal(signal.SIGCONT)
    time.sleep(0.05)
    return server.stop()


def test_a_second_sigterm_ends_the_process_at_once(start_server, tmp_path):
    """The store is locked by somebody else: the drain would take its whole time."""
    server = start_server("drain.timeout=600", "buffer.performance.flush_interval=3600",
                          data=tmp_path / "data")
    talk = Talk(server.port)
    _, _, session = talk.owner("patient")
    ids = [talk.add(session, f"round {i}")[0] for i in range(20)]
    lock = backend.lock_writes(server.data)
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 20
    while "stopping" not in server.log():
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.01)
    time.sleep(0.3)
    assert server.process.poll() is None, "there was nothing to wait for"
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 128 + signal.SIGTERM
    server.http.close()
    server.log_file.close()
    lock.close()
    server = start_server(data=server.data)
    talk = Talk(server.port)
    assert [r["id"] for r in talk.list(session)] == ids
    talk.close()


def test_clients_that_go_away_in_the_midst_harm_nobody(start_server):
    """Requests cut at every byte, and answers nobody waits for."""
    server = start_server()
    talk = Talk(server.port)
    user, _, session = talk.owner("rude")
    whole = talk.wire.request("POST", f"/api/v1/sessions/{session}/messages", {
        "messages": [{"role": "user", "content": "half a word"}]})
    for cut in range(0, len(whole), 3):
        other = Talk(server.port)
        other.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   b"\x01\x00\x00\x00\x00\x00\x00\x00")  # close sends RST
        other.wire.send(whole[:cut])
        other.close()
    assert talk.list(session) == []
    for _ in range(60):
        other = Talk(server.port)
        other.wire.send(whole)
        other.close()
    kept = talk.add(session, "the last word")
    rows = talk.list(session)
    assert [r["content"] for r in rows if r["id"] == kept[0]] == ["the last word"]
    assert {r["content"] for r in rows if r["id"] != kept[0]} <= {"half a word"}
    assert len({r["id"] for r in rows}) == len(rows)
    talk.close()
