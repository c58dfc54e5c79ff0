#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/tokenizer/unicode_table.c: what Hugging Face `tokenizers` knows of Unicode.

make_unicode_table.py [--check]    needs the package of tests/e2e/requirements.txt

BERT's normaliser rests on three tables of three ages inside that library, and no Unicode
library agrees with all of them. So each code point is asked of the library itself. With
--check nothing is written; the exit status is 1 when the file says something else.
"""
import sys
import unicodedata
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

TARGET = Path(__file__).resolve().parent.parent / "src/tokenizer/unicode_table.c"
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)

CLEAN = normalizers.BertNormalizer(True, False, False, False).normalize_str
CJK = normalizers.BertNormalizer(False, True, False, False).normalize_str
STRIP = normalizers.BertNormalizer(False, False, True, False).normalize_str
LOWER = normalizers.BertNormalizer(False, False, False, True).normalize_str
NFD = normalizers.NFD().normalize_str
WORDS = pre_tokenizers.BertPreTokenizer().pre_tokenize_str


def runs(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def combining_classes():
    """code point -> combining class of the first of what it decomposes to, if not 0"""
    samples = {}
    for c in POINTS:
        k = unicodedata.combining(chr(c))
        if k and k not in samples and NFD(chr(c)) == chr(c):
            early, late = "\u0334" + chr(c), chr(c) + "\u0345"  # classes 1 and 240
            if (k == 1 or NFD(chr(c) + "\u0334") == early) and (k == 240 or NFD("\u0345" + chr(c)) == late):
                samples[k] = chr(c)

    def is_class(first, k):
        s = samples[k]
        return NFD(first + s) == first + s and NFD(s + first) == s + first

    classes = {}
    for c in POINTS:
        if c in HANGUL:
            continue
        first = NFD(chr(c))[0]
        if NFD(first + "\u0334") == first + "\u0334" and NFD("\u0345" + first) == "\u0345" + first:
            continue  # stands where it is put: no combining class
        guess = unicodedata.combining(first)
        order = ([guess] if guess in samples else []) + sorted(samples)
        classes[c] = next(k for k in order if is_class(first, k))
    return classes


def ask():
    t = {"dropped": [], "blanks": [], "puncts": [], "cjk": [], "marks": [], "several": {}, "bases": {}, "lower": {}}
    for c in POINTS:
        h = chr(c)
        clean, n_words, base, low = CLEAN("a" + h + "b"), len(WORDS("a" + h + "b")), STRIP(h), LOWER(h)
        if clean == "ab":
            t["dropped"].append(c)
        if n_words == 2:
            t["blanks"].append(c)
        elif n_words == 3:
            t["puncts"].append(c)
        assert clean == "ab" or (clean == "a b") == (n_words == 2), hex(c)
        if CJK(h) != h:
            assert CJK(h) == " " + h + " "
            t["cjk"].append(c)
        if base == "":
            t["marks"].append(c)
        elif len(base) > 1 and c not in HANGUL:
            t["several"][c] = base
        elif base != h and c not in HANGUL:
            t["bases"][c] = ord(base)
        if len(low) == 1 and low != h:
            t["lower"][c] = ord(low)
        assert len(low) == 1 or c == 0x130, hex(c)
    check_assumptions(t)
    return t


def check_assumptions(t):
    """what normalise.c takes for granted"""
    puncts, blanks = set(t["puncts"]), set(t["blanks"])
    for c in HANGUL:
        i = c - 0xAC00
        parts = [0x1100 + i // 588, 0x1161 + i % 588 // 28] + ([0x11A7 + i % 28] if i % 28 else [])
        assert STRIP(chr(c)) == "".join(map(chr, parts))
    for base in t["several"].values():
        assert all(ord(x) not in puncts | blanks and LOWER(x) == x for x in base) and len(base) <= 3
    for c, base in t["bases"].items():
        assert (base in blanks) == (c in blanks)
    assert not set(t["cjk"]) & set(t["several"])
    assert not {t["lower"][c] for c in t["lower"]} & (puncts | blanks)
    assert LOWER("\u0130") == "i\u0307"


def dense(points, gap):
    """pieces [first, last] of ascending points with at most `gap` others between two"""
    out = []
    for c in points:
        if out and c - out[-1][1] <= gap + 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def lower_rows(m):
    rows = []  # first, last, step, to: each step-th of first..last is `to - first` further
    for c, to in sorted(m.items()):
        if rows:
            first, last, step, head = rows[-1]
            if to - c == head - first and (c - last == step or (first == last and c - last == 2)):
                rows[-1] = (first, c, c - last, head)
                continue
        rows.append((c, c, 1, to))
    return rows


def num(c):
    return "%d" % c if c < 10 else "0x%X" % c


def block(kind, name, words):
    lines, line = [], "   "
    for w in words:
        if len(line) + len(w) + 2 > 88:
            lines.append(line)
            line = "   "
        line += " " + w + ","
    return "const %s mf_uni_%s[] = {\n%s\n};\nconst size_t mf_uni_n_%s = mf_countof(mf_uni_%s);\n" % (
        kind, name, "\n".join(lines + [line]), name, name)


def row(*values):
    return "{" + ", ".join(num(v) for v in values) + "}"


def text_of(t, classes):
    parts = ["""/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about code points as the peer library has them: tools/make_unicode_table.py
 * asks it and writes this file. Read unicode_table.h for what they mean.
 */
#include "tokenizer/unicode_table.h"

/* clang-format off */
"""]
    for name in ("dropped", "blanks", "puncts", "cjk", "marks"):
        parts.append(block("struct mf_uni_range", name, [row(*r) for r in runs(t[name])]))
    ordered = []
    for c, k in sorted(classes.items()):
        if ordered and ordered[-1][1] == c - 1 and ordered[-1][2] == k:
            ordered[-1][1] = c
        else:
            ordered.append([c, c, k])
    parts.append(block("struct mf_uni_order", "orders", [row(*r) for r in ordered]))
    parts.append(block("struct mf_uni_lower", "lowers", [row(*r) for r in lower_rows(t["lower"])]))
    pieces, targets = [], []
    for first, last in dense(sorted(t["bases"]), 1):
        pieces.append(row(first, last, len(targets)))
        targets += [t["bases"].get(c, 0) for c in range(first, last + 1)]
    parts.append(block("struct mf_uni_bases", "bases", pieces))
    parts.append(block("uint32_t", "base", [num(c) for c in targets]))
    parts.append(block("struct mf_uni_several", "several", [
        "{%s, %d, %s}" % (num(c), len(s), row(*(ord(x) for x in s))) for c, s in sorted(t["several"].items())]))
    parts.append("/* clang-format on */\n")
    return "\n".join(parts)


def main():
    text = text_of(ask(), combining_classes())
    if sys.argv[1:] == ["--check"]:
        if TARGET.read_text() != text:
            print("%s is not what the library says: run tools/make_unicode_table.py" % TARGET)
            return 1
        return 0
    TARGET.write_text(text)
    print("%s: %d bytes" % (TARGET, len(text)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
