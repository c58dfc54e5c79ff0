# SPDX-License-Identifier: Apache-2.0
"""What strangers send: bad JSON, wrong types, and every limit at limit - 1, limit and limit + 1."""
import json

import pytest

from api_kit import API, error, listed, messages_path, name, ok, say, session, user

JSON = {"Content-Type": "application/json"}
LIMITS = {"limits.messages_per_add": 8, "limits.message_bytes": 300, "limits.metadata_bytes": 40,
          "limits.name_bytes": 16, "limits.text_bytes": 50, "limits.query_bytes": 60, "limits.ids_per_request": 4, "limits.json_depth": 6}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    from conftest import Server, stop_well
    s = Server(tmp_path_factory.mktemp("small") / "data", *[f"{k}={v}" for k, v in LIMITS.items()])
    yield s
    stop_well(s)


def post(server, path, raw, **headers):
    return server.request("POST", path, data=raw, headers={**JSON, **headers})


# ---- JSON itself ----

@pytest.mark.parametrize("raw,code,field", [
    (b"", 422, "body"), (b"{", 422, "body"), (b"nothing", 422, "body"), (b"[1]", 422, "body"), (b'"x"', 422, "body"),
    (b"null", 422, "body"), (b'{"name":}', 422, "body"), (b"{'name':'x'}", 422, "body"), (b'{"name":"x",}', 422, "body"),
    (b'{"name":NaN}', 422, "body"),
    (b'{"name":"x"} {}', 400, "body"), (b'{"name":"x"}x', 400, "body"), (b'{"name":"x"}\x00', 400, "body"),
    (b'{"name":"\xff"}', 400, "body"), (b'{"name":"\xc0\xaf"}', 400, "body"), (b'{"name":"\xed\xa0\x80"}', 400, "body"),
    (b'{"name":"\\ud800"}', 400, "body"), (b'{"name":"a\nb"}', 400, "body"),
    (b'{"name":"a\\u0000b"}', 400, "name"), (b'{"name":"x","x":{"y":["\\u0000"]}}', 400, "x.y[0]"),
    (b'{"name":"x","name":"y"}', 400, "name"), (b'{"name":"x","x":{"y":1,"y":2}}', 400, "x.y"),
    (b'{"name":"x","y":' + b"[" * 31 + b"]" * 31 + b"}", None, None),
    (b'{"name":"x","y":' + b"[" * 32 + b"]" * 32 + b"}", 400, "y" + "[0]" * 31),
    (b'{"name":"x","y":1e999}', 400, "y"), (b'{"name":"x","y":' + b"1" * 65 + b"}", 400, "y"),
    (b"[" * 1000000, 422, "body"), (b'{"a":' * 100000 + b"1" + b"}" * 100000, 400, None)])
def test_bad_json_is_told_where(server, raw, code, field):
    path = f"{API}/users"
    raw = raw.replace(b'"x"', b'"' + name().encode() + b'"', 1) if code is None else raw
    response = post(server, path, raw)
    if code is None:
        ok(response, 201)
    else:
        assert "detail" in error(response, code, field)


def test_bytes_of_a_message_are_told_by_path(server):
    raw = b'{"messages":[{"role":"user","content":"ok"},{"role":"user","content":"x\\u0000y"}]}'
    s = session(server)
    body = error(post(server, messages_path(s["id"]), raw), 400, "messages[1].content")
    assert body["detail"][0]["loc"] == ["body", "messages", 1, "content"]
    assert listed(server, s["id"]) == []


# ---- types ----

@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "",
                                  "application/jsonx", None])
def test_bodies_that_are_not_called_json_are_415(server, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    body = error(server.request("POST", f"{API}/users", data=b'{"name":"x"}', headers=headers), 415, "Content-Type")
    assert "application/json" in body["message"]


def test_json_with_parameters_is_json(server):
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;x=y"):
        ok(server.request("POST", f"{API}/users", data=json.dumps({"name": name()}), headers={"Content-Type": kind}), 201)
    error(server.request("POST", f"{API}/users", data=b"{}", headers={**JSON, "Content-Encoding": "gzip"}), 415)


@pytest.mark.parametrize("path,body,field", [
    ("users", {}, "name"), ("users", {"name": None}, "name"), ("users", {"name": ""}, "name"), ("users", {"name": 5}, "name"),
    ("users", {"name": "x", "description": 5}, "description"), ("agents", {"name": []}, "name"),
    ("sessions", {}, "user_id"), ("sessions", {}, "agent_id"), ("sessions", {"user_id": 1, "agent_id": "a"}, "user_id"),
    ("sessions", {"user_id": "u", "agent_id": "a", "name": ""}, "name"),
    ("users/{u}/knowledge", {}, "knowledge"), ("users/{u}/knowledge", {"knowledge": "x"}, "knowledge"),
    ("users/{u}/knowledge", {"knowledge": ["ok", 1]}, "knowledge[1]"),
    ("users/{u}/knowledge", {"knowledge": [""]}, "knowledge[0]"),
    ("users/{u}/knowledge/read", {"knowledge_ids": [None]}, "knowledge_ids[0]"),
    ("users/{u}/query", {}, "query"),
    ("users/{u}/api-keys", {"name": 1}, "name"), ("users/{u}/api-keys", {"key": "mine"}, "key"),
    ("users/{u}/api-keys", {"permissions": []}, "permissions"), ("users/{u}/api-keys", {"expires_at": "soon"}, "expires_at"),
    ("users/{u}/api-keys", {"expires_at": "2001-01-01"}, "expires_at"),
    ("sessions/{s}/messages/read", {}, "message_ids"), ("sessions/{s}/messages/read", {"message_ids": "x"}, "message_ids")])
def test_wrong_fields_are_422_by_name(server, path, body, field):
    s = session(server)
    body = error(server.request("POST", f"{API}/" + path.format(u=s["user_id"], s=s["id"]), json=body), 422, field)
    assert "detail" in body


@pytest.mark.parametrize("message,field", [
    ({"content": "x"}, "role"), ({"role": "user"}, "content"), ({"role": "user", "content": ""}, "content"),
    ({"role": "user", "content": None}, "content"), ({"role": "user", "content": 5}, "content"),
    ({"role": "user", "content": [{"type": "text", "text": "x"}]}, "content"), ({"role": "tool", "content": "x"}, "role"),
    ({"role": "developer", "content": "x"}, "role"), ({"role": "User", "content": "x"}, "role"),
    ({"role": None, "content": "x"}, "role"), ({"role": "user", "content": "x", "metadata": []}, "metadata"),
    ({"role": "user", "content": "x", "metadata": {"timestamp": "yesterday"}}, "metadata.timestamp"),
    ({"role": "user", "content": "x", "metadata": {"timestamp": 5}}, "metadata.timestamp"), ("text", None), (None, None)])
def test_wrong_messages_are_422_and_nothing_is_added(server, message, field):
    s = session(server)
    body = {"messages": [{"role": "user", "content": "fine"}, message]}
    error(server.request("POST", messages_path(s["id"]), json=body), 422, "messages[1]" + ("." + field if field else ""))
    assert listed(server, s["id"]) == []


def test_all_faults_are_told_at_once(server):
    body = {"messages": [{"role": "x"}, {"content": ""}]}
    fields = [e["field"] for e in error(server.request("POST", messages_path(session(server)["id"]), json=body),
                                        422)["errors"]]
    assert fields == ["messages[0].role", "messages[0].content", "messages[1].role", "messages[1].content"]


def test_lenient_messages_are_taken_when_set_so(start_server):
    server = start_server("server.lenient_messages=true")
    s = session(server)
    messages = [{"role": "tool", "content": "t"}, {"role": "developer", "content": "d"},
                {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]
    ok(server.request("POST", messages_path(s["id"]), json={"messages": messages}), 201)
    assert [(m["role"], m["content"]) for m in listed(server, s["id"], order="asc")] == \
        [("tool", "t"), ("system", "d"), ("user", "one\ntwo")]
    for content in ([], [{"type": "image_url", "image_url": "x"}], [{"type": "text"}], [5], [{"type": "text", "text": ""}]):
        error(server.request("POST", messages_path(s["id"]), json={"messages": [{"role": "user", "content": content}]}),
              422, "messages[0].content")


# ---- limits: one below, at, one above ----

def at_limit(limit, make, send, code, field):
    for size in (limit - 1, limit):
        response = send(make(size))
        assert response.status_code in (200, 201), (size, response.text)
    body = error(send(make(limit + 1)), code, field)
    assert str(limit) in body["message"] and "limits." in body["message"]


def test_messages_per_add(small):
    s = session(small)
    at_limit(8, lambda n: [{"role": "user", "content": "x"}] * n,
             lambda m: small.request("POST", messages_path(s["id"]), json={"messages": m}), 422, "messages")


def test_message_bytes(small):
    s = session(small)
    for letter in ("x", "é"):
        at_limit(300, lambda n: (letter * (n // len(letter.encode()))).ljust(n - n // len(letter.encode()) *
                                                                              (len(letter.encode()) - 1), "x"),
                 lambda t: small.request("POST", messages_path(s["id"]), json={"messages": [{"role": "user", "content": t}]}),
                 413, "messages[0].content")


def test_metadata_bytes(small):
    s = session(small)
    at_limit(40, lambda n: {"k": "x" * (n - len('{"k":""}'))},
             lambda m: small.request("POST", messages_path(s["id"]),
                                     json={"messages": [{"role": "user", "content": "x", "metadata": m}]}),
             422, "messages[0].metadata")


def test_name_bytes(small):
    for kind in ("users", "agents"):
        at_limit(16, lambda n: name("").rjust(n, "x"), lambda t: small.request("POST", f"{API}/{kind}", json={"name": t}),
                 422, "name")
    s = session(small)
    at_limit(16, lambda n: name("").rjust(n, "x"),
             lambda t: small.request("PUT", f"{API}/sessions/{s['id']}", json={"name": t}), 422, "name")


def test_text_bytes(small):
    u = user(small)
    at_limit(50, lambda n: "x" * n, lambda t: small.request("PUT", f"{API}/users/{u['id']}", json={"description": t}),
             422, "description")
    at_limit(50, lambda n: "x" * n,
             lambda t: small.request("POST", f"{API}/users/{u['id']}/knowledge", json={"knowledge": [t]}), 422, "knowledge[0]")


def test_query_bytes(small):
    u = user(small)
    at_limit(60, lambda n: "x" * n, lambda t: small.request("POST", f"{API}/users/{u['id']}/query", json={"query": t}),
             422, "query")


def test_ids_per_request(small):
    s = session(small)
    ids = say(small, s["id"], *"abcdef")
    at_limit(4, lambda n: ids[:n],
             lambda i: small.request("POST", messages_path(s["id"]) + "/read", json={"message_ids": i}), 422, "message_ids")
    at_limit(4, lambda n: ids[:n],
             lambda i: small.request("POST", f"{API}/users/{s['user_id']}/knowledge/read", json={"knowledge_ids": i}),
             422, "knowledge_ids")
    at_limit(4, lambda n: ["text"] * n,
             lambda t: small.request("POST", f"{API}/users/{s['user_id']}/knowledge", json={"knowledge": t}), 422, "knowledge")


def test_json_depth(small):
    at_limit(6, lambda n: b'{"name":"' + name().encode() + b'","x":' + b"[" * (n - 1) + b"]" * (n - 1) + b"}",
             lambda raw: post(small, f"{API}/users", raw), 400, "x[0][0][0][0][0]")


def test_keys_of_an_object(server):
    for n in (999, 1000):
        keys = {f"k{i}": i for i in range(n - 1)}
        ok(server.request("POST", f"{API}/users", json={"name": name(), **keys}), 201)
    error(server.request("POST", f"{API}/users", json={"name": "x", **{f"k{i}": i for i in range(1000)}}), 400, "body")


def test_default_limits_of_a_message(server):
    s = session(server)
    mib = 1 << 20
    ok(server.request("POST", messages_path(s["id"]), json={"messages": [{"role": "user", "content": "x" * mib}]}), 201)
    error(server.request("POST", messages_path(s["id"]), json={"messages": [{"role": "user", "content": "x" * (mib + 1)}]}),
          413, "messages[0].content")
    assert [len(m["content"]) for m in listed(server, s["id"])] == [mib]


def test_a_body_beyond_the_bound_is_413(start_server):
    server = start_server("server.max_body_bytes=2048", "limits.message_bytes=1024", "limits.text_bytes=1024",
                          "limits.metadata_bytes=1024")
    ok(post(server, f"{API}/users", json.dumps({"name": "fits"}).ljust(2048)), 201)
    error(post(server, f"{API}/users", json.dumps({"name": "fits not"}).ljust(2049)), 413)
