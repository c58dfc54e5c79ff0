# SPDX-License-Identifier: Apache-2.0
"""The recall module against the plain program in tests/lib/recall_reference.py.

MF_RECALL_PROBE is the path of the program built from tests/lib/recall_probe.c.
"""
import calendar
import json
import math
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
import recall_reference as ref  # noqa: E402

PROBE = os.environ.get("MF_RECALL_PROBE")
ROLES = ["user", "assistant", "system"]
SPACE, OTHER_SPACE = 77, 78
NAMES = [("Ada Byron", "Zoe"), ("Tom", "Tom"), ("user", "bot"), ("", "Melanie K."), ("Zoë", "Émile"),
         ("Ann", "Anna"), ("Bo", "Max"), ("J\u00f6rg_2", "agent"), ("Carol9", "3PO"), ("Ma\u017fk", "A\u0130da")]
TOPICS = """bicycle bicycles station repair repaired repairing recommend recommendation hiking hikes dog dogs puppies
music guitars painting paintings museum doctor meeting agreed happily national nationality generalizations oscillators relational conditional
hopping hoped filing failing sized skies dying lying flies 2023 1999 20 3rd mp3 x y c3po""".split()
GLUE = """I you my your the a did do have had when what was were say said suggested suggest told tell advice recommendation that this
not no yours mine me about before and of to in on for""".split()
TIMES = """yesterday today tonight ago last next week weekend month year recently just Monday sunday January may May march March August
2021 2023 2099 20 since summer morning 1999 20215""".split()
ODD = ["caf\u00e9", "na\u00efve", "\u4f60\u597d", "Z\u00fcrich", "\u00fcber", "\u017fince", "la\u017ft", "\u0130", "\u212aing", "20\u0662\u0663",
       "\u0661\u0662", "\u00b2", "e\u0301t\u00e9", "\u041f\u0440\u0438\u0432\u0435\u0442", "\u200b", "\U0001f600", "x\u0301"]
PUNCT = [" ", " ", " ", " ", " ", ", ", ". ", "? ", "! ", "'s ", "' ", "\u2019s ", "\u2019", "-", "_", "\n", "  ", "\t", " '", "''s ", "'S ", "/", "\u00a0", "\u2003", "\x1c"]
OPENINGS = ["When did", "what day is", " What Year", "Which month", "How long", "in which month", "On which date", "What did", "why", "\u00a0when",
            "whenever", "Did you suggest", "do you  tell", "have you recommended", "You said", "your advice", "your  advice", "you\u00a0said",
            "What did you tell", "HAD YOU LISTed", "\u017faid you \u017faid", "you \u017faid", "this summer", "this  summer", "THIS FALL"]


def text_of(rng, odd, names=()):
    words = TOPICS * 3 + GLUE * 2 + TIMES + list(names) * 4 + (ODD if odd else [])
    punct = [p for p in PUNCT if odd or p.isascii()]
    n = rng.choice([1, 3, 8, 15, 19, 20, 21, 30, 60])
    out = []
    if rng.random() < 0.4:
        out = [rng.choice([o for o in OPENINGS if odd or o.isascii()]), " "]
    for _ in range(n):
        w = rng.choice(words)
        out += [rng.choice([w, w, w, w.upper(), w.capitalize()]), rng.choice(punct)]
    return "".join(out) + rng.choice(["", "?", "? ", "?\n", "!"])


def unit(rng, dim):
    v = [rng.gauss(0, 1) for _ in range(dim)]
    n = math.sqrt(sum(x * x for x in v))
    return list(struct.unpack("%df" % dim, struct.pack("%df" % dim, *(x / n for x in v))))


def near(rng, dim, base, share):
    v = [share * x + (1 - share) * y for x, y in zip(base, unit(rng, dim))]
    n = math.sqrt(sum(x * x for x in v))
    return list(struct.unpack("%df" % dim, struct.pack("%df" % dim, *(x / n for x in v))))


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def as_int8(v):
    """what a record keeps of a vector"""
    top = max(abs(x) for x in v)
    scale, steps = single(top / 127), single(127 / top)
    return [round(single(x * steps)) * scale for x in v]


def hexed(text):
    return text.encode().hex() or "-"


def hexed_vector(v):
    return struct.pack("<%df" % len(v), *v).hex() if v is not None else "-"


def run_probe(lines):
    out = subprocess.run([PROBE], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    return [json.loads(x) for x in out.stdout.splitlines()]


class Conversation:
    """records in message order, knowledge at the end, and three questions"""

    def __init__(self, seed, dim):
        rng = random.Random(seed)
        self.dim = dim
        self.user, self.agent = rng.choice(NAMES)
        names = [n for n in (ref.first_name(self.user), ref.first_name(self.agent)) if n and n.isascii()]
        n = rng.choice([1, 2, 5, 40, 60, 300 if dim == 64 else 80])
        sessions = ["s%d" % i for i in range(rng.choice([1, 3, 6]))]
        self.rows, self.questions = [], []
        mixed, session = rng.random() < 0.3, sessions[0]
        for i in range(n):
            if mixed or rng.random() < 0.1:
                session = rng.choice(sessions)
            self.add(rng, i, False, session, rng.choice(ROLES[:2] * 4 + ROLES), names)
        for i in range(rng.choice([0, 0, 3])):
            self.add(rng, n + i, True, "k%d" % i, "knowledge", names)
        for _ in range(3):
            q = near(rng, dim, rng.choice([r["vector"] for r in self.rows if r["vector"]] or [unit(rng, dim)]), rng.choice([0, 0.3, 0.7]))
            self.questions.append((text_of(rng, False, names), q))

    def add(self, rng, i, knowledge, session, role, names):
        kind = rng.random()
        last = self.rows[-1] if self.rows else None
        if last and kind < 0.08:  # an exact tie
            text, vector, space = last["text"], last["vector"], last["space"]
        else:
            text = text_of(rng, False, names)
            vector = unit(rng, self.dim) if kind < 0.85 else None
            space = OTHER_SPACE if vector and kind < 0.15 else SPACE
        year, month = rng.choice([2020, 2021, 2023]), rng.randint(1, 12)
        us = calendar.timegm((year, month, rng.randint(1, 28), 23, 59, 59)) * 1000000
        self.rows.append(dict(seq=10 + 3 * i, knowledge=knowledge, role=role, session=session, us=us, text=text, vector=vector,
                              space=space, year=year, month=month))

    def lines(self, as_f32):
        yield "C %d %d" % (self.dim, as_f32)
        for r in self.rows:
            yield "R %d %d %d %s %d %s %d %s" % (r["seq"], r["knowledge"], 0 if r["knowledge"] else ROLES.index(r["role"]), r["session"],
                                                 r["us"], hexed(r["text"]), r["space"], hexed_vector(r["vector"]))
        for text, q in self.questions:
            yield "Q %s %s %s %d %s" % (hexed(text), hexed(self.user), hexed(self.agent), SPACE, hexed_vector(q))

    def records(self, change):
        return [ref.Record(r["text"], r["role"], r["session"], change(r["vector"]) if r["vector"] and r["space"] == SPACE else None,
                           r["year"], r["month"]) for r in self.rows]

    def ranks(self, change):
        records = self.records(change)
        for text, q in self.questions:
            yield [(s, self.rows[j]["seq"]) for s, j in ref.rank(records, text, q, self.user, self.agent)]


def compare(expected, got, close, gap):
    assert sorted(seq for _, seq in got) == sorted(seq for _, seq in expected)
    score = {seq: s for s, seq in expected}
    worst = max(abs(s - score[seq]) for s, seq in got)
    assert worst <= close, worst
    for i in range(1, len(expected)):
        if expected[i - 1][0] - expected[i][0] > gap:
            assert {seq for _, seq in got[:i]} == {seq for _, seq in expected[:i]}
    return worst


@pytest.mark.parametrize("dim", [384, 64])
@pytest.mark.parametrize("as_f32", [False, True])
def test_scores_and_order_are_the_references(dim, as_f32):
    talks = [Conversation(1000 * dim + i, dim) for i in range(30)]
    got = iter(run_probe([x for t in talks for x in t.lines(as_f32)]))
    close, gap = (1e-5, 2e-5) if as_f32 else (1e-4, 2e-4)
    worst = 0
    for talk in talks:
        for expected in talk.ranks((lambda v: v) if as_f32 else as_int8):
            answer = next(got)
            worst = max(worst, compare(expected, answer["resident"], close, gap))
            assert answer["resident"] == answer["streamed"]
    print("largest difference %.2g" % worst)


def test_terms_and_flags_are_the_references():
    rng = random.Random(5)
    texts = [text_of(rng, i % 2 == 1, ["Zo\u00eb", "Ada"]) for i in range(4000)] + ["", "?", " ", "'s", "''ss", "'Start", "rock'n'roll", "Don't"]
    got = run_probe(["T " + hexed(t) for t in texts])
    for text, answer in zip(texts, got):
        record = ref.Record(text, "user", "s")
        assert answer["flags"] == record.short_question + 2 * record.time_word, text
        if text.replace("\u2019", "'").isascii():
            assert [bytes.fromhex(x).decode() for x in answer["terms"]] == ref.terms(text), text


def test_cues_of_questions_are_the_references():
    rng = random.Random(6)
    asked = []
    for i in range(4000):
        user, agent = rng.choice(NAMES)
        names = [n for n in (ref.first_name(user), ref.first_name(agent)) if n]
        asked.append((text_of(rng, i % 2 == 1, names + ["Zoe", "zo\u00eb", "Annab", "Ma\u017fk"]), user, agent))
    got = run_probe(["C 8 0"] + ["Q %s %s %s 1 -" % (hexed(t), hexed(u), hexed(a)) for t, u, a in asked])
    for (text, user, agent), answer in zip(asked, got):
        role = ref.role_asked_for(text, user, agent)
        months, years = ref.named_dates(text)
        assert answer["role"] == (ROLES.index(role) if role else -1), (text, user, agent)
        assert answer["asks_time"] == bool(ref.ASKS_TIME.match(text)), text
        assert answer["months"] == sum(1 << (m - 1) for m in months), text
        assert set(answer["years"]) == years, text
        assert bytes.fromhex(answer["embed"]).decode() == ref.text_to_embed(text, user, agent), (text, user, agent)
