# SPDX-License-Identifier: Apache-2.0
"""The vectors of others over HTTP, on two cores:

    embed_http.py BUILD_DIR MODEL_DIR       MODEL_DIR: all-MiniLM-L6-v2 as published

1. One text a request, 64 connections, all texts different and no cache: texts a second by
   /v1/embeddings and /embed, in turn with the encoder alone on two threads (embed_rate),
   before and after, which cuts such texts into pieces, too.
2. A hundred requests for one text at once: how often the encoder ran.
3. One interactive connection, its latency alone and while requests of 32 texts keep both
   cores busy, in turn.

MF_EMBED_ROUNDS (default 5) and MF_EMBED_PARTS (of "rates,interactive,flight") make it shorter.

Beside text-embeddings-inference 1.9.3 (ONNX Runtime) as it was measured on two cores of such a
machine. Needs wrk. Wall times: worth something only where two cores are free; CPU time a text
is told, too."""
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from rig import Server, Verdicts, Wire, favour, median, probe, room

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("MF_EMBED_ROUNDS", "5"))
PARTS = os.environ.get("MF_EMBED_PARTS", "rates,interactive,flight").split(",")
SECONDS = 3
CONNECTIONS = 64
N_BODIES = 20_000
ALONE_PIECES = 8192  # of a pass
LENGTHS = (16, 64)
TEI = {16: 334, 64: 97}  # texts a second
PATHS = {"/v1/embeddings": "input", "/embed": "inputs"}
BULK_TEXTS, BULK_LENGTH, BULK_CONNECTIONS = 32, 64, 4
QUERIES = 300  # of a turn
SAME = 100  # identical requests at once
THREADS = 2
# Nothing is refused here: what is measured is the work, not the door.
SETTINGS = ("embed.precision=int8", f"embed.max_concurrent={THREADS}", "embed.max_wait=10m",
            "embed.max_queued_tokens=100000000")


class Texts:
    """Texts of exactly so many pieces: words that are one piece each."""

    def __init__(self, model):
        lines = (Path(model) / "vocab.txt").read_text("utf-8").split("\n")
        self.words = [w for w in lines if w.isascii() and w.isalpha() and len(w) > 3]
        self.rng = random.Random(17)

    def one(self, n_pieces):
        return " ".join(self.rng.choices(self.words, k=n_pieces - 2))

    def body(self, path, n_pieces, n_texts=1):
        if n_texts == 1:
            return '{"%s":"%s"}' % (PATHS[path], self.one(n_pieces))
        texts = ",".join(f'"{self.one(n_pieces)}"' for _ in range(n_texts))
        return '{"%s":[%s]}' % (PATHS[path], texts)


def post(path, body):
    data = body.encode()
    return (f"POST {path} HTTP/1.1\r\nHost: memfuse\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


class Load:
    """wrk on one kind of request."""

    def __init__(self, folder, name, path, bodies, connections):
        self.path, self.connections = path, connections
        self.file = Path(folder) / name
        self.file.write_text("".join(b + "\n" for b in bodies))

    def start(self, port, seconds):
        env = {**os.environ, "MF_BODIES": str(self.file), "MF_PATH": self.path}
        return subprocess.Popen(
            ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "30s", "-s",
             str(HERE / "embed_http.lua"), f"http://127.0.0.1:{port}/"],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @staticmethod
    def end(process):
        """requests/s, p50 us, p99 us"""
        out, _ = process.communicate(timeout=120)
        for line in out.splitlines():
            if line.startswith("RESULT "):
                n, us, p50, p99, errors = map(int, line.split()[1:])
                if errors:
                    raise RuntimeError(f"wrk: {errors} of {n} requests failed")
                return n / (us / 1e6), p50, p99
        raise RuntimeError(f"wrk: {out}")


class Alone:
    """embed_rate on two threads, in the same process as its texts."""

    def __init__(self, build, model, folder, texts):
        self.files = {n: Path(folder) / f"texts-{n}" for n in LENGTHS}
        for n, file in self.files.items():
            file.write_text("".join(texts.one(n) + "\n" for _ in range(ALONE_PIECES // n)))
        self.process = subprocess.Popen([str(build / "bench" / "embed_rate"), model, "int8"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        favour(self.process.pid)
        if not self.process.stdout.readline().startswith("ready int8"):
            sys.exit("embed_http: embed_rate does not start in int8")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def rate(self, n_pieces, seconds):
        """(texts a second of wall time, CPU us a text)"""
        n_texts = ALONE_PIECES // n_pieces
        told = self.ask(f"file {self.files[n_pieces]}").split()
        if told[1:4:2] != [str(n_texts), str(ALONE_PIECES)]:
            sys.exit(f"embed_http: embed_rate has other texts: {told}")
        wall, cpu, _ = map(float, self.ask(f"run {THREADS} {seconds}").split())
        return n_texts / wall * 1e3, cpu / n_texts * 1e3

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


# ---- 1

def check_length(port, texts, n_pieces):
    wire = Wire(port)
    wire.send(post("/v1/embeddings", texts.body("/v1/embeddings", n_pieces)))
    status, body = wire.raw_answer()
    wire.close()
    if status != 200 or b'"prompt_tokens":%d' % n_pieces not in body:
        sys.exit(f"embed_http: a text of {n_pieces} pieces gives {status} {body[-200:]!r}")


def measure_rates(server, alone, loads, v):
    """The encoder alone runs before and after each load: a machine that slows down, or
    others on it, weigh on both."""
    cells = {key: [] for key in loads}
    alones = {n: [] for n in LENGTHS}
    for i in range(ROUNDS + 1):
        if i == 1:  # what was before is warming up
            cells = {key: [] for key in loads}
            alones = {n: [] for n in LENGTHS}
        for n in LENGTHS:
            alones[n].append(alone.rate(n, SECONDS / 2))
            for path in PATHS:
                cpu = server.cpu_s()
                rate, p50, p99 = Load.end(loads[path, n].start(server.port, SECONDS))
                cpu_us = (server.cpu_s() - cpu) / (rate * SECONDS) * 1e6
                alones[n].append(alone.rate(n, SECONDS / 2))
                around = (alones[n][-2][0] + alones[n][-1][0]) / 2
                cells[path, n].append((rate, p50, p99, cpu_us, rate / around))
    print(f"{'':18}{'pieces':>7} {'texts/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'CPU us a text':>14}"
          f"{'TEI texts/s':>12}")
    for n in LENGTHS:
        rate, cpu = (median(x) for x in zip(*alones[n]))
        print(f"{'encoder alone':18}{n:7} {rate:9.0f} {'':17} {cpu:14.0f}")
        for path in PATHS:
            rate, p50, p99, cpu, _ = (median(x) for x in zip(*cells[path, n]))
            print(f"{path:18}{n:7} {rate:9.0f} {p50 / 1e3:8.1f} {p99 / 1e3:8.1f} {cpu:14.0f}"
                  f"{TEI[n]:12}")
    for (path, n), rows in cells.items():
        v.say(f"{path}, {n} pieces: texts/s against the encoder alone",
              median([r[4] for r in rows]), "x", 0.85)
        v.say(f"{path}, {n} pieces: texts/s against TEI", median([r[0] for r in rows]) / TEI[n],
              "x", 4)


def compare_rates(server, build, model, folder, texts, v):
    for n in LENGTHS:
        check_length(server.port, texts, n)
    loads = {(path, n): Load(folder, f"bodies{path.replace('/', '-')}-{n}", path,
                             (texts.body(path, n) for _ in range(N_BODIES)), CONNECTIONS)
             for path in PATHS for n in LENGTHS}
    alone = Alone(build, model, folder, texts)
    measure_rates(server, alone, loads, v)
    alone.close()


# ---- 2

def single_flight(server, texts, v):
    admin = Wire(server.port)
    admin.ask("POST", "/embed/stats/reset")
    raw = post("/embed", texts.body("/embed", 200))
    wires = [Wire(server.port) for _ in range(SAME)]
    start = threading.Barrier(4)

    def send(some):
        start.wait()
        for w in some:
            w.send(raw)

    threads = [threading.Thread(target=send, args=(wires[i::4],)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    answers = {w.raw_answer() for w in wires}
    stats = admin.ask("GET", "/embed/stats")
    if len(answers) != 1 or next(iter(answers))[0] != 200:
        sys.exit(f"embed_http: {len(answers)} different answers for one text")
    print(f"{SAME} requests for one text: joined {stats['joined']}, from the cache "
          f"{stats['hits']}")
    v.say(f"{SAME} requests for one text at once: runs of the encoder", stats["misses"], "", 1,
          at_most=True)


# ---- 3

def query_ms(wire, texts):
    out = []
    for _ in range(QUERIES):
        raw = post("/embed", texts.body("/embed", 16))
        began = time.perf_counter_ns()
        wire.send(raw)
        status, body = wire.raw_answer()
        out.append((time.perf_counter_ns() - began) / 1e6)
        if status != 200:
            raise RuntimeError(f"{status} {body[:200]!r}")
        time.sleep(0.002)  # a person, not a load
    return out


def measure_interactive(server, bulk, texts, v):
    favour(os.getpid())
    wire = Wire(server.port)
    quiet, busy = [], []
    for _ in range(ROUNDS):
        quiet += query_ms(wire, texts)
        load = bulk.start(server.port, 30)
        time.sleep(0.5)
        busy += query_ms(wire, texts)
        load.terminate()
        load.communicate(timeout=60)
        time.sleep(0.5)
    wire.close()
    quiet.sort()
    busy.sort()
    for name, ms in (("quiet", quiet), ("under load", busy)):
        print(f"interactive, 16 pieces, {name}: p50 {ms[len(ms) // 2]:.2f} ms, "
              f"p99 {ms[len(ms) * 99 // 100]:.2f} ms")
    at = len(quiet) * 99 // 100
    v.say("interactive query under load against quiet, p99", busy[at] / quiet[at], "x", 3,
          at_most=True)


def main(build, model, folder):
    v = Verdicts()
    texts = Texts(model)
    probe(folder)
    server = Server(build, folder + "/data", f"embed.model={model}", "embed.cache_bytes=0",
                    *SETTINGS)
    if "rates" in PARTS:
        compare_rates(server, build, model, folder, texts, v)
    if "interactive" in PARTS:
        bulk = Load(folder, "bulk", "/embed",
                    (texts.body("/embed", BULK_LENGTH, BULK_TEXTS) for _ in range(1000)),
                    BULK_CONNECTIONS)
        measure_interactive(server, bulk, texts, v)
    server.stop()
    if "flight" in PARTS:
        server = Server(build, folder + "/data2", f"embed.model={model}", *SETTINGS)
        single_flight(server, texts, v)
        server.stop()
    probe(folder)
    v.end()


if __name__ == "__main__":
    if len(sys.argv) != 3 or not (Path(sys.argv[1]) / "memfuse").exists():
        sys.exit(f"usage: {sys.argv[0]} BUILD_DIR MODEL_DIR   (with BUILD_DIR/memfuse)")
    with room() as data:
        main(Path(sys.argv[1]).resolve(), str(Path(sys.argv[2]).resolve()), data)
