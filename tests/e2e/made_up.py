# SPDX-License-Identifier: Apache-2.0
"""A made-up sentence encoder that is quick and knows every word: random numbers, and words of pairs of letters, so that
texts which share letters are near each other. What an NPU needs for it: npu_artefacts DIR small."""
import json
import random
import string

from hub_kit import bert_shapes, bert_texts, safetensors

HIDDEN, FFN, N_POSITIONS = 64, 128, 256
LETTERS = string.ascii_lowercase + string.digits
PIECES = [*LETTERS, *(a + b for a in LETTERS for b in LETTERS)]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *PIECES, *("##" + p for p in PIECES)]
SPREAD = {"word": 1.0, "position": 0.05}  # the numbers of embeddings


def numbers(name, _, n):
    if name.endswith("LayerNorm.weight"):
        return [1.0] * n
    if name.endswith("bias"):
        spread = 0.02
    else:
        spread = next((s for word, s in SPREAD.items() if word in name), 0.05)
    rng = random.Random(name)
    return [rng.gauss(0, spread) for _ in range(n)]


def write(folder):
    texts = bert_texts(len(WORDS), HIDDEN, FFN, N_POSITIONS, N_POSITIONS)
    files = {path: json.dumps(text).encode() for path, text in texts.items()}
    files["vocab.txt"] = "".join(word + "\n" for word in WORDS).encode()
    files["model.safetensors"] = safetensors(bert_shapes(len(WORDS), HIDDEN, FFN, N_POSITIONS), numbers)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
