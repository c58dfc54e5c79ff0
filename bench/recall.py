# SPDX-License-Identifier: Apache-2.0
"""Evidence recall of the whole program: which share of the messages that hold the answer to
a question a query brings back.

    recall.py BUILD_DIR [DATA]      DATA, else $MF_RECALL_DATA: a file, or a folder of files

Two formats are read; every file is a set of its own, with a server and a table of its own:

NAME.json   LoCoMo's: a list of {"conversation": {"speaker_a", "speaker_b", "session_1":
            [{"speaker", "dia_id", "text", "blip_caption"?}], "session_1_date_time", ..},
            "qa": [{"question", "evidence": ["D1:3", ..], "category"}]}. Categories 1 to 4
            count. Its licence is non-commercial: neither kept nor downloaded here.
NAME.jsonl  a conversation a line: {"user_name", "agent_name", "sessions": [{"time"?: ISO 8601,
            "messages": [{"id", "role", "content"}]}], "questions": [{"question", "evidence":
            [ids of messages]}]}

speaker_a (user_name) becomes a user with role user, speaker_b (agent_name) an agent with role
assistant, every session a session. A caption of a picture stands behind its message's text.
Questions without evidence among the messages are left out and counted.

Recall of a question is the share of its evidence that was found, R the mean over questions.
R@10: among the first ten results. At equal tokens: among the results that fit, in order, into
so many tokens; a token is 1/1.3 of a word, as the server counts. A long message counts as
found when its best passage is what comes back.
"""
import json
import os
import re
import sys
import time
from collections import namedtuple
from datetime import datetime
from pathlib import Path

from rig import Server, Wire, build_of, probe, room

RANKS = (1, 5, 10)
BUDGETS = (1000, 2000, 4000)
TOP_K = 200  # asked for at first; four times as many while the largest budget is not full
MAX_TOP_K = 10_000
ADD = 100  # messages of one request
ROLES = ("user", "assistant", "system")
LOCOMO_TIME = "%I:%M %p on %d %B, %Y"
LOCOMO_CATEGORIES = (1, 2, 3, 4)
EMBED_S = 3600
# Long waits and long lines: no message may be stored without its vector.
SETTINGS = (f"recall.max_top_k={MAX_TOP_K}", "embed.max_backlog=10000000",
            "flush.vector_wait=3600s")
NO_DATA = ("recall: no data given: set MF_RECALL_DATA to a folder with LoCoMo's locomo10.json "
           "(github.com/snap-research/locomo, data/locomo10.json; licence CC BY-NC 4.0, so "
           "fetch it yourself) or with conversations as JSON lines (see bench/recall.py).")

Message = namedtuple("Message", "id role content")
Session = namedtuple("Session", "time messages")
Question = namedtuple("Question", "text evidence")
Talk = namedtuple("Talk", "user agent sessions questions")
Set = namedtuple("Set", "name talks left_out")
Row = namedtuple("Row", "title asks names_agent")

ROWS = (Row("keyword leg alone", {"store_type": "keyword"}, True),
        Row("vector leg alone", {"store_type": "vector"}, True),
        Row("the default", {}, True),
        Row("the default, agent not named", {}, False))


class BadData(Exception):
    pass


# ---- reading

def evidence_of(ids, sessions):
    """The ids that are messages, each once."""
    known = {m.id for s in sessions for m in s.messages}
    return [i for i in dict.fromkeys(ids) if i in known]


def locomo_ids(evidence):
    """LoCoMo's evidence is written by hand: "D1:3; D2:4", "D:1:3" and "D1:03" occur."""
    found = re.findall(r"D:?(\d+):(\d+)", " ".join(evidence))
    return [f"D{int(session)}:{int(turn)}" for session, turn in found]


def locomo_message(turn, speaker_a):
    caption = turn.get("blip_caption")
    parts = [turn.get("text") or "", f"[{caption}]" if caption else ""]
    role = "user" if turn["speaker"] == speaker_a else "assistant"
    return Message(turn["dia_id"], role, " ".join(p for p in parts if p))


def locomo_sessions(talk):
    numbers = sorted(int(m[1]) for m in (re.fullmatch(r"session_(\d+)", k) for k in talk) if m)
    for n in numbers:
        when = datetime.strptime(talk[f"session_{n}_date_time"], LOCOMO_TIME).isoformat()
        messages = [locomo_message(t, talk["speaker_a"]) for t in talk[f"session_{n}"]]
        yield Session(when, [m for m in messages if m.content])


def locomo_talk(sample):
    talk = sample["conversation"]
    sessions = list(locomo_sessions(talk))
    questions = [Question(q["question"], evidence_of(locomo_ids(q["evidence"]), sessions))
                 for q in sample["qa"] if q["category"] in LOCOMO_CATEGORIES]
    return Talk(talk["speaker_a"], talk["speaker_b"], sessions, questions)


def lines_message(m):
    if m["role"] not in ROLES:
        raise ValueError(f"role {m['role']!r} of message {m['id']!r} is none of {ROLES}")
    return Message(m["id"], m["role"], m["content"])


def lines_talk(text):
    line = json.loads(text)
    sessions = [Session(s.get("time"), [lines_message(m) for m in s["messages"]])
                for s in line["sessions"]]
    questions = [Question(q["question"], evidence_of(q["evidence"], sessions))
                 for q in line["questions"]]
    return Talk(line["user_name"], line["agent_name"], sessions, questions)


def read_records(path):
    """(where, what its reader takes) of all conversations of a file"""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return [(f"conversation {i}", r) for i, r in enumerate(json.loads(text), 1)]
    return [(f"line {i}", line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]


def read_set(path):
    where, talks, left_out = "the file", [], 0
    talk_of = locomo_talk if path.suffix == ".json" else lines_talk
    try:
        for where, record in read_records(path):
            talk = talk_of(record)
            asked = [q for q in talk.questions if q.evidence]
            left_out += len(talk.questions) - len(asked)
            talks.append(talk._replace(questions=asked))
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise BadData(f"{path}: {where} is not as the head of bench/recall.py says: "
                      f"{type(e).__name__}: {e}") from e
    if not any(t.questions for t in talks):
        raise BadData(f"{path}: no question with evidence")
    return Set(path.name, talks, left_out)


def find_sets(data):
    data = Path(data)
    paths = [data]
    if data.is_dir():
        paths = sorted(p for p in data.iterdir() if p.suffix in (".json", ".jsonl"))
    if not paths or not data.exists():
        raise BadData(f"{data}: no file NAME.json or NAME.jsonl there")
    return [read_set(p) for p in paths]


# ---- figures

def tokens_of(text):
    return len(text.split()) * 1.3


def recall_at(evidence, ids):
    return len(set(evidence) & set(ids)) / len(evidence)


def within(found, budget):
    """ids of the results that fit, in order, into so many tokens; found: [(id, content)]"""
    left = budget
    ids = []
    for one, content in found:
        left -= tokens_of(content)
        if left < 0:
            break
        ids.append(one)
    return ids


def figures_of(evidence, found):
    """R at RANKS, then at BUDGETS, of one question"""
    ids = [one for one, _ in found]
    return ([recall_at(evidence, ids[:n]) for n in RANKS]
            + [recall_at(evidence, within(found, b)) for b in BUDGETS])


def mean_of(figures):
    return [100 * sum(column) / len(figures) for column in zip(*figures)]


# ---- the server under test

def unique(name, taken):
    """Names are unique on a server; the first word is what the ranking looks at."""
    n = taken[name] = taken.get(name, 0) + 1
    return name if n == 1 else f"{name} {n}"


def body_of(session, messages):
    when = {"metadata": {"timestamp": session.time}} if session.time else {}
    return {"messages": [{"role": m.role, "content": m.content, **when} for m in messages]}


def add_session(wire, talk, session, user, agent):
    """{id that the server gave: id in the data}"""
    made = wire.ask("POST", "/sessions", {"user_id": user, "agent_id": agent})
    path = f"/sessions/{made['session']['id']}/messages"
    ids = {}
    for at in range(0, len(session.messages), ADD):
        part = session.messages[at:at + ADD]
        given = wire.ask("POST", path, body_of(session, part))["message_ids"]
        ids.update(zip(given, (m.id for m in part)))
    return ids


def add_talk(wire, talk, taken):
    """(user id, agent id, ids)"""
    user = wire.ask("POST", "/users", {"name": unique(talk.user, taken[0])})["user"]["id"]
    agent = wire.ask("POST", "/agents", {"name": unique(talk.agent, taken[1])})["agent"]["id"]
    ids = {}
    for session in talk.sessions:
        ids.update(add_session(wire, talk, session, user, agent))
    return user, agent, ids


def wait_for_vectors(wire, n_messages):
    end = time.monotonic() + EMBED_S
    while True:
        stats = wire.ask("GET", "/buffer/stats")
        counters = stats["counters"]
        if counters["flush_late_vectors"] or counters["embed_failed"]:
            raise RuntimeError(f"messages without a vector: {counters['flush_late_vectors']} "
                               f"stored without, {counters['embed_failed']} failed")
        if stats["embed"]["backlog"] == 0 and counters["embed_texts"] >= n_messages:
            return
        if time.monotonic() > end:
            raise RuntimeError(f"vectors are not there after {EMBED_S} s: {stats['embed']}")
        time.sleep(0.01)


def query(wire, user, body):
    """[(result id, content)], enough for the largest budget when the user has so much"""
    top_k = TOP_K
    while True:
        data = wire.ask("POST", f"/users/{user}/query", {**body, "top_k": top_k})
        results = data["results"]
        if data.get("partial"):
            raise RuntimeError("an answer without the store")
        if body.get("store_type") != "keyword" and any(
                r["metadata"]["retrieval"]["similarity"] is None for r in results):
            raise RuntimeError("a result without a vector")
        full = sum(tokens_of(r["content"]) for r in results) > BUDGETS[-1]
        if full or len(results) < top_k or top_k == MAX_TOP_K:
            return [(r["id"], r["content"]) for r in results]
        top_k = min(4 * top_k, MAX_TOP_K)


def measure(wire, row, talks, made):
    figures = []
    for talk, (user, agent, ids) in zip(talks, made):
        named = {"agent_id": agent} if row.names_agent else {}
        for question in talk.questions:
            found = query(wire, user, {"query": question.text, **row.asks, **named})
            found = [(ids[one], content) for one, content in found]
            figures.append(figures_of(question.evidence, found))
    return mean_of(figures)


def say_head(data, n_messages):
    n_questions = sum(len(t.questions) for t in data.talks)
    print(f"{data.name}: {len(data.talks)} conversations, {n_messages} messages, "
          f"{n_questions} questions; {data.left_out} without evidence left out", flush=True)


def say_table(rows):
    columns = [f"R@{n}" for n in RANKS] + [f"{b // 1000}k tokens" for b in BUDGETS]
    print(f"{'':30}" + "".join(f"{c:>11}" for c in columns))
    for title, means in rows:
        print(f"{title:30}" + "".join(f"{m:11.1f}" for m in means), flush=True)


def run_set(build, folder, data):
    n_messages = sum(len(s.messages) for t in data.talks for s in t.sessions)
    say_head(data, n_messages)
    server = Server(build, folder, *SETTINGS)
    wire = Wire(server.port)
    try:
        taken = {}, {}
        made = [add_talk(wire, talk, taken) for talk in data.talks]
        wait_for_vectors(wire, n_messages)
        wire.ask("POST", "/buffer/flush")
        probe(folder)
        model = wire.ask("GET", "/health")["embedding"]
        print(f"model {model['model']}, semantic: {json.dumps(model['semantic'])}")
        say_table([(row.title, measure(wire, row, data.talks, made)) for row in ROWS])
    finally:
        wire.close()
        server.stop()


def main(argv):
    if len(argv) > 3:
        sys.exit(f"usage: {argv[0]} BUILD_DIR [DATA]")
    build = build_of(argv[:2])
    given = argv[2] if len(argv) == 3 else os.environ.get("MF_RECALL_DATA")
    if not given:
        print(NO_DATA)
        return
    try:
        sets = find_sets(given)
    except (BadData, OSError) as e:
        sys.exit(f"recall: {e}")
    with room() as folder:
        for i, data in enumerate(sets):
            run_set(build, Path(folder) / f"set{i}", data)


if __name__ == "__main__":
    main(sys.argv)
