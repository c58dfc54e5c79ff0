#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/minilm_reference.json: piece ids and the vectors that
sentence-transformers gives with the published all-MiniLM-L6-v2 weights, f32 on the CPU.

    python make_minilm_reference.py MODEL_FOLDER > ../data/minilm_reference.json
    python make_minilm_reference.py MODEL_FOLDER IDS OUT

The second form reads lines of piece ids and writes the float32 vectors of the model below
(for comparing more texts than the committed ones). That one is written from the definition
of BERT, computes in double and shares nothing with the engine; the first form refuses to
make a table from which it differs. Needs numpy, safetensors; the first form
sentence-transformers, too. Vectors in the table are little-endian float32 in hexadecimal.
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
AGREE = 1e-6

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
    "Yes.",
    "   spaces   everywhere\tand a tab\n\nand lines   ",
    "ALL CAPITALS, PLEASE!",
    "Ich hätte gern zwei Brötchen, aber ohne Butter; danke schön.",
    "Kan du skicka protokollet från mötet i fredags?",
    "Wczoraj wieczorem padał śnieg, a dziś świeci słońce.",
    "Dün akşam İstanbul'da hava çok güzeldi.",
    "Завтра мы идём в театр с бабушкой.",
    "شما فردا به مدرسه می‌روید؟",
    "ஆசிரியர் புத்தகத்தை வாசிக்கிறார்.",
    "ანა სკოლაში მიდის.",
    "Հայաստանի մայրաքաղաքը Երևանն է։",
    "አዲስ አበባ ትልቅ ከተማ ናት።",
    "東京タワーはとても高いですね。写真を撮りましょう！",
    "他昨天买了三本关于历史的书，还没开始看。",
    "x = [i ** 2 for i in range(10) if i % 3 != 0]  # squares",
    "Error: ENOENT: no such file or directory, open '/etc/app/config.yaml'",
    "https://example.org/search?q=memory&lang=en#results",
    "Meet me at 18:45, platform 9, coach B; ticket no. 4471-0093.",
    "∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−f(a)|<ε",
    "caf\u0065\u0301 na\u00efve r\u00e9sum\u00e9",
    "My doctor moved the appointment to next Tuesday, and my knee still hurts when I climb "
    "stairs, so I will take the lift until then.",
    "[CLS] looks like a special token [SEP] but the user typed it",
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
    import sentence_transformers
    import torch

    peer = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    weights = (folder / "model.safetensors").read_bytes()
    head = {
        "model": "all-MiniLM-L6-v2",
        "revision": hashlib.sha256(weights).hexdigest(),
        "made_by": f"sentence-transformers {sentence_transformers.__version__}, "
        f"torch {torch.__version__.split('+')[0]}",
    }
    rows = []
    for text in TEXTS:
        ids = peer.preprocess([text])["input_ids"][0].tolist()
        vector = peer.encode([text], normalize_embeddings=True)[0].astype("<f4")
        off = float(abs(vector - model.embed(ids)).max())
        if off > AGREE:
            sys.exit(f"{text!r}: differs from the model in double by {off:.2g}")
        rows.append({"text": text, "ids": ids, "vector": vector.tobytes().hex()})
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
