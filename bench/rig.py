# SPDX-License-Identifier: Apache-2.0
"""What the benchmark programs share: the server under test, its threads, a raw client,
the probe lines, the verdict.

Timings on a shared machine are read beside the probe line of the same minute."""
import atexit
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HZ = os.sysconf("SC_CLK_TCK")
AUTOGROUP = "-10"  # favours the measured program; needs root
WORDS = """the of a to in is you that it he was for on are as with his they at be this from have or by one had
not but what all were when we there can an your which their said if do will each about how up out them then she
many some so these would other into has more her two like him see time could no make than first been its who now
people my made over did down only way find use may water long little very after words called just where most know
garden river window yellow doctor bicycle kitchen holiday music letter train morning winter summer island market
school coffee brother sister mountain picture story engine bottle paper silver station village planet ocean""".split()


def text_of(rng, n_words=30):
    return " ".join(rng.choice(WORDS) for _ in range(n_words))


def probe(folder):
    """Prints load and the price of a synced write, as bench/probe.c does."""
    path = Path(folder) / "probe"
    us = []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for _ in range(200):
            began = time.perf_counter_ns()
            os.write(fd, b"\0" * 4096)
            os.fdatasync(fd)
            us.append((time.perf_counter_ns() - began) / 1e3)
    finally:
        os.close(fd)
        path.unlink()
    us.sort()
    print(f"probe: load {' '.join(f'{x:.2f}' for x in os.getloadavg())}; "
          f"fdatasync of 4 KiB appended: p50 {us[100]:.0f} us, p99 {us[198]:.0f} us", flush=True)


class Verdicts:
    def __init__(self):
        self.below = 0

    def say(self, what, value, unit, target, at_most=False):
        good = value <= target if at_most else value >= target
        self.below += not good
        sign = "<=" if at_most else ">="
        print(f"{'PASS ' if good else 'BELOW'} {what}: {value:,.2f} {unit} "
              f"(target {sign} {target:,g})", flush=True)

    def end(self):
        """The figures are the product of a benchmark: it fails only when asked to."""
        sys.exit(1 if self.below and os.environ.get("MF_BENCH_STRICT") == "1" else 0)


def favour(pid):
    try:
        Path(f"/proc/{pid}/autogroup").write_text(AUTOGROUP)
    except OSError:
        pass  # no root, or no such kernel option


def cpu_by_thread(pid):
    """{thread name: seconds}"""
    out = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            stat = (task / "stat").read_text()
        except OSError:
            continue
        name = stat[stat.index("(") + 1:stat.rindex(")")]
        fields = stat[stat.rindex(")") + 2:].split()
        out[f"{name}/{task.name}"] = (int(fields[11]) + int(fields[12])) / HZ
    return out


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


class Server:
    """memfuse serve in a folder of its own."""

    def __init__(self, build, folder, *settings):
        self.binary = str(Path(build) / "memfuse")
        self.data = Path(folder)
        self.data.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.start()

    def start(self):
        words = [self.binary, "serve", "--set", f"data.dir={self.data}",
                 "--set", "server.port=0"]
        for setting in self.settings:
            words += ["--set", setting]
        log = self.data.parent / (self.data.name + ".log")
        began = time.perf_counter()
        with open(log, "wb") as f:
            self.process = subprocess.Popen(words, stdout=f, stderr=f, cwd=self.data,
                                            start_new_session=True)
        atexit.register(self.process.kill)  # nothing, once it has been waited for
        while True:
            match = re.search(r"\bready\b.*\bport=(\d+)", log.read_text())
            if match:
                break
            if self.process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"{self.binary} did not start:\n{log.read_text()}")
            time.sleep(0.001)
        self.start_s = time.perf_counter() - began
        self.log = log
        self.port = int(match.group(1))
        self.pid = self.process.pid
        favour(self.pid)

    def cpu_s(self):
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / HZ

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(120)


class Wire:
    """One keep-alive connection."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 120)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self):
        self.sock.close()

    @staticmethod
    def request(method, path, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        return (f"{method} /api/v1{path} HTTP/1.1\r\nHost: memfuse\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
                ).encode() + data

    def send(self, raw):
        self.sock.sendall(raw)

    def raw_answer(self):
        """(status, body)"""
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            self._more()
        head = self.rest[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17:].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(self.rest) < end + 4 + length:
            self._more()
        body = self.rest[end + 4:end + 4 + length]
        self.rest = self.rest[end + 4 + length:]
        return int(head[9:12]), body

    def _more(self):
        got = self.sock.recv(1 << 18)
        if not got:
            raise RuntimeError("the server closed the connection")
        self.rest += got

    def ask(self, method, path, body=None):
        self.send(self.request(method, path, body))
        status, data = self.raw_answer()
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {data[:500]!r}")
        return json.loads(data)["data"] if data else None


def make_sessions(port, n_users, name="bench"):
    """n_users users with a session each: [(user_id, session_id)]"""
    wire = Wire(port)
    agent = wire.ask("POST", "/agents", {"name": f"{name} agent"})["agent"]["id"]
    out = []
    for i in range(n_users):
        user = wire.ask("POST", "/users", {"name": f"{name} {i}"})["user"]["id"]
        session = wire.ask("POST", "/sessions", {"user_id": user, "agent_id": agent})
        out.append((user, session["session"]["id"]))
    wire.close()
    return out


def add_requests(rng, sessions, n, batch):
    """n requests, as bytes, each of which adds `batch` messages to a session at random."""
    return [Wire.request(
        "POST", f"/sessions/{rng.choice(sessions)[1]}/messages",
        {"messages": [{"role": "user" if i % 2 == 0 else "assistant",
                       "content": text_of(rng)} for i in range(batch)]})
        for _ in range(n)]


def median(values):
    return statistics.median(values)


def room():
    """A folder for data, on the disk of the build."""
    base = Path(os.environ.get("MF_BENCH_DIR", "build"))
    base.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="bench-", dir=base.resolve())


def build_of(argv):
    if len(argv) != 2 or not (Path(argv[1]) / "memfuse").exists():
        sys.exit(f"usage: {argv[0]} BUILD_DIR   (with BUILD_DIR/memfuse, a release build)")
    return Path(argv[1]).resolve()
