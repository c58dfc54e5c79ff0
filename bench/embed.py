# SPDX-License-Identifier: Apache-2.0
"""The sentence encoder beside ONNX Runtime: same weights, same processor, same minute.

    embed.py BUILD_DIR MODEL_DIR        MODEL_DIR: all-MiniLM-L6-v2 as published

Engines take turns, text batch by text batch, in an order that turns round every round; a
ratio is the median over rounds of two neighbours' times, so that a machine shared with others
slows both. Of ONNX Runtime the best graph (see minilm_onnx.py) at each cell counts, on the
chat mix also the best batching: single, 8 or 32 texts sorted by length and padded. It returns
the last layer, ours pools and normalises, too. Ours takes jobs of 512 pieces, as the service
does, and never pads.

CPU time of one thread where the verdict says so; two threads are wall time, and worth
something only on a machine that has two cores free.

MF_EMBED_ROUNDS (default 5), MF_EMBED_CELLS (comma-separated names) and MF_EMBED_PARTS (of
"one,two,tokens") make it shorter."""
import json
import logging
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy
import onnxruntime

import minilm_onnx
from rig import Verdicts, favour, median, probe, room, text_of

ROUNDS = int(os.environ.get("MF_EMBED_ROUNDS", "5"))
PARTS = os.environ.get("MF_EMBED_PARTS", "one,two,tokens").split(",")
OURS = ("f32", "bf16", "int8")
CELL_S = 0.1  # of CPU time a turn, at least one pass over the cell's texts
SCALING_S = 0.5  # a second thread takes some passes to find its core
KEEP = 1.15  # a peer's way slower than the best by more is not run again
CALM_S = 0.1  # ONNX Runtime's threads spin a while after a run
CHAT_BATCHES = (1, 8, 32)
FIRST_ID = 1000
REFERENCE = Path(__file__).parent.parent / "tests" / "data" / "minilm_reference.json"
F32_TARGET = {"32x16": 3.5, "32x64": 3.5, "32x128": 3.5, "32x256": 3.5, "chat": 3.5}
INT8_TARGET = {"32x16": 1.5, "32x64": 1.7, "32x128": 1.9, "32x256": 1.9, "chat": 1.9}


def chat_lengths():
    """Log-normal, median 25 pieces, specials included."""
    z = numpy.random.default_rng(3).standard_normal(256)
    return [int(n) for n in numpy.clip(numpy.rint(25 * numpy.exp(z * 0.9)), 4, 256)]


def all_cells():
    cells = {f"32x{n}": [n] * 32 for n in (16, 64, 128, 256)}
    cells["1x16"] = [16]
    cells["chat"] = chat_lengths()
    wanted = os.environ.get("MF_EMBED_CELLS")
    return {k: v for k, v in cells.items() if wanted is None or k in wanted.split(",")}


# ---- ours

class Ours:
    def __init__(self, build, model, precision):
        self.process = subprocess.Popen([str(build / "bench" / "embed_rate"), model, precision],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        favour(self.process.pid)
        answer = self._line().split()
        if answer[:1] != ["ready"]:
            sys.exit(f"embed: embed_rate does not open {model} in {precision}")
        _, self.precision, self.kernel, self.isa, self.guard_min, _ = answer
        self.texts = None

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("embed: embed_rate ended early")
        return line

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._line()

    def run(self, lengths, threads, seconds=CELL_S):
        """(wall ms, CPU ms)"""
        if lengths != self.texts:
            self.ask("texts " + " ".join(map(str, lengths)))
            self.texts = lengths
        wall, cpu, _ = self.ask(f"run {threads} {seconds}").split()
        return float(wall), float(cpu)

    def ceiling(self):
        return float(self.ask("ceiling 0.01"))

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


# ---- ONNX Runtime

class Peer:
    def __init__(self, path, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options,
                                                    providers=["CPUExecutionProvider"])
        self.types = {i.name: numpy.int32 if "int32" in i.type else numpy.int64
                      for i in self.session.get_inputs()}

    def feed(self, texts):
        """Texts are lists of ids; shorter ones are padded."""
        ids = numpy.zeros((len(texts), max(map(len, texts))), numpy.int64)
        mask = numpy.zeros_like(ids)
        for i, text in enumerate(texts):
            ids[i, :len(text)] = text
            mask[i, :len(text)] = 1
        all_inputs = {"input_ids": ids, "attention_mask": mask,
                      "token_type_ids": numpy.zeros_like(ids)}
        return {k: all_inputs[k].astype(t) for k, t in self.types.items()}

    def states(self, feed):
        return self.session.run(None, feed)[0]

    def run(self, feeds):
        """(wall ms, CPU ms)"""
        walls, cpus = [], []
        while sum(cpus) < CELL_S * 1e3:
            wall, cpu = time.perf_counter(), time.process_time()
            for feed in feeds:
                self.states(feed)
            walls.append((time.perf_counter() - wall) * 1e3)
            cpus.append((time.process_time() - cpu) * 1e3)
        return median(walls), median(cpus)


def check_peer(path, peer):
    """A graph that computes something else must not be a peer."""
    bound = 1e-5 if "int8" not in path.name else 0.1
    bound = bound if "fast" not in path.name else max(bound, 1e-3)
    for text in json.loads(REFERENCE.read_text())["texts"]:
        ids = text["ids"]
        vector = peer.states(peer.feed([ids]))[0].mean(0)
        vector /= numpy.linalg.norm(vector)
        wanted = numpy.frombuffer(bytes.fromhex(text["vector"]), "<f4")
        off = float(abs(vector - wanted).max())
        if off > bound:
            sys.exit(f"embed: {path.name} is off by {off:.2g}: not the model that is measured")


def ways_of(lengths):
    """{name: lists of texts to run}"""
    rng = numpy.random.default_rng(1)
    texts = [rng.integers(FIRST_ID, 30000, n) for n in lengths]
    if len(set(lengths)) == 1:
        return {"": [texts]}
    texts.sort(key=len)
    return {f" by {n}": [texts[i:i + n] for i in range(0, len(texts), n)]
            for n in CHAT_BATCHES}


# ---- turns

class Table:
    """Times of every engine at one cell."""

    def __init__(self, lengths, threads, ours, peers):
        self.lengths, self.threads, self.ours = lengths, threads, ours
        self.classes = {}
        self.turns = {name: None for name in ours}
        for kind, graphs in peers.items():
            for name, peer in graphs.items():
                for way, batches in ways_of(lengths).items():
                    self.turns[f"ort {name}{way}"] = [peer, [peer.feed(b) for b in batches]]
                    self.classes[f"ort {name}{way}"] = kind
        self.times = {name: [] for name in self.turns}

    def turn(self, name):
        if name in self.ours:
            return self.own_turn(self.ours[name])
        peer, feeds = self.turns[name]
        took = peer.run(feeds)
        if self.threads > 1:
            time.sleep(CALM_S)
        return took

    def own_turn(self, own):
        """With the ceiling just before and just after: a core's speed changes all the time."""
        if self.threads > 1:
            return own.run(self.lengths, self.threads)
        before = own.ceiling()
        took = own.run(self.lengths, self.threads)
        return (*took, (before + own.ceiling()) / 2)

    def round(self, i):
        names = list(self.turns)
        for name in names[::-1] if i % 2 else names:
            self.times[name].append(self.turn(name))

    def drop_slow(self):
        """After the first look: only what may be the best goes on."""
        at = 0 if self.threads > 1 else 1
        for kind in set(self.classes.values()):
            mine = {n: self.times[n][-1][at] for n in self.turns if self.classes.get(n) == kind}
            for name, took in mine.items():
                if took > KEEP * min(mine.values()):
                    del self.turns[name]
        self.times = {name: [] for name in self.turns}

    def best(self, kind, at):
        names = [n for n in self.turns if self.classes.get(n) == kind]
        return min(names, key=lambda n: self.median(n, at))

    def median(self, name, at):
        return median([t[at] for t in self.times[name]])

    def share(self, name, config):
        """(operations a second, the ceiling, percent of it), in thousand millions"""
        work = sum(operations(self.lengths, config)) * 1e3
        rows = [(work / cpu, ceiling, 100 * work / cpu / ceiling if ceiling else 0)
                for _, cpu, ceiling in self.times[name]]
        return [median(column) for column in zip(*rows)]

    def ratio(self, slow, fast, at):
        return median([s[at] / f[at] for s, f in zip(self.times[slow], self.times[fast])])


def measure(cells, threads, ours, peers):
    """{cell: Table}, rounds through all cells so that no cell has a bad minute alone."""
    tables = {name: Table(lengths, threads, ours, peers) for name, lengths in cells.items()}
    for table in tables.values():
        table.round(0)
        table.drop_slow()
    for i in range(ROUNDS):
        for table in tables.values():
            table.round(i)
    return tables


def open_peers(graphs, threads):
    return {kind: {p.stem: Peer(p, threads) for p in paths} for kind, paths in graphs.items()}


# ---- telling

def print_table(tables, threads):
    rows = [("own " + p, p) for p in next(iter(tables.values())).ours]
    print(f"\n{threads} thread{'s' * (threads > 1)}: CPU ms / wall ms, medians of {ROUNDS} rounds")
    print(f"{'':12}" + "".join(f"{name:>18}" for name in tables))
    for title, name in rows:
        print(f"{title:12}" + "".join(
            f"{t.median(name, 1):9.2f}/{t.median(name, 0):8.2f}" for t in tables.values()))
    for kind in ("f32", "int8"):
        best = [t.best(kind, 0 if threads > 1 else 1) for t in tables.values()]
        print(f"{'ORT ' + kind:12}" + "".join(
            f"{t.median(b, 1):9.2f}/{t.median(b, 0):8.2f}"
            for b, t in zip(best, tables.values())))
        print(f"{'':12}" + "".join(f"{b.removeprefix('ort '):>18}" for b in best))


def print_ratios(tables, at):
    print(f"\n{'ratios, ' + ('CPU' if at else 'wall') + ' time':26}"
          + "".join(f"{n:>9}" for n in tables))
    lines = [("ORT f32 / own f32", "f32", "f32"), ("ORT f32 / own bf16", "f32", "bf16"),
             ("ORT f32 / own int8", "f32", "int8"), ("ORT int8 / own int8", "int8", "int8")]
    for title, kind, own in lines:
        if own in next(iter(tables.values())).ours:
            print(f"{title:26}" + "".join(
                f"{t.ratio(t.best(kind, at), own, at):9.2f}" for t in tables.values()))
    for own in ("bf16", "int8"):
        if own in next(iter(tables.values())).ours:
            print(f"{'own f32 / own ' + own:26}" + "".join(
                f"{t.ratio('f32', own, at):9.2f}" for t in tables.values()))


def operations(lengths, config):
    """(of the linear layers, of the attention), in thousand millions"""
    h, ffn, layers = (config[k] for k in ("hidden_size", "intermediate_size",
                                          "num_hidden_layers"))
    linear = sum(lengths) * layers * 2 * (4 * h * h + 2 * h * ffn)
    attention = sum(n * n for n in lengths) * layers * 4 * h
    return linear / 1e9, attention / 1e9


def print_shares(tables, ours, model):
    config = json.loads((Path(model) / "config.json").read_text())
    print("\nlinear layers and attention, thousand million operations a second, and the share of "
          "what the kernel's multiply instruction did on the same core just before and after")
    for name, own in ours.items():
        line = f"{own.kernel:16}"
        for cell, table in tables.items():
            rate, ceiling, share = table.share(name, config)
            line += f"  {cell} {rate:.0f}" + (f"/{ceiling:.0f} {share:.0f} %" if ceiling else "")
        print(line)


def one_thread(cells, ours, graphs, verdicts, model):
    tables = measure(cells, 1, ours, open_peers(graphs, 1))
    print_table(tables, 1)
    print_ratios(tables, 1)
    print_shares(tables, ours, model)
    print()
    for cell, table in tables.items():
        if cell not in F32_TARGET:
            continue
        f32, int8 = table.best("f32", 1), table.best("int8", 1)
        verdicts.say(f"{cell}: int8 against ORT f32, CPU", table.ratio(f32, "int8", 1), "x",
                     F32_TARGET[cell])
        verdicts.say(f"{cell}: int8 against ORT int8, CPU", table.ratio(int8, "int8", 1), "x",
                     INT8_TARGET[cell])
        verdicts.say(f"{cell}: f32 against ORT f32, CPU", table.ratio(f32, "f32", 1), "x", 1.0)
        if "bf16" in ours:
            verdicts.say(f"{cell}: bf16 against own f32, CPU", table.ratio("f32", "bf16", 1), "x",
                         1.9)
    share_verdict(tables, model, verdicts)


def share_verdict(tables, model, verdicts):
    if "32x64" not in tables:
        return
    config = json.loads((Path(model) / "config.json").read_text())
    _, ceiling, share = tables["32x64"].share("int8", config)
    if ceiling:
        verdicts.say("32x64: int8, share of the ceiling", share, "%", 85)


# ---- two threads

def two_threads(cells, ours, graphs, verdicts):
    favour(os.getpid())
    cells = {k: v for k, v in cells.items() if len(v) > 1}
    tables = measure(cells, 2, ours, open_peers(graphs, 2))
    print_table(tables, 2)
    print_ratios(tables, 0)
    print()
    for cell in ("32x64", "chat"):
        if cell in cells:
            say_scaling(cells[cell], cell, ours["int8"], verdicts)


def say_scaling(lengths, cell, own, verdicts):
    """One and two threads in turn. Where others want the cores, the fastest of each tells more
    than the median."""
    ones, twos = [], []
    for _ in range(4 * ROUNDS):
        ones.append(own.run(lengths, 1, SCALING_S))
        twos.append(own.run(lengths, 2, SCALING_S))
    costs = median([two[1] / one[1] for one, two in zip(ones, twos)])
    fastest = min(one[0] for one in ones) / min(two[0] for two in twos)
    print(f"{cell}: CPU time of two threads against one {costs:.3f}x; wall time of one against "
          f"two, the fastest of each {fastest:.2f}x")
    verdicts.say(f"{cell}: two threads against one, int8, wall",
                 median([one[0] / two[0] for one, two in zip(ones, twos)]), "x", 1.9)


# ---- the tokenizer

def sample_texts(folder):
    """Lines as in chats, most of them English; one of seven in other scripts."""
    rng = random.Random(5)
    texts = []
    for n in chat_lengths() * 8:
        words = text_of(rng, max(2, n * 4 // 5)).capitalize()
        texts.append(words + rng.choice([".", "?", "!", " :)"]))
    others = [t["text"] for t in json.loads(REFERENCE.read_text())["texts"]
              if t["text"] and "\n" not in t["text"]]
    texts += others * (len(texts) // len(others) // 7)
    path = Path(folder) / "texts"
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return texts, path


def own_rate(build, model, path):
    """(pieces a second, pieces)"""
    out = subprocess.run([build / "bench" / "bench_tokenize", model, path], check=True,
                         capture_output=True, text=True).stdout
    rate, pieces = re.search(r"^ids +([\d.]+) M pieces/s.*\((\d+) pieces", out, re.M).groups()
    return float(rate) * 1e6, int(pieces)


def peer_rate(encode, texts):
    began = time.process_time()
    n = sum(len(e.ids) for e in encode(texts))
    return n / (time.process_time() - began), n


def tokenizers(build, model, verdicts, folder):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import tokenizers as library

    texts, path = sample_texts(folder)
    peer = library.Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    peer.no_padding()
    peer.no_truncation()
    ratios, rates = [], []
    for _ in range(ROUNDS):
        mine, n = own_rate(build, model, path)
        theirs = [peer_rate(e, texts) for e in (peer.encode_batch, peer.encode_batch_fast)]
        if any(m != n for _, m in theirs):
            sys.exit(f"embed: {n} pieces against {theirs[0][1]} of the peer: not the same texts")
        rates.append((mine, max(rate for rate, _ in theirs)))
        ratios.append(rates[-1][0] / rates[-1][1])
    print(f"\ntokenizer: {len(texts)} texts, {n} pieces, one thread, CPU: own "
          f"{median([r[0] for r in rates]) / 1e6:.1f} M pieces/s, tokenizers "
          f"{library.__version__} {median([r[1] for r in rates]) / 1e6:.2f} M")
    verdicts.say("tokenizer against Hugging Face tokenizers, CPU", median(ratios), "x", 15)


# ---- all

def main(argv):
    usage = f"usage: {argv[0]} BUILD_DIR MODEL_DIR   (with BUILD_DIR/bench/embed_rate)"
    if len(argv) != 3 or not (Path(argv[1]) / "bench" / "embed_rate").exists():
        sys.exit(usage)
    build, model = Path(argv[1]).resolve(), argv[2]
    logging.disable(logging.WARNING)  # advice of the quantiser
    verdicts = Verdicts()
    with room() as folder:
        probe(folder)
        graphs = minilm_onnx.make_all(model, folder)
        for path in (p for paths in graphs.values() for p in paths):
            check_peer(path, Peer(path, 1))
        ours = {p: Ours(build, model, p) for p in OURS if p != "bf16" or has_bf16()}
        print(f"ONNX Runtime {onnxruntime.__version__}; own: " + ", ".join(
            f"{o.precision} {o.kernel} (least cosine of the guard {o.guard_min})"
            for o in ours.values()))
        cells = all_cells()
        print(f"chat: {len(chat_lengths())} texts, {sum(chat_lengths())} pieces")
        if "one" in PARTS:
            one_thread(cells, ours, graphs, verdicts, model)
        if "two" in PARTS:
            two_threads(cells, ours, graphs, verdicts)
        if "tokens" in PARTS:
            tokenizers(build, model, verdicts, folder)
        for own in ours.values():
            own.close()
        probe(folder)
    verdicts.end()


def has_bf16():
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text()


if __name__ == "__main__":
    main(sys.argv)
