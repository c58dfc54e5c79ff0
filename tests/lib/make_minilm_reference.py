#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/minilm_reference.json: piece ids and the vectors that the published
all-MiniLM-L6-v2 weights give in double precision, rounded to float32.

    python make_minilm_reference.py MODEL_FOLDER > ../data/minilm_reference.json
    python make_minilm_reference.py MODEL_FOLDER IDS OUT

The second form reads lines of piece ids and writes float32 vectors (for comparing more
texts than the committed ones). Needs numpy, safetensors; the first form tokenizers, too.
Written from the definition of BERT; shares nothing with the engine. Vectors in the table
are little-endian float32 in hexadecimal.
"""
import hashlib
import json
import math
import pathlib
import sys

import numpy
from safetensors.numpy import load_file

HEADS = 12
EPS = 1e-12

TEXTS = [
    "The cat sat on the mat.",
    "hello",
    "",
    "Where did I leave the keys of the summer house?",
    "Der Zug nach Wien fährt um sieben Uhr früh ab.",
    "Où est passée la clé de la maison de campagne ?",
    "El perro corre por la playa todas las mañanas.",
    "Счёт за электричество нужно оплатить до пятницы.",
    "Η γιαγιά φυτεύει ντομάτες στον κήπο.",
    "明天下午三点在图书馆见面。",
    "来週の会議は水曜日に変更されました。",
    "내일은 비가 올 것 같으니 우산을 챙기세요.",
    "القطة نائمة على الأريكة.",
    "החתול ישן על הספה.",
    "कल सुबह मैं बाज़ार जाऊँगा।",
    "แมวนอนหลับอยู่บนโซฟา",
    "Con mèo đang ngủ trên ghế sô pha.",
    "if (n == 0) { return MF_EINVAL; } /* nothing to do */",
    "SELECT name, count(*) FROM orders WHERE total > 99.95 GROUP BY name;",
    "🎉 party at 8pm 🍕 bring friends!!! 😀😀😀",
    "3.14159 2.71828 1.41421 1e-9 0x7fff 192.168.0.1",
    "My sister is allergic to nuts, so please do not put almonds into the cake. "
    "She likes lemon, though, and anything with poppy seeds.",
    "wordpiecesplitting antidisestablishmentarianism xylophonquartz",
    "Long: " + "the committee met again and postponed the decision about the bridge "
    "over the river because nobody had brought the drawings. " * 14,
]

ERF = numpy.vectorize(math.erf, otypes=[numpy.float64])


class Model:
    """Post-norm BERT with mean pooling and unit length, in double."""

    def __init__(self, folder: pathlib.Path) -> None:
        raw = load_file(folder / "model.safetensors")
        self.w = {k: v.astype(numpy.float64) for k, v in raw.items() if v.dtype.kind == "f"}
        self.layers = 1 + max(int(k.split(".")[2]) for k in self.w if ".layer." in k)

    def norm(self, x, name):
        d = x - x.mean(-1, keepdims=True)
        d /= numpy.sqrt((d * d).mean(-1, keepdims=True) + EPS)
        return d * self.w[name + ".LayerNorm.weight"] + self.w[name + ".LayerNorm.bias"]

    def dense(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def attention(self, x, name):
        n, width = x.shape
        q, k, v = (
            self.dense(x, f"{name}.self.{part}").reshape(n, HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        s = q @ k.transpose(0, 2, 1) / math.sqrt(width / HEADS)
        p = numpy.exp(s - s.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        y = (p @ v).transpose(1, 0, 2).reshape(n, width)
        return self.norm(x + self.dense(y, name + ".output.dense"), name + ".output")

    def embed(self, ids):
        at = "embeddings."
        x = self.w[at + "word_embeddings.weight"][ids]
        x = x + self.w[at + "position_embeddings.weight"][: len(ids)]
        x = self.norm(x + self.w[at + "token_type_embeddings.weight"][0], "embeddings")
        for i in range(self.layers):
            name = f"encoder.layer.{i}"
            x = self.attention(x, name + ".attention")
            y = self.dense(x, name + ".intermediate.dense")
            y = 0.5 * y * (1 + ERF(y / math.sqrt(2)))
            x = self.norm(x + self.dense(y, name + ".output.dense"), name + ".output")
        mean = x.mean(0)
        return (mean / math.sqrt((mean * mean).sum())).astype("<f4")


def embed_file(model: Model, ids: str, out: str) -> None:
    with open(ids, encoding="ascii") as lines, open(out, "wb") as vectors:
        for line in lines:
            vectors.write(model.embed([int(i) for i in line.split()]).tobytes())


def table(model: Model, folder: pathlib.Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=256)
    weights = (folder / "model.safetensors").read_bytes()
    head = {"model": "all-MiniLM-L6-v2", "revision": hashlib.sha256(weights).hexdigest()}
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        rows.append({"text": text, "ids": ids, "vector": model.embed(ids).tobytes().hex()})
    print(json.dumps(head)[:-1] + ', "texts": [')
    print(",\n".join(json.dumps(r, ensure_ascii=False) for r in rows))
    print("]}")


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    model = Model(folder)
    if len(sys.argv) > 3:
        embed_file(model, sys.argv[2], sys.argv[3])
    else:
        table(model, folder)


main()
