# SPDX-License-Identifier: Apache-2.0
"""Durable adds against nginx that answers at once and FastAPI that stores nothing, in turns
of one run: ingest.py BUILD_DIR

Every memfuse cell has a server and a folder of its own. The bound on what waits for the
store is lifted, so that the cell measures acknowledging; bench/sustained.py measures the
way to the store."""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rig import Server, Verdicts, build_of, favour, make_sessions, median, probe, room

HERE = Path(__file__).parent
SECONDS = int(os.environ.get("MF_BENCH_SECONDS", "4"))
ROUNDS = int(os.environ.get("MF_BENCH_ROUNDS", "3"))
USERS = 1000
BATCH = 64
SETTINGS = ["buffer.max_bytes=8GiB", "journal.max_bytes=64GiB"]
NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u;
  scgi_temp_path s;
  default_type application/json;
  server {
    listen 127.0.0.1:%d;
    client_max_body_size 16m;
    client_body_buffer_size 64k;
    tcp_nodelay on;
    location / { return 200 '{"ok":true}'; }
  }
}
"""


def wrk(port, connections, messages, sessions, seconds=SECONDS):
    """requests/s, p50 us, p99 us, errors"""
    env = {**os.environ, "MF_MESSAGES": str(messages), "MF_SESSIONS": str(sessions)}
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
         str(HERE / "ingest.lua"), f"http://127.0.0.1:{port}/"],
        env=env, capture_output=True, text=True, timeout=seconds + 60)
    for line in out.stdout.splitlines():
        if line.startswith("RESULT "):
            n, us, p50, p99, errors = map(int, line.split()[1:])
            return n / (us / 1e6), p50, p99, errors
    raise RuntimeError(f"wrk: {out.stdout}{out.stderr}")


class Peers:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.chmod(0o755)  # nginx's worker is somebody else
        self.processes = []
        self.ports = {"nginx": 19801, "fastapi": 19802}
        (self.folder / "nginx.conf").write_text(NGINX % self.ports["nginx"])
        self.start(["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")])
        self.start([sys.executable, "-m", "uvicorn", "--port", str(self.ports["fastapi"]),
                    "--log-level", "error", "--no-access-log", "noop_app:app"])

    def start(self, words):
        p = subprocess.Popen(words, cwd=HERE, start_new_session=True)
        favour(p.pid)
        self.processes.append(p)

    def stop(self):
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            p.wait()


class Cells:
    """what -> list of (requests/s, p50, p99, errors, us of CPU a request)"""

    def __init__(self, build, folder, peers):
        self.build, self.folder, self.peers = build, Path(folder), peers
        self.cells = {}

    def peer(self, name, connections, messages):
        sessions = self.folder / "some"
        if not sessions.exists():
            sessions.write_text("".join(f"{i:036d}\n" for i in range(USERS)))
        self.cells.setdefault((name, connections, messages), []).append(
            (*wrk(self.peers.ports[name], connections, messages, sessions), 0.0))

    def memfuse(self, connections, messages):
        data = self.folder / "data"
        server = Server(self.build, data, *SETTINGS)
        sessions = self.folder / "sessions"
        sessions.write_text("".join(s + "\n" for _, s in make_sessions(server.port, USERS)))
        wrk(server.port, connections, messages, sessions, 1)  # warm
        cpu = server.cpu_s()
        rate, p50, p99, errors = wrk(server.port, connections, messages, sessions)
        cpu_us = (server.cpu_s() - cpu) / (rate * SECONDS) * 1e6
        self.cells.setdefault(("memfuse", connections, messages), []).append(
            (rate, p50, p99, errors, cpu_us))
        server.process.kill()
        server.process.wait()
        shutil.rmtree(data)

    def median(self, name, connections, messages):
        return [median(x) for x in zip(*self.cells[(name, connections, messages)])]

    def print(self):
        print(f"{'server':8} {'conns':>5} {'messages':>8} {'requests/s':>11} {'p50 us':>8} "
              f"{'p99 us':>8} {'errors':>6} {'cpu us/request':>14}")
        for name, connections, messages in self.cells:
            rate, p50, p99, errors, cpu = self.median(name, connections, messages)
            print(f"{name:8} {connections:5d} {messages:8d} {rate:11,.0f} {p50:8,.0f} "
                  f"{p99:8,.0f} {errors:6.0f} {cpu:14.1f}")


def run(build, folder):
    peers = Peers(folder)
    cells = Cells(build, folder, peers)
    time.sleep(2)
    try:
        for _ in range(ROUNDS):
            probe(folder)
            for connections in (64, 256):
                cells.peer("nginx", connections, 1)
                cells.memfuse(connections, 1)
                cells.peer("fastapi", connections, 1)
            cells.memfuse(64, BATCH)
    finally:
        peers.stop()
    probe(folder)
    cells.print()
    return cells


def judge(cells):
    v = Verdicts()
    for connections, share in ((64, 0.30), (256, 0.40)):
        ours = cells.median("memfuse", connections, 1)[0]
        v.say(f"one message, {connections} connections, of nginx",
              ours / cells.median("nginx", connections, 1)[0], "x", share)
        v.say(f"one message, {connections} connections, of FastAPI",
              ours / cells.median("fastapi", connections, 1)[0], "x", 8)
    v.say(f"adds of {BATCH} messages", cells.median("memfuse", 64, BATCH)[0] * BATCH,
          "messages/s", 250_000)
    errors = sum(r[3] for runs in cells.cells.values() for r in runs)
    v.say("errors", errors, "", 0, at_most=True)
    v.end()


if __name__ == "__main__":
    with room() as where:
        judge(run(build_of(sys.argv), where))
