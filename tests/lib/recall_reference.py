"""Recall scoring, plainly: the order and scores that the recall module must give. Slow, clear, no I/O.

Vectors are given, so that any embedding model fits. Needs `snowballstemmer` (algorithm "porter"; libstemmer's "porter" is the same).
`python3 reference.py` scores a small made-up conversation and prints it.
"""
import math
import re
from collections import Counter
from dataclasses import dataclass, field

import snowballstemmer

A = {1: 0.2, 2: 0.1}  # vector neighbours at distance 1 and 2
B = {1: 0.5, 2: 0.25}  # keyword neighbours
K1, BB = 1.2, 0.75  # BM25
W = 0.7  # weight of the vector leg
SPEAKER, DATE, TIME_WORD, SHORT_QUESTION = 0.2, 0.2, 0.1, -0.08
SHORT = 20  # words in a short question
KEYWORD_ROWS = 200

STOP = set("""a an and are as at be been but by can could did do does doing for from had has have having he her hers him his how i if in into
is it its me my of on or our ours out over own she should so some such than that the their theirs them then there these they this those to
too was we were what when where which while who whom why will with would you your yours am not no up about after before during""".split())
MONTHS = "january february march april may june july august september october november december".split()
TIME = re.compile(r"\b(yesterday|today|tonight|tomorrow|ago|last|next|this (?:week|weekend|month|year|morning|summer|fall|winter|spring)|week|weekend|"
                  r"month|year|recently|just|monday|tuesday|wednesday|thursday|friday|saturday|sunday|" + "|".join(MONTHS) + r"|20\d\d|since)\b", re.I)
ASKS_TIME = re.compile(r"\s*(when|what (?:day|date|month|year|time)|which (?:day|month|year)|how long|in which month|in what month|on which date)", re.I)
SAID = "suggested recommended said told advised proposed mentioned explained gave provided listed recommendation suggestion advice"
SAY = "suggest recommend say tell advise propose mention explain give provide list"
ASKS_ASSISTANT = re.compile(r"\b(you|your) (%s)|\b(did|do|have|had) you (%s)" % (SAID.replace(" ", "|"), SAY.replace(" ", "|")), re.I)
FIRST_PERSON = re.compile(r"\b(I|my|me|mine)\b", re.I)

_stem = snowballstemmer.stemmer("porter").stemWord


def terms(text):
    """the stems of a text, stop words out, in order"""
    t = text.lower().replace("\u2019", "'").replace("'s", "").replace("'", "")
    return [_stem(w) for w in re.findall(r"[a-z0-9]+", t) if w not in STOP]


@dataclass
class Record:
    """one message of one user; `vector` is a unit vector or None while it is pending"""
    text: str
    role: str  # "user" | "assistant" | "system"
    session: str
    vector: list = None
    year: int = 0
    month: int = 0  # 1..12, 0: unknown
    terms: Counter = field(init=False)
    n_terms: int = field(init=False)
    short_question: bool = field(init=False)
    time_word: bool = field(init=False)

    def __post_init__(self):
        t = terms(self.text)
        self.terms, self.n_terms = Counter(t), len(t)
        self.short_question = self.text.strip().endswith("?") and len(self.text.split()) <= SHORT
        self.time_word = bool(TIME.search(self.text))


def first_name(record_name):
    """the first word of a user's or agent's name, when it can be a person's"""
    m = re.match(r"[^\W\d_]+", record_name or "")
    return m[0] if m and len(m[0]) >= 3 and m[0].lower() not in ("user", "assistant", "agent", "bot") else None


def text_to_embed(question, user_name, agent_name):
    """the question with the two parties' names turned into I and my"""
    names = [n for n in (first_name(user_name), first_name(agent_name)) if n]
    if not names:
        return question
    return re.sub(r"\b(%s)(['\u2019]s)?\b" % "|".join(map(re.escape, names)), lambda m: "my" if m[2] else "I", question, flags=re.I)


def role_asked_for(question, user_name, agent_name):
    named = [r for r, n in (("user", first_name(user_name)), ("assistant", first_name(agent_name)))
             if n and re.search(r"\b%s\b" % re.escape(n), question, re.I)]
    if len(named) == 1:
        return named[0]
    if not named and ASKS_ASSISTANT.search(question):
        return "assistant"
    return "user" if FIRST_PERSON.search(question) else None


def neighbours(records, j, weights):
    """(index, weight) of the messages near j in its session; records are in message order"""
    for d, w in weights.items():
        for k in (j - d, j + d):
            if 0 <= k < len(records) and records[k].session == records[j].session:
                yield k, w


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def vector_leg(records, q):
    """V of every record, or None where its vector is pending"""
    d = [dot(q, r.vector) if r.vector is not None else None for r in records]
    out = []
    for j, r in enumerate(records):
        if r.vector is None:
            out.append(None)
            continue
        s, v = d[j], list(r.vector)
        for k, w in neighbours(records, j, A):
            if d[k] is not None:
                s += w * d[k]
                v = [x + w * y for x, y in zip(v, records[k].vector)]
        out.append(s / math.sqrt(dot(v, v)))
    return out


def keyword_leg(records, question):
    n = len(records)
    avg = sum(r.n_terms for r in records) / n or 1.0
    k = [0.0] * n
    for t in dict.fromkeys(terms(question)):
        df = sum(t in r.terms for r in records)
        if df:
            idf = max(math.log((n - df + 0.5) / (df + 0.5)), 1e-6)
            for j, r in enumerate(records):
                tf = r.terms[t]
                k[j] += idf * tf * (K1 + 1) / (tf + K1 * (1 - BB + BB * r.n_terms / avg))
    keep = set(sorted((j for j in range(n) if k[j] > 0), key=lambda j: (-k[j], j))[:KEYWORD_ROWS])
    k = [x if j in keep else 0.0 for j, x in enumerate(k)]
    return [k[j] + sum(w * k[i] for i, w in neighbours(records, j, B)) for j in range(n)]


def named_dates(question):
    """months and years that a question names ('may' only with a capital)"""
    months = {i + 1 for i, m in enumerate(MONTHS) if re.search(r"\b%s\b" % m, question.lower())
              and (m != "may" or re.search(r"\bMay\b", question))}
    return months, {int(y) for y in re.findall(r"\b(20\d\d)\b", question)}


def rank(records, question, q, user_name="", agent_name=""):
    """[(score, index)] of all records, best first; q is the vector of text_to_embed(question, ..)"""
    V, K = vector_leg(records, q), keyword_leg(records, question)
    known = [v for v in V if v is not None]
    lo, hi, top = (min(known), max(known), max(K)) if known else (0.0, 0.0, max(K))
    span = hi - lo
    F = [(W * ((v if v is not None else lo) - lo) / span if span > 0 else 0.0) + ((1 - W) * k / top if top > 0 else 0.0) for v, k in zip(V, K)]
    best = max(F) or 1.0
    role, (months, years), asks_time = role_asked_for(question, user_name, agent_name), named_dates(question), ASKS_TIME.match(question)
    out = []
    for j, r in enumerate(records):
        s = F[j] / best
        s += SPEAKER * (role is not None and r.role == role)
        s += SHORT_QUESTION * r.short_question
        s += DATE * (bool(months or years) and (not months or r.month in months) and (not years or r.year in years))
        s += TIME_WORD * bool(asks_time and r.time_word)
        out.append((s, j))
    return sorted(out, key=lambda x: (-x[0], x[1]))


if __name__ == "__main__":
    import random
    rng = random.Random(1)

    def unit():
        v = [rng.gauss(0, 1) for _ in range(8)]
        n = math.sqrt(dot(v, v))
        return [x / n for x in v]
    talk = ["I bought a red bicycle last week", "Nice! Which shop?", "The one near the station", "They repair tyres too, I recommend it", "Where do you live?"]
    recs = [Record(t, ("user", "assistant")[i % 2], "s1", unit(), 2026, 5) for i, t in enumerate(talk)]
    for s, j in rank(recs, "When did Ada buy the bicycle?", unit(), "Ada Byron", "bot"):
        print("%.4f %-9s %s" % (s, recs[j].role, recs[j].text))
