# SPDX-License-Identifier: Apache-2.0
"""Idempotency-Key: the same request again is the same answer again, also after a kill."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from api_kit import API, agent, error, listed, messages_path, name, ok, session, user

JSON = {"Content-Type": "application/json"}


def send(server, path, body, key):
    headers = {**JSON, "Idempotency-Key": key}
    return requests.post(server.url + path, data=json.dumps(body), headers=headers, timeout=30)


def routes(server):
    """path, body, and how many there are afterwards, for each route that creates"""
    u, a = user(server), agent(server)
    s = session(server, u["id"], a["id"])
    label = name("idem")

    def named(kind):
        return lambda: len([x for x in ok(server.request("GET", f"{API}/{kind}"))[kind] if x["name"] == label])
    messages = messages_path(s["id"])
    knowledge, keys = f"{API}/users/{u['id']}/knowledge", f"{API}/users/{u['id']}/api-keys"
    return {
        "users": (f"{API}/users", {"name": label}, named("users")),
        "agents": (f"{API}/agents", {"name": label}, named("agents")),
        "sessions": (f"{API}/sessions", {"user_id": u["id"], "agent_id": a["id"], "name": label}, named("sessions")),
        "messages": (messages, {"messages": [{"role": "user", "content": "once"}]}, lambda: len(listed(server, s["id"]))),
        "knowledge": (knowledge, {"knowledge": ["once"]}, lambda: len(ok(server.request("GET", knowledge))["knowledge"])),
        "api-keys": (keys, {"name": "once"}, lambda: len(ok(server.request("GET", keys))["api_keys"])),
    }


KINDS = ["users", "agents", "sessions", "messages", "knowledge", "api-keys"]


def same_but_for_the_secret(kind, first, again):
    if kind == "api-keys":  # the key itself is written nowhere, so it cannot be told again
        assert again["data"]["api_key"].pop("key").endswith("_********")
        assert not first["data"]["api_key"].pop("key").endswith("_********")
    return first == again


@pytest.mark.parametrize("kind", KINDS)
def test_a_repetition_gets_the_same_answer_and_does_nothing(server, kind):
    path, body, count = routes(server)[kind]
    key = name("key with blanks!")
    first = send(server, path, body, key)
    assert first.status_code == 201 and "Idempotency-Replayed" not in first.headers and count() == 1
    for slash in ("", "/"):
        again = send(server, path + slash, body, key)
        assert again.status_code == 201 and again.headers["Idempotency-Replayed"] == "true"
        assert same_but_for_the_secret(kind, first.json(), again.json())
    assert count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_another_body_with_the_same_key_is_422(server, kind):
    path, body, count = routes(server)[kind]
    key = name("key")
    assert send(server, path, body, key).status_code == 201
    error(send(server, path, {**body, "more": 1}, key), 422, "Idempotency-Key")
    assert count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_many_at_once_get_one_answer(server, kind):
    path, body, count = routes(server)[kind]
    key = name("key")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: send(server, path, body, key), range(16)))
    assert {r.status_code for r in answers} == {201} and count() == 1
    assert sum("Idempotency-Replayed" not in r.headers for r in answers) == 1
    if kind != "api-keys":
        assert len({r.text for r in answers}) == 1


def test_mixed_bodies_at_once_get_one_answer_and_refusals(server):
    path, body, count = routes(server)["messages"]
    key = name("key")

    def one(i):
        return send(server, path, {"messages": [{"role": "user", "content": f"body {i % 2}"}]}, key)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(16)))
    assert sorted({r.status_code for r in answers}) == [201, 422]
    assert len({r.text for r in answers if r.status_code == 201}) == 1 and count() == 1
    for r in answers:
        r.json()  # each is whole


def test_failures_at_once_are_each_answered(server):
    path = f"{API}/agents"
    label = agent(server)["name"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: send(server, path, {"name": label}, "the same"), range(16)))
    for r in answers:
        error(r, 400, "name", f"Agent with name '{label}' already exists")


def test_a_failure_leaves_the_key_free(server):
    s = session(server)
    key = name("key")
    path = messages_path(s["id"])
    error(send(server, path, {"messages": [{"role": "user", "content": ""}]}, key), 422, "messages[0].content")
    assert send(server, path, {"messages": [{"role": "user", "content": "x"}]}, key).status_code == 201


def test_a_key_belongs_to_its_path(server):
    s1, s2 = session(server), session(server)
    key = name("key")
    body = {"messages": [{"role": "user", "content": "x"}]}
    ids = {send(server, messages_path(s["id"]), body, key).json()["data"]["message_ids"][0] for s in (s1, s2)}
    assert len(ids) == 2 and send(server, f"{API}/users", {"name": name()}, key).status_code == 201


@pytest.mark.parametrize("key,good", [("", False), ("x", True), ("x" * 2048, True), ("x" * 2049, False), ("ü", True),
                                      ("a\tb", True), ('"quoted"', True), ("a|b|*", True)])
def test_keys_are_bounded_text(server, key, good):
    path, body = f"{API}/agents", {"name": name()}
    headers = {**JSON, "Idempotency-Key": key.encode()}
    response = requests.post(server.url + path, data=json.dumps(body), headers=headers, timeout=30)
    if good:
        ok(response, 201)
    else:
        error(response, 400, "Idempotency-Key")


def test_other_verbs_take_no_notice_of_a_key(server):
    u = user(server)
    for _ in range(2):
        r = server.request("POST", f"{API}/users/{u['id']}/query", json={"query": "x"}, headers={"Idempotency-Key": "q"})
        assert r.status_code == 200 and "Idempotency-Replayed" not in r.headers
    for label in (name(), name()):
        r = server.request("PUT", f"{API}/users/{u['id']}", json={"name": label}, headers={"Idempotency-Key": "q"})
        assert ok(r)["user"]["name"] == label


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_answers_are_known_after_a_restart(start_server, how):
    first = start_server()
    wanted = {kind: (path, body) for kind, (path, body, _) in routes(first).items()}
    before = {kind: send(first, *wanted[kind], f"k-{kind}").json() for kind in KINDS}
    assert first.stop() == 0 if how == "stop" else first.kill() is None
    second = start_server(data=first.data)
    for kind in KINDS:
        again = send(second, *wanted[kind], f"k-{kind}")
        assert again.status_code == 201 and again.headers["Idempotency-Replayed"] == "true", kind
        after = again.json()
        if kind == "messages":  # what the buffers looked like is not kept
            assert after["data"]["message_ids"] == before[kind]["data"]["message_ids"]
        else:
            assert same_but_for_the_secret(kind, before[kind], after)
    path = wanted["messages"][0]
    assert len(ok(second.request("GET", path))["messages"]) == 1
    error(send(second, path, {"messages": []}, "k-messages"), 422, "Idempotency-Key")
