# SPDX-License-Identifier: Apache-2.0
"""The same conversation and the same questions on SQLite and on Postgres: the same messages
in the same order with the same scores, from buffers, from the store, and after a restart."""
import random

import backend
import pytest

pytestmark = pytest.mark.skipif(not backend.IS_POSTGRES, reason="needs a Postgres")

WORDS = """garden tomato water evening bicycle green library train ticket doctor appointment friday
birthday cake sister brother Prague hotel booking passport coffee espresso roast guitar lesson piano
window kitchen paint yellow dentist tooth winter snow boots hiking mountain lake boat salary contract
meeting project deadline Müller Zoë 東京 наша кошка café naïve""".split()
N_MESSAGES = 240
N_QUESTIONS = 40


def conversation(rng):
    """[(session, [message])]"""
    rounds = []
    for i in range(0, N_MESSAGES, 2):
        pair = []
        for k, role in enumerate(("user", "assistant")):
            text = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(3, 30)))
            at = f"2025-03-{1 + i * 27 // N_MESSAGES:02d}T10:{i % 60:02d}:{k:02d}"
            pair.append({"role": role, "content": f"{text} number{i + k}",
                         "metadata": {"timestamp": at}})
        rounds.append((i // 2 % 3, pair))
    return rounds


def post(server, path, body):
    answer = server.request("POST", "/api/v1" + path, json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["data"]


def fill(server, rounds):
    user = post(server, "/users", {"name": "ann"})["user"]["id"]
    agent = post(server, "/agents", {"name": "bot"})["agent"]["id"]
    sessions = [post(server, "/sessions", {"user_id": user, "agent_id": agent,
                                           "name": f"talk {i}"})["session"]["id"]
                for i in range(3)]
    for session, messages in rounds:
        post(server, f"/sessions/{sessions[session]}/messages", {"messages": messages})
    post(server, f"/users/{user}/knowledge",
         {"knowledge": [f"{word} is what ann likes" for word in WORDS[:8]]})
    return user


def answers(server, user, questions):
    out = []
    for question in questions:
        data = post(server, f"/users/{user}/query", {"query": question, "top_k": 12})
        assert not data.get("partial")
        out.append([(r["content"], r["score"]) for r in data["results"]])
    return out


def compare(one, other):
    for a, b in zip(one, other, strict=True):
        assert [c for c, _ in a] == [c for c, _ in b]
        assert [s for _, s in a] == pytest.approx([s for _, s in b], abs=1e-6)


def test_the_same_question_has_the_same_answer(start_server, tmp_path):
    rng = random.Random(20250301)
    rounds = conversation(rng)
    questions = [" ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 6)))
                 for _ in range(N_QUESTIONS)]
    kinds = [("a", ["store.backend=sqlite"]), ("b", [])]
    found = {}
    for name, settings in kinds:
        server = start_server(*settings, data=tmp_path / name)
        user = fill(server, rounds)
        buffered = answers(server, user, questions)
        post(server, "/buffer/flush", None)
        stored = answers(server, user, questions)
        assert server.stop() == 0
        server = start_server(*settings, data=tmp_path / name)
        found[name] = (buffered, stored, answers(server, user, questions))
    assert sum(len(a) for a in found["a"][2]) > N_QUESTIONS * 6
    for one, other in zip(found["a"], found["b"], strict=True):
        compare(one, other)
