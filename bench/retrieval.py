# SPDX-License-Identifier: Apache-2.0
"""What a reduced precision costs in finding things: descriptions of Debian packages, asked for
by their one-line summaries.

    retrieval.py BUILD_DIR MODEL_DIR [FILE]     with BUILD_DIR/bench/embed_vectors

FILE: a Translation-en file of apt or anything else with "Package:" and "Description:" records;
else apt's own, where it keeps one, else /var/lib/dpkg/status (the packages installed here).
MRR@10: the mean over summaries of 1/rank of their own description among all, 0 beyond the
tenth. MF_RETRIEVAL_PACKAGES (default 4000)."""
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy

from rig import Verdicts

PACKAGES = int(os.environ.get("MF_RETRIEVAL_PACKAGES", "4000"))
RECORD = re.compile(r"^Description(?:-en)?: (.*)\n((?: .*\n?)*)", re.M)
MIN_SUMMARY, MIN_TEXT, MAX_TEXT = 15, 120, 1500
CUT = 10
MIN_PACKAGES = 200
LOSS = 0.5  # points


def find_file(argv):
    if len(argv) > 3:
        return Path(argv[3])
    lists = sorted(Path("/var/lib/apt/lists").glob("*_Translation-en"))
    return max(lists, key=lambda p: p.stat().st_size, default=Path("/var/lib/dpkg/status"))


def pairs(path):
    """[(summary, description)]: no two alike"""
    seen, out = set(), []
    for record in path.read_text("utf-8").split("\n\n"):
        found = RECORD.search(record)
        if found is None:
            continue
        summary = found.group(1).strip()
        lines = (line.strip() for line in found.group(2).split("\n"))
        text = " ".join(line for line in lines if line not in ("", "."))
        if len(summary) < MIN_SUMMARY or len(text) < MIN_TEXT or {summary, text[:80]} & seen:
            continue
        seen |= {summary, text[:80]}
        out.append((summary, text[:MAX_TEXT]))
    random.Random(11).shuffle(out)
    return out[:PACKAGES]


def vectors(build, model, precision, texts):
    """(what the probe says of itself, n x dim)"""
    raw = [t.encode() for t in texts]
    data = b"".join(b"%d\n%s" % (len(t), t) for t in raw)
    out = subprocess.run([str(build / "bench" / "embed_vectors"), model, precision], input=data,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    head, _, rows = out.partition(b"\n")
    dim = int(head.split()[0])
    table = numpy.frombuffer(rows, "<f4").reshape(len(texts), 2 + dim)
    if table[:, 0].any():
        sys.exit(f"retrieval: a text failed in {precision}")
    return head.decode().split(), table[:, 2:]


def mrr(queries, documents):
    """In points of a hundred"""
    scores = queries @ documents.T
    own = scores.diagonal()
    rank = 1 + (scores > own[:, None]).sum(axis=1)
    return 100 * float(numpy.where(rank <= CUT, 1 / rank, 0).mean())


def main(argv):
    if len(argv) < 3 or not (Path(argv[1]) / "bench" / "embed_vectors").exists():
        sys.exit(f"usage: {argv[0]} BUILD_DIR MODEL_DIR [FILE]")
    build, model, path = Path(argv[1]).resolve(), argv[2], find_file(argv)
    v = Verdicts()
    found = pairs(path)
    print(f"{len(found)} packages of {path}")
    if len(found) < MIN_PACKAGES:
        sys.exit(f"retrieval: fewer than {MIN_PACKAGES} say nothing; name a Translation-en file")
    texts = [summary for summary, _ in found] + [text for _, text in found]
    flags = Path("/proc/cpuinfo").read_text()
    scores = {}
    for precision in ["f32", "int8"] + ["bf16"] * ("avx512_bf16" in flags):
        head, table = vectors(build, model, precision, texts)
        scores[precision] = mrr(table[:len(found)], table[len(found):])
        if precision == "f32":
            exact = table
        cosine = (table * exact).sum(axis=1)
        print(f"{' '.join(head[1:3]):32} MRR@{CUT} {scores[precision]:.2f}, cosine to f32: least "
              f"{cosine.min():.5f}, mean {cosine.mean():.5f}")
    for precision in list(scores)[1:]:
        v.say(f"{precision}: points of MRR@{CUT} lost against f32",
              scores["f32"] - scores[precision], "points", LOSS, at_most=True)
    v.end()


if __name__ == "__main__":
    main(sys.argv)
