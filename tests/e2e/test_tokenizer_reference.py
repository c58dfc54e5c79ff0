# SPDX-License-Identifier: Apache-2.0
"""The tokenizer against Hugging Face `tokenizers`: ids, byte offsets, truncation, counts.

MF_TOKENIZE_PROBE is the path of the program built from tests/lib/tokenize_probe.c. The
vocabulary is made here; MEMFUSE_TEST_MODEL, the folder of a model, adds a real one.
"""
import itertools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

PROBE = os.environ.get("MF_TOKENIZE_PROBE")
MODEL = os.environ.get("MEMFUSE_TEST_MODEL")
N_STRINGS = int(os.environ.get("MF_TOKENIZE_STRINGS", "24000"))
SPECIAL, LEFT, COUNT = 1, 2, 4
NO_BOUND = 1 << 16
WORDS = """the of and to in is was for on with as by at from it an be or that are this has not but play playing player
unbelievable recommendation tokenization internationalization running station don t ll 2023 99 3rd mp3 x-ray e.g. U.S. C++ C#
user@example.org https://example.org/a?b=c&d=1#e file_name.txt $9.99 50% (well) "quoted" [SEP] [CLS] [MASK] [UNK] [PAD]""".split()
SCRIPTS = ["abcdefghij ", "ABCDEFXYZ", " .,!?-_;:'\"()[]{}<>#@$%^&*+=|~`/\\", "0123456789", "\u00e9\u00e0\u00fc\u00df\u00f1\u00e7\u00c5\u0141\u0111\u0130\u0131\u017f",
           "\u4e2d\u6587\u5b57\u56fd\u4eba\u3400\U00020000\uf900\U0002f800", "\u65e5\u672c\u8a9e\u30ab\u30ca\u304c\u3071\u30fc\u3002\u300c\u300d",
           "\ud55c\uad6d\uc5b4\uac00\ub098\ub2e4", "\u043f\u0440\u0438\u0432\u0435\u0442\u0419\u0451\u0407", "\u0645\u0631\u062d\u0628\u0627\u064b\u0651\u0670\u06d4\u060c",
           "\u0301\u0302\u0323\u0327\u0338\u0345", "\ufb01\u2460\u338f\u2167\u2122\u212b\u212a\u2126", "\U0001f600\U0001f44d\U0001f3fd\u200d\ufe0f\U0001f1e9\U0001f1ea",
           "\u00a0\u2003\u3000\u2028\u200b\u00ad\ufeff\t\n\r", "\u0939\u093f\u0928\u094d\u0926\u0940\u0921\u093c", "\u0391\u03a3\u03c2\u03ac\u1f80\u1fc1",
           "\u05e9\u05dc\u05d5\u05dd\u05b8\u05bc", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0b95\u0bca\u0bcb\u0ddc\u09cb", "\x00\x01\x7f\x85\x0b\x0c\ufffd\ue000\U000f0000",
           "\U0001d15f\U0001d160\u302e\u1b44\u0f73\u0344", "\U0001d400\U00010400\U0001e900\U0001e944"]


def code_points():
    return [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def letters_of(text):
    return [c for c in text if not c.isspace()]


def synthetic_vocab():
    rng = random.Random(7)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    chars = [chr(c) for c in range(33, 127)] + letters_of("".join(SCRIPTS))
    chars += [c for c in code_points() if rng.random() < 0.1 and not c.isspace()]
    jamo = [chr(c) for c in range(0x1100, 0x1200)]
    words = [w.lower() for w in WORDS if w.isalnum()]
    ends = [w[i:] for w in words for i in range(1, len(w))] + ["cd", "d", "bcd"]
    starts = [w[:i] for w in words for i in range(1, len(w))] + ["ab", "a"]
    pieces += chars + jamo + words + starts + ["##" + c for c in chars + jamo + ends]
    return {p: i for i, p in enumerate(dict.fromkeys(pieces))}


SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def token(vocab, content, **flags):
    out = dict(id=vocab.get(content, -1), content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    out.update(flags)
    return out


def tokenizer_json(vocab, added=None, **flags):
    normalizer = dict(type="BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    normalizer.update(flags)
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": added or [token(vocab, s) for s in SPECIALS],
        "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", vocab["[SEP]"]], "cls": ["[CLS]", vocab["[CLS]"]]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
    }


class Peer:
    def __init__(self, folder):
        self.folder = folder
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def encode(self, texts, special=True):
        return self.tokenizer.encode_batch(texts, add_special_tokens=special)


def made(folder, document):
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return Peer(folder)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    return made(tmp_path_factory.mktemp("synthetic"), tokenizer_json(synthetic_vocab()))


@pytest.fixture(scope="module", params=["synthetic", "real"])
def peer(request, synthetic):
    if request.param == "synthetic":
        return synthetic
    if not MODEL:
        pytest.skip("MEMFUSE_TEST_MODEL names no folder of a model: the made vocabulary was compared")
    return Peer(Path(MODEL))


def probe(folder, texts, flags=SPECIAL | COUNT, cap=NO_BOUND):
    """[(returned, n_bytes, [(id, start, end)])] of each text"""
    data = b"".join(b"%d %d %d\n" % (flags, cap, len(t)) + t for t in texts)
    run = subprocess.run([PROBE, str(folder)], input=data, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    words, at, out = struct.unpack("%dI" % (len(run.stdout) // 4), run.stdout), 0, []
    for _ in texts:
        returned, n_bytes, n = words[at:at + 3]
        triples = words[at + 3:at + 3 + 3 * n]
        out.append((returned, n_bytes, list(zip(triples[::3], triples[1::3], triples[2::3]))))
        at += 3 + 3 * n
    assert at == len(words)
    return out


def expected(text, encoding):
    """ids with offsets in bytes"""
    at = [0] + list(itertools.accumulate(len(c.encode()) for c in text))
    return [(i, at[a], at[b]) for i, (a, b) in zip(encoding.ids, encoding.offsets)]


def differences(peer, texts, special=True):
    flags = COUNT | (SPECIAL if special else 0)
    bad = []
    for text, theirs, ours in zip(texts, peer.encode(texts, special), probe(peer.folder, [t.encode() for t in texts], flags)):
        want = expected(text, theirs)
        if ours != (len(want), len(text.encode()), want):
            bad.append((text, want, ours))
    return bad


def must_equal(peer, texts, special=True):
    bad = differences(peer, texts, special)
    bad.sort(key=lambda b: len(b[0]))
    shown = "\n".join("%s\n  want %s\n  have %s" % (ascii(t), w, o) for t, w, o in bad[:5])
    assert not bad, "%d of %d differ:\n%s" % (len(bad), len(texts), shown)
    print("%d strings, 0 differences" % len(texts))


def mixed(seed, n):
    rng = random.Random(seed)
    out = []
    for _ in range(n):
        parts = []
        for _ in range(rng.choice([1, 3, 10, 30, 60])):
            kind = rng.random()
            if kind < 0.35:
                w = rng.choice(WORDS)
                parts += [rng.choice([w, w, w.upper(), w.capitalize(), w * 3]), rng.choice([" ", " ", " ", "", ", ", ".\n"])]
            elif kind < 0.97:
                pool = rng.choice(SCRIPTS)
                parts += [rng.choice(pool) for _ in range(rng.choice([1, 1, 2, 5]))]
            elif kind < 0.99:
                parts.append(chr(rng.choice([rng.randrange(0x20, 0x3000), rng.randrange(0x10000, 0x1FFFF), rng.randrange(0xE000, 0x10FFFF)])))
            else:
                parts.append(rng.choice(["a", "Z", "\u00e9", "e\u0301", "\ud55c", "\u0130"]) * rng.choice([32, 33, 34, 49, 50, 51, 99, 100, 101, 250]))
        out.append("".join(parts))
    return out


def test_mixed_scripts_are_cut_alike(peer):
    must_equal(peer, mixed(1, N_STRINGS))
    must_equal(peer, mixed(2, 2000), special=False)


def must_equal_joined(peer, words):
    """many words in one text each, since a call has its price; what differs is shown alone"""
    groups = [words[i:i + 500] for i in range(0, len(words), 500)]
    bad = {d[0] for d in differences(peer, [" ".join(g) for g in groups])}
    for group in groups:
        if " ".join(group) in bad:
            must_equal(peer, [" " + w + " " for w in group])
    assert not bad, "they differ only together: %s" % ascii(bad)
    print("%d words, 0 differences" % len(words))


def test_each_code_point_is_cut_alike(peer):
    must_equal_joined(peer, ["ab" + c + "cd" for c in code_points()])
    must_equal_joined(peer, code_points())


@pytest.mark.parametrize("clean,cjk,strip,lower", itertools.product([True, False], [True, False], [True, False, None], [True, False]))
def test_every_flag_is_read_alike(tmp_path, clean, cjk, strip, lower):
    flags = dict(clean_text=clean, handle_chinese_chars=cjk, strip_accents=strip, lowercase=lower)
    peer = made(tmp_path, tokenizer_json(synthetic_vocab(), **flags))
    must_equal(peer, mixed(3, 1000))
    must_equal_joined(peer, ["ab" + chr(c) + "cd" for c in itertools.chain(range(0x3100), range(0xAC00, 0xAC40), range(0xF900, 0x10000))])


ADDED = ["[SEP]", " [x]", "<mask>", "<m", "new", "n\u00e9V", "\u4e2d", "ha\u1112", "\ud558", "a b", "..", "\u00bfq?"]


@pytest.mark.parametrize("lstrip,rstrip,normalized", itertools.product([True, False], repeat=3))
def test_added_tokens_are_taken_out_alike(tmp_path, lstrip, rstrip, normalized):
    vocab = synthetic_vocab()
    free = itertools.count(len(vocab))
    added = [token(vocab, s) for s in SPECIALS if s not in ADDED]
    for i, content in enumerate(ADDED):
        k = token(vocab, content, lstrip=lstrip, rstrip=rstrip, normalized=normalized, special=i % 2 == 0)
        k["id"] = vocab[content] if content in vocab else next(free)
        added.append(k)
    peer = made(tmp_path, tokenizer_json(vocab, added))
    rng = random.Random(9)
    glue = [" ", "  ", "\t", "\u00a0", "\u200b", "\x85", "", "", "x", "\u00e9", "\u6587", "\ud55c", ".", "\u0301", "\u302e", "\n "]
    texts = []
    for _ in range(4000):
        parts = [rng.choice([rng.choice(ADDED), rng.choice(ADDED).upper(), rng.choice(WORDS), rng.choice(glue), rng.choice(glue)]) for _ in range(rng.choice([1, 2, 4, 9]))]
        texts.append("".join(parts))
    must_equal(peer, texts)


@pytest.mark.parametrize("flags", [0, SPECIAL, LEFT, LEFT | SPECIAL])
def test_truncation_is_the_references(synthetic, flags):
    texts = mixed(4, 400)
    whole = [expected(t, e) for t, e in zip(texts, synthetic.encode(texts, False))]
    head, tail = ([(synthetic.tokenizer.token_to_id(s), 0, 0)] for s in ("[CLS]", "[SEP]"))
    for cap in (0, 1, 2, 3, 4, 7, 20, 100):
        room = max(0, cap - (2 if flags & SPECIAL else 0))
        counted = probe(synthetic.folder, [t.encode() for t in texts], flags | COUNT, cap)
        bounded = probe(synthetic.folder, [t.encode() for t in texts], flags, cap)
        if room:
            synthetic.tokenizer.enable_truncation(max_length=cap, direction="left" if flags & LEFT else "right")
            theirs = synthetic.encode(texts, bool(flags & SPECIAL))
            synthetic.tokenizer.no_truncation()
        for i, (text, all_) in enumerate(zip(texts, whole)):
            kept = all_[max(0, len(all_) - room):] if flags & LEFT else all_[:room]
            is_cut = len(all_) > room
            want = (head + kept + tail)[:cap] if room else (head + tail)[:cap]
            want = want if flags & SPECIAL else kept
            total = len(all_) + (2 if flags & SPECIAL else 0)
            n = len(text.encode())
            reach = n if not is_cut else 0 if not kept else n - kept[0][1] if flags & LEFT else kept[-1][2]
            assert counted[i] == (total, reach, want), (cap, text)
            assert bounded[i] == (total if total == len(want) else len(want) + 1, reach, want), (cap, text)
            if room:
                assert expected(text, theirs[i]) == want


def test_damaged_utf8_reads_as_the_replacement_character(synthetic):
    rng = random.Random(5)
    texts = []
    for text in mixed(6, 2000):
        raw = bytearray(text.encode())
        for _ in range(1 + len(raw) // 20):
            raw[rng.randrange(len(raw)):][:1] = b""
            raw.insert(rng.randrange(len(raw) + 1), rng.randrange(0x80, 0x100))
        texts.append(bytes(raw))
    repaired = [t.decode(errors="replace") for t in texts]
    ours = probe(synthetic.folder, texts)
    for raw, text, theirs, (returned, n_bytes, pieces) in zip(texts, repaired, synthetic.encode(repaired), ours):
        assert [p[0] for p in pieces] == theirs.ids, raw
        assert n_bytes == len(raw) and returned == len(pieces)


def test_vocab_txt_reads_as_tokenizer_json(synthetic, tmp_path):
    vocab = synthetic_vocab()
    texts = [t.encode() for t in mixed(8, 3000)]
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocab, key=vocab.get)) + "\n", newline="")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "tokenizer_class": "BertTokenizer", "strip_accents": None}))
    assert probe(tmp_path, texts) == probe(synthetic.folder, texts)
    if MODEL:
        shutil.copy(Path(MODEL) / "vocab.txt", tmp_path)
        shutil.copy(Path(MODEL) / "tokenizer_config.json", tmp_path)
        assert probe(tmp_path, texts) == probe(Path(MODEL), texts)


def test_the_table_of_characters_is_what_the_library_says():
    script = Path(__file__).resolve().parents[2] / "tools/make_unicode_table.py"
    run = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
