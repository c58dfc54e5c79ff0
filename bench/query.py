# SPDX-License-Identifier: Apache-2.0
"""Questions to a user of 10,000 messages: resident, and the first one after a start:
query.py BUILD_DIR. One connection; the client's own share is told by the health route. Beside
a Postgres of its own (bench/pg_query.sh) the messages are there."""
import os
import random
import sys
import time

from rig import Server, Verdicts, Wire, build_of, make_sessions, median, probe, room, text_of

MESSAGES = 10_000
BATCH = 100
QUESTIONS = 2000
COLD_USERS = 5
DSN = os.environ.get("MF_TEST_DSN")
STORE = ["store.backend=postgres", f"store.postgres.dsn={DSN}"] if DSN else []
COLD_MS = 100 if DSN else 50


def fill(server, sessions, rng):
    wire = Wire(server.port)
    for _, session in sessions:
        for at in range(0, MESSAGES, BATCH):
            wire.ask("POST", f"/sessions/{session}/messages", {"messages": [
                {"role": "user" if i % 2 == 0 else "assistant", "content": text_of(rng)}
                for i in range(at, at + BATCH)]})
    wire.ask("POST", "/buffer/flush")
    wire.close()


def timed(wire, raw):
    began = time.perf_counter_ns()
    wire.send(raw)
    status, body = wire.raw_answer()
    if status != 200:
        raise RuntimeError(f"{status} {body[:300]!r}")
    return (time.perf_counter_ns() - began) / 1e6


def ask_of(user, rng):
    return Wire.request("POST", f"/users/{user}/query", {"query": text_of(rng, 8), "top_k": 5})


def percentiles(ms):
    ms = sorted(ms)
    return ms[len(ms) // 2], ms[len(ms) * 99 // 100]


def main(build, folder):
    rng = random.Random(11)
    v = Verdicts()
    server = Server(build, folder + "/data", *STORE)
    sessions = make_sessions(server.port, COLD_USERS)
    fill(server, sessions, rng)
    server.stop()
    cold = []
    server.start()
    probe(folder)
    wire = Wire(server.port)
    health = Wire.request("GET", "/health")
    floor, _ = percentiles([timed(wire, health) for _ in range(QUESTIONS)])
    for user, _ in sessions:
        cold.append(timed(wire, ask_of(user, rng)))
    user = sessions[0][0]
    raws = [ask_of(user, rng) for _ in range(QUESTIONS)]
    for raw in raws[:200]:
        timed(wire, raw)
    cpu = server.cpu_s()
    p50, p99 = percentiles([timed(wire, raw) for raw in raws])
    cpu_us = (server.cpu_s() - cpu) / len(raws) * 1e6
    print(f"{MESSAGES} messages of a user, {QUESTIONS} questions of 8 words: p50 {p50:.3f} ms, "
          f"p99 {p99:.3f} ms, {cpu_us:.0f} us of CPU each; health: p50 {floor:.3f} ms")
    print(f"first question of {COLD_USERS} users after a start: "
          + ", ".join(f"{x:.1f}" for x in cold) + " ms")
    if not DSN:
        v.say("resident query p50", p50, "ms", 1, at_most=True)
    v.say("cold first query, median", median(cold), "ms", COLD_MS, at_most=True)
    wire.close()
    server.stop()
    v.end()


if __name__ == "__main__":
    with room() as where:
        main(build_of(sys.argv), where)
