#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_tokenize beside Hugging Face `tokenizers`: same vocabulary, same texts, one thread.

tokenize_peer.py BENCH_TOKENIZE FOLDER TEXT    needs the package; TEXT has one text a line

The peer runs encode_batch (its fastest call) without its threads; CPU time, alternating
rounds, the best of each.
"""
import os
import re
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

ROUNDS = 3


def main():
    program, folder, path = sys.argv[1:4]
    peer = Tokenizer.from_file(folder + "/tokenizer.json")
    peer.no_truncation()
    peer.no_padding()
    with open(path, encoding="utf-8", newline="") as f:
        texts = f.read().removesuffix("\n").split("\n")
    n_bytes, theirs, ours = os.path.getsize(path), {}, {}
    for _ in range(ROUNDS):
        for name, encode in (("encode_batch", peer.encode_batch), ("encode_batch_fast", peer.encode_batch_fast)):
            start, n = time.process_time(), 0
            for i in range(0, len(texts), 1000):
                n += sum(len(e.ids) for e in encode(texts[i:i + 1000]))
            theirs[name] = max(theirs.get(name, 0), n / (time.process_time() - start) / 1e6)
        out = subprocess.run([program, folder, path], capture_output=True, text=True, check=True).stdout
        for name, rate, count in re.findall(r"^(ids|with offsets) +([\d.]+) M pieces/s.*\((\d+) pieces", out, re.M):
            assert int(count) == n, "the peer has %d pieces, bench_tokenize %s" % (n, count)
            ours[name] = max(ours.get(name, 0), float(rate))
    print("%d texts, %.1f MB, %d pieces" % (len(texts), n_bytes / 1e6, n))
    for a, b in (("with offsets", "encode_batch"), ("ids", "encode_batch_fast")):
        print("%-12s %6.2f M pieces/s, %s %.2f: %.1fx" % (a, ours[a], b, theirs[b], ours[a] / theirs[b]))
    print("load average %.2f %.2f %.2f" % os.getloadavg())


if __name__ == "__main__":
    main()
