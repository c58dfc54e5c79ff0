# SPDX-License-Identifier: Apache-2.0
"""A minute of adds, all the way to the store: sustained.py BUILD_DIR

First at PACE messages a second: all must arrive, with vectors. Then as fast as it goes
for a third of the time: what cannot be embedded in time is stored without a vector and
embedded later, and the figure says how much that was. The client keeps at most WAITING
messages between acknowledgement and store, so that a rate is what goes through, not what
is buffered. 30 words a message, 16 messages an add, users at random."""
import os
import random
import selectors
import sqlite3
import sys
import time

from rig import (Server, Verdicts, Wire, add_requests, build_of, cpu_by_thread, make_sessions,
                 probe, room, rss_kib)

SECONDS = float(os.environ.get("MF_BENCH_SECONDS", "60"))
WARM_S = 10
PACE = 16_000
FULL_SPEED = 1e9
USERS = 200
CONNECTIONS = 32
BATCH = 16
WAITING = 60_000  # of which write and hybrid buffers keep up to 6 rounds a user
BODIES = 3000


class Load:
    def __init__(self, server, rng):
        self.server, self.rng = server, rng
        sessions = make_sessions(server.port, USERS)
        self.bodies = add_requests(rng, sessions, BODIES, BATCH)
        self.control = Wire(server.port)
        self.select = selectors.DefaultSelector()
        self.idle = [Wire(server.port) for _ in range(CONNECTIONS)]
        for wire in self.idle:
            self.select.register(wire.sock, selectors.EVENT_READ, wire)
        self.sent = self.acked = self.refused = 0
        self.stats, self.due = {}, 0

    def waiting(self):
        """messages acknowledged and not yet stored"""
        self.stats = self.control.ask("GET", "/buffer/stats")
        return self.stats["pending"]["messages"]

    def turn(self, may_send):
        while may_send and self.idle:
            self.idle.pop().send(self.rng.choice(self.bodies))
            self.sent += BATCH
            may_send = self.sent < self.due
        for key, _ in self.select.select(0.002):
            status, _ = key.data.raw_answer()
            self.acked += BATCH if status == 201 else 0
            self.refused += status != 201
            self.idle.append(key.data)

    def run(self, seconds, pace, each_second=None):
        """messages stored a second"""
        began = at = time.perf_counter()
        second = 0
        before = self.acked - self.waiting()
        waiting, first = 0, self.sent
        while (now := time.perf_counter()) < began + seconds:
            if now - at > 0.02:
                waiting, at = self.waiting(), now
            self.due = first + pace * (now - began)
            self.turn(waiting < WAITING and self.sent < self.due)
            if each_second and now - began > second:
                each_second(now - began)
                second += 1
        stored = self.acked - self.waiting() - before
        return stored / (time.perf_counter() - began)

    def end(self):
        while len(self.idle) < CONNECTIONS:
            self.turn(False)
        began = time.perf_counter()
        self.control.ask("POST", "/buffer/flush")
        left = self.waiting()
        return left, time.perf_counter() - began


def slope_per_s(points):
    """least squares"""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    return (sum((x - mx) * (y - my) for x, y in points)
            / max(sum((x - mx) ** 2 for x, _ in points), 1e-9))


def threads_of(before, after, seconds):
    """share of a core by thread name"""
    shares = {}
    for name, s in after.items():
        plain = name.partition("/")[0]
        used = (s - before.get(name, 0)) / seconds
        shares.setdefault(plain, []).append(used)
    return ", ".join(f"{name} {' + '.join(f'{u * 100:.0f}' for u in sorted(used, reverse=True))} %"
                     for name, used in sorted(shares.items()))


def paced(server, load, v):
    load.run(WARM_S, PACE)
    memory = []
    cpu = cpu_by_thread(server.pid)
    rate = load.run(SECONDS, PACE, lambda s: memory.append((s, rss_kib(server.pid))))
    print("cpu of a core by thread: " + threads_of(cpu, cpu_by_thread(server.pid), SECONDS))
    late = [p for p in memory if p[0] > SECONDS / 3] or memory
    print(f"RSS {memory[0][1] / 1024:.0f} MiB at first, {memory[-1][1] / 1024:.0f} MiB at the "
          f"end; slope of the last two thirds {slope_per_s(late) / 1024 * 60:.1f} MiB a minute, "
          f"{slope_per_s(late) * 1024 / max(rate, 1):.0f} bytes a message stored")
    print(f"texts waiting for a vector at the end: {load.stats['embed']['backlog']}")
    rows, bare = rows_of(server.data)
    v.say(f"messages stored at a pace of {PACE}", rate, "messages/s", 15_000)
    v.say("rows without a vector", bare / rows, "x", 0.01, at_most=True)


def main(build, folder):
    v = Verdicts()
    # At a pace some connections have nothing to do for long.
    server = Server(build, folder + "/data", "server.idle_timeout=10m")
    load = Load(server, random.Random(7))
    probe(folder)
    paced(server, load, v)
    before = rows_of(server.data)
    rate = load.run(SECONDS / 3, FULL_SPEED)
    left, drain_s = load.end()
    probe(folder)
    server.stop()
    rows, bare = rows_of(server.data)
    print(f"as fast as it goes: {rate:,.0f} messages/s stored, "
          f"{(bare - before[1]) / max(rows - before[0], 1) * 100:.0f} % of them without a vector "
          f"yet; flush of the rest {drain_s:.2f} s, {left} messages left")
    if rows != load.acked:
        raise RuntimeError(f"{load.acked} messages were acknowledged, {rows} are stored")
    v.say("adds refused", load.refused, "", 0, at_most=True)
    v.end()


def rows_of(data):
    store = sqlite3.connect(data / "memfuse.db")
    try:
        return store.execute("SELECT count(*), sum(is_pending) FROM messages").fetchone()
    finally:
        store.close()


if __name__ == "__main__":
    with room() as where:
        main(build_of(sys.argv), where)
