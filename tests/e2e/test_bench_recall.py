# SPDX-License-Identifier: Apache-2.0
"""bench/recall.py on a small made-up set, in both formats, against $MEMFUSE_BIN: what it
reads, what it counts, and that the names of the two parties work over HTTP."""
import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from talk import Talk

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests" / "lib")]
import recall  # noqa: E402
import recall_reference as ref  # noqa: E402

SMALL = ROOT / "tests" / "data" / "recall_small"
BUILD = str(Path(os.environ["MEMFUSE_BIN"]).parent)
TITLES = [row.title for row in recall.ROWS]


def run(tmp_path, *words, data=None):
    env = {k: v for k, v in os.environ.items() if k != "MF_RECALL_DATA"}
    env["MF_BENCH_DIR"] = str(tmp_path)
    if data:
        env["MF_RECALL_DATA"] = str(data)
    return subprocess.run([sys.executable, str(ROOT / "bench" / "recall.py"), *words], env=env,
                          cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)


def tables(text):
    """{set: {row: [figures]}}"""
    out = {}
    for line in text.splitlines():
        head = re.match(r"(\S+): \d+ conversations", line)
        if head:
            rows = out[head[1]] = {}
        for title in TITLES:
            match = re.fullmatch(re.escape(title) + r"((?: +\d+\.\d)+)", line)
            if match:
                rows[title] = [float(x) for x in match[1].split()]
    return out


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    done = run(tmp_path_factory.mktemp("bench"), BUILD, data=SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def talks():
    return recall.read_set(SMALL / "conversations.jsonl").talks


# ---- reading

def plain(data):
    """Without ids, which the two formats spell differently."""
    out = []
    for talk in data.talks:
        place = {m.id: (i, j) for i, s in enumerate(talk.sessions)
                 for j, m in enumerate(s.messages)}
        out.append((talk.user, talk.agent,
                    [(s.time, [(m.role, m.content) for m in s.messages]) for s in talk.sessions],
                    [(q.text, [place[i] for i in q.evidence]) for q in talk.questions]))
    return out


def test_both_formats_say_the_same():
    locomo = recall.read_set(SMALL / "locomo_like.json")
    lines = recall.read_set(SMALL / "conversations.jsonl")
    assert plain(locomo) == plain(lines)
    assert (locomo.left_out, lines.left_out) == (1, 1)
    assert [len(t.questions) for t in lines.talks] == [6, 6]
    assert [[len(s.messages) for s in t.sessions] for t in lines.talks] == [[6, 5, 4], [8, 7]]


def test_evidence_is_read_as_people_wrote_it():
    assert recall.locomo_ids(["D1:3; D2:4", "D:11:26", "D30:05", "D", "D1:3 D2:4"]) == [
        "D1:3", "D2:4", "D11:26", "D30:5", "D1:3", "D2:4"]
    talk = recall.read_set(SMALL / "locomo_like.json").talks[1]
    asked = {q.text: q.evidence for q in talk.questions}
    assert asked["Which cake will there be at the opening?"] == ["D2:5", "D2:6"]


def test_sessions_come_by_number_not_by_letter():
    def turn(n):
        return [{"speaker": "B", "dia_id": f"D{n}:1", "text": f"turn {n}"}]
    talk = {"speaker_a": "A"}
    for n in (10, 2, 1):
        talk[f"session_{n}"] = turn(n)
        talk[f"session_{n}_date_time"] = f"12:0{n % 10} am on {n} May, 2023"
    got = list(recall.locomo_sessions(talk))
    assert [s.messages[0].id for s in got] == ["D1:1", "D2:1", "D10:1"]
    assert got[2].time == "2023-05-10T00:00:00"
    assert got[0].messages[0].role == "assistant"


def test_a_name_seen_before_keeps_its_first_word():
    taken = {}
    names = [recall.unique(name, taken) for name in ("Nora Vale", "Bram", "Nora Vale", "Nora Vale")]
    assert names == ["Nora Vale", "Bram", "Nora Vale 2", "Nora Vale 3"]


# ---- figures

def test_figures_count_what_was_found():
    found = [(i, "w " * 100) for i in "abcdefghijkl"]  # 130 tokens each
    r1, r5, r10, *budgets = recall.figures_of(["a", "e", "k", "z"], found)
    assert (r1, r5, r10) == (0.25, 0.5, 0.5)
    assert budgets == [0.5, 0.75, 0.75]
    assert recall.mean_of([[0, 1], [1, 1]]) == [50, 100]


def test_a_budget_ends_at_the_first_result_that_does_not_fit():
    found = [("a", "w " * 10), ("b", "w " * 100), ("c", "w")]
    assert recall.within(found, 100) == ["a"]
    assert recall.within(found, 143) == ["a", "b"]
    assert recall.within(found, 1) == []


# ---- the whole

def test_counts_and_model_are_printed(printed):
    for name in ("conversations.jsonl", "locomo_like.json"):
        assert (f"{name}: 2 conversations, 30 messages, 12 questions; "
                "1 without evidence left out\n") in printed
    assert len(re.findall(r"^probe: load [\d. ]+; fdatasync .* p50 \d+ us", printed, re.M)) == 2
    assert len(re.findall(r"^model \S+, semantic: (?:true|false)$", printed, re.M)) == 2


def test_both_formats_have_the_same_figures(printed):
    got = tables(printed)
    assert list(got) == ["conversations.jsonl", "locomo_like.json"]
    assert got["conversations.jsonl"] == got["locomo_like.json"]


def test_the_default_finds_what_keywords_find(printed):
    rows = tables(printed)["conversations.jsonl"]
    assert list(rows) == TITLES
    at_10 = 2
    assert rows["the default"][at_10] >= rows["keyword leg alone"][at_10] == 100
    # 15 messages are less than 1,000 tokens: all evidence is there, or a result was lost.
    assert all(figures[3:] == [100, 100, 100] for figures in rows.values())


def reference_figures(talks):
    """The keyword leg by the plain program: nothing there has a vector."""
    figures = []
    for talk in talks:
        ids, records = [], []
        for n, session in enumerate(talk.sessions):
            when = datetime.fromisoformat(session.time)
            for m in session.messages:
                ids.append(m.id)
                records.append(ref.Record(m.content, m.role, n, None, when.year, when.month))
        for q in talk.questions:
            ranked = ref.rank(records, q.text, None, talk.user, talk.agent)
            found = [ids[j] for _, j in ranked]
            figures.append([recall.recall_at(q.evidence, found[:n]) for n in recall.RANKS])
    return [round(x, 1) for x in recall.mean_of(figures)]


def test_keyword_figures_are_the_references(printed, talks):
    expected = reference_figures(talks)
    assert expected[0] < expected[1] <= expected[2]  # the set tells ranks apart
    assert tables(printed)["conversations.jsonl"]["keyword leg alone"][:3] == expected


# ---- who is asked about

@pytest.fixture(scope="module")
def first_talk(server, talks):
    talk, wire = Talk(server.port), recall.Wire(server.port)
    user, agent, ids = recall.add_talk(wire, talks[0], ({}, {}))
    recall.wait_for_vectors(wire, len(ids))
    wire.close()
    yield talk, user, agent, ids
    talk.close()


def role_boosts(rows):
    return {(r["role"], round(r["metadata"]["retrieval"]["boost"], 3)) for r in rows}


@pytest.mark.parametrize("question,first,role", [
    ("What pet does Nora have?", "3.1", "user"),
    ("What pet does BRAM have?", "3.2", "assistant"),
    ("What pet do I have?", "3.1", "user"),
    ("Which pet have you mentioned?", "3.2", "assistant"),
])
@pytest.mark.parametrize("store_type", [None, "keyword", "vector"])
def test_the_party_asked_about_comes_first(first_talk, question, first, role, store_type):
    talk, user, agent, ids = first_talk
    rows = talk.query(user, question, top_k=2, agent_id=agent, store_type=store_type)
    assert [ids[r["id"]] for r in rows][0] == first
    assert rows[0]["role"] == role
    assert rows[0]["metadata"]["retrieval"]["boost"] == pytest.approx(0.2)


@pytest.mark.parametrize("question", ["What pet have Nora and Bram?", "What pet swims?"])
def test_both_names_or_none_prefer_nobody(first_talk, question):
    talk, user, agent, _ = first_talk
    rows = talk.query(user, question, top_k=15, agent_id=agent)
    # -0.08 is for short questions among the messages.
    assert {boost for _, boost in role_boosts(rows)} == {0, -0.08}


def test_the_session_names_the_agent_as_well(first_talk):
    talk, user, agent, ids = first_talk
    session = talk.query(user, "pet", top_k=1)[0]["metadata"]["session_id"]
    by_session = talk.query(user, "What pet does Bram have?", session_id=session)
    by_agent = talk.query(user, "What pet does Bram have?", agent_id=agent)
    assert ids[by_session[0]["id"]] == "3.2"
    assert [(r["id"], r["score"]) for r in by_session] == [(r["id"], r["score"]) for r in by_agent]


# ---- no data, bad data

def test_without_data_one_sentence_and_success(tmp_path):
    done = run(tmp_path, BUILD)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1 and "MF_RECALL_DATA" in done.stdout


@pytest.mark.parametrize("name,text,says", [
    ("a.jsonl", "\n{}\n", "a.jsonl: line 2 is not as the head of bench/recall.py says: KeyError"),
    ("a.jsonl", "{\n", "a.jsonl: line 1 is not as"),
    ("a.json", "{", "a.json: the file is not as"),
    ("a.json", "[]", "a.json: no question with evidence"),
    ("a.json", '[{"conversation": []}]', "a.json: conversation 1 is not as"),
    ("a.txt", "", "no file NAME.json or NAME.jsonl there"),
])
def test_bad_data_is_told_by_its_place(tmp_path, name, text, says):
    folder = tmp_path / "sets"
    folder.mkdir()
    (folder / name).write_text(text)
    done = run(tmp_path, BUILD, str(folder))
    assert done.returncode == 1
    assert says in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_role_is_refused_not_dropped(tmp_path):
    line = json.loads((SMALL / "conversations.jsonl").read_text().splitlines()[0])
    line["sessions"][0]["messages"][0]["role"] = "narrator"
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    done = run(tmp_path, BUILD, str(tmp_path / "a.jsonl"))
    assert done.returncode == 1 and "narrator" in done.stderr and "line 1" in done.stderr
