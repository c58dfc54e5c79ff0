# SPDX-License-Identifier: Apache-2.0
"""A long outage of the database and what comes after it: pg_backlog.py BUILD_DIR

Run by bench/pg_backlog.sh beside a Postgres of its own. The server is stopped, MF_BACKLOG_ROWS
messages (default a million) are acknowledged meanwhile, it is started again, and the backlog
drains while new messages come at half of the rate at which it drains. Printed: the rate of the
acknowledgements while the database was away beside the rate before, the drain, memory before
and at its highest, and whether every message is in the table once."""
import os
import random
import subprocess
import sys
import time

from rig import (Server, Verdicts, Wire, add_requests, build_of, make_sessions, probe, room,
                 rss_kib)

ROWS = int(os.environ.get("MF_BACKLOG_ROWS", "1000000"))
USERS = 500
BATCH = 64
CONNECTIONS = 16
BODIES = 2000
WARM_S = 5
WARM_ROWS = 100000  # at least: until every user's buffers keep what they keep in any case


class Load:
    def __init__(self, server, rng):
        self.rng = rng
        sessions = make_sessions(server.port, USERS)
        self.bodies = add_requests(rng, sessions, BODIES, BATCH)
        self.wires = [Wire(server.port) for _ in range(CONNECTIONS)]
        self.control = Wire(server.port)
        self.acked = 0

    def some(self):
        """One request on each connection."""
        for wire in self.wires:
            wire.send(self.rng.choice(self.bodies))
        for wire in self.wires:
            status, body = wire.raw_answer()
            if status != 201:
                raise RuntimeError(f"{status}: {body[:300]!r}")
            self.acked += BATCH

    def waiting(self):
        return self.control.ask("GET", "/buffer/stats")["pending"]["messages"]


def add_rate(load, n):
    """messages acknowledged a second"""
    began, first = time.perf_counter(), load.acked
    while load.acked - first < n:
        load.some()
    return (load.acked - first) / (time.perf_counter() - began)


def settled(load):
    """How many messages wait when only those are left that the buffers keep."""
    last, now = load.waiting() + 1, load.waiting()
    while now < last:
        time.sleep(1)
        last, now = now, load.waiting()
    return now


def drain(server, load, alone, kept):
    """Half of the rate at which the backlog drains alone comes in, until no more waits than
    buffers keep in any case: (seconds, highest RSS, new messages)"""
    began = at = time.perf_counter()
    sent, highest, waiting = 0, rss_kib(server.pid), load.waiting()
    while waiting > kept * 1.2:
        now = time.perf_counter()
        if sent < alone / 2 * (now - began):
            load.some()
            sent += BATCH * CONNECTIONS
        else:
            time.sleep(0.01)
        if now - at > 1:
            waiting, at = load.waiting(), now
            highest = max(highest, rss_kib(server.pid))
            if round(now - began) % 5 == 0:
                print(f"  {now - began:5.0f} s: {waiting:9,} wait, RSS {rss_kib(server.pid) / 1024:,.0f} "
                      "MiB", flush=True)
    return time.perf_counter() - began, highest, sent


def stored(dsn):
    psql = os.path.join(os.environ["MF_TEST_PG_BIN"], "psql")
    out = subprocess.run([psql, "-XAtq", "-d", dsn, "-c", "SELECT count(*), count(DISTINCT"
                          " (user_id, id)) FROM messages"], check=True, capture_output=True)
    return tuple(int(x) for x in out.stdout.decode().strip().split("|"))


def main(build, folder):
    dsn, ctl = os.environ["MF_TEST_DSN"], os.environ["MF_TEST_PG_CTL"]
    v = Verdicts()
    server = Server(build, folder + "/data", "store.backend=postgres",
                    f"store.postgres.dsn={dsn}", "journal.max_bytes=8GiB",
                    "buffer.max_bytes=8GiB", "server.idle_timeout=60m", "embed.model=hash",
                    "store.postgres.max_backoff=2s", "flush.retry_max=2s")
    load = Load(server, random.Random(7))
    probe(folder)
    before = add_rate(load, max(ROWS // 10, WARM_ROWS))
    kept = settled(load)
    subprocess.run([ctl, "stop"], check=True)
    small = rss_kib(server.pid)
    away = add_rate(load, ROWS)
    full = rss_kib(server.pid)
    print(f"{ROWS:,} messages while the database was away: RSS {small / 1024:,.0f} -> "
          f"{full / 1024:,.0f} MiB, {(full - small) * 1024 / ROWS:,.0f} bytes each")
    v.say("acknowledged a second while it is away, beside before", away / before, "x", 0.8)
    subprocess.run([ctl, "start"], check=True)
    began, first = time.perf_counter(), load.waiting()
    time.sleep(WARM_S)
    alone = (first - load.waiting()) / (time.perf_counter() - began)
    print(f"drains at {alone:,.0f} messages/s with nothing else to do")
    seconds, highest, live = drain(server, load, alone, kept)
    v.say("highest RSS of the drain beside that at its begin", highest / full, "x", 1.1,
          at_most=True)
    print(f"drained in {seconds:.0f} s beside {live / seconds:,.0f} new messages/s")
    load.control.ask("POST", "/buffer/flush")
    probe(folder)
    code = server.stop()
    rows, keys = stored(dsn)
    if code != 0 or rows != load.acked or keys != rows:
        raise RuntimeError(f"exit {code}; {load.acked} acknowledged, {rows} rows, {keys} keys")
    print(f"every one of {rows:,} messages is stored, once")
    v.end()


if __name__ == "__main__":
    with room() as where:
        main(build_of(sys.argv), where)
