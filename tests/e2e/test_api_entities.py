# SPDX-License-Identifier: Apache-2.0
"""Users, agents, sessions, knowledge, health and buffers over HTTP, both slash forms."""
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import device
import pytest
import requests

from api_kit import API, ISO, agent, error, listed, name, ok, say, session, user

SLASHES = pytest.mark.parametrize("slash", ["", "/"])
KEYS = {"users": {"id", "name", "description", "created_at", "updated_at"},
        "agents": {"id", "name", "description", "created_at", "updated_at"},
        "sessions": {"id", "user_id", "agent_id", "name", "created_at", "updated_at"}}
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@SLASHES
def test_health_answers_without_a_word_of_secrets(server, slash):
    data = ok(server.request("GET", f"{API}/health{slash}"), message="Server is healthy")
    assert data["status"] == "ok" and data["version"] == "0.3.3"
    assert data["server"]["name"] == "memfuse" and data["embedding"] == device.told_model()
    assert "data" not in data["config"] and str(server.data) not in str(data)


@SLASHES
@pytest.mark.parametrize("kind", ["users", "agents"])
def test_named_things_live_their_life(server, kind, slash):
    one, title, field = kind[:-1], kind[:-1].capitalize(), kind[:-1] + "_id"
    label = name("Zoë & Söhne + Co")
    base = f"{API}/{kind}"
    thing = ok(server.request("POST", base + slash, json={"name": label, "description": "d", "extra": [1]}), 201,
               f"{title} created successfully")[one]
    assert set(thing) == KEYS[kind] and thing["name"] == label and thing["description"] == "d"
    assert ISO.match(thing["created_at"]) and ISO.match(thing["updated_at"])
    path = f"{base}/{thing['id']}{slash}"
    assert ok(server.request("GET", path), message=f"{title} retrieved successfully")[one] == thing
    assert ok(server.request("GET", base + slash, params={"name": label}))[kind] == [thing]
    assert thing in ok(server.request("GET", base + slash))[kind]
    assert thing in ok(server.request("GET", base + slash, params={"name": ""}))[kind]
    error(server.request("GET", base + slash, params={"name": label + "x"}), 404, "name",
          f"{title} with name '{label}x' not found")
    error(server.request("POST", base + slash, json={"name": label}), 400, "name",
          f"{title} with name '{label}' already exists")
    kept = ok(server.request("PUT", path, json={"name": None, "description": None}))[one]
    assert (kept["name"], kept["description"]) == (label, "d")
    changed = ok(server.request("PUT", path, json={"description": "e"}), message=f"{title} updated successfully")[one]
    assert (changed["name"], changed["description"]) == (label, "e")
    assert changed["created_at"] == thing["created_at"] and changed["updated_at"] > thing["updated_at"]
    label2 = name()
    assert ok(server.request("PUT", path, json={"name": label2}))[one]["name"] == label2
    other = ok(server.request("POST", base, json={"name": name()}), 201)[one]
    error(server.request("PUT", path, json={"name": other["name"]}), 400, "name")
    gone = server.request("DELETE", path)
    if kind == "users":
        assert gone.status_code == 204 and gone.content == b""
    else:
        assert ok(gone, message="Agent deleted successfully") == {"agent_id": thing["id"]}
    for method in ("GET", "DELETE"):
        error(server.request(method, path), 404, field, f"{title} with ID '{thing['id']}' not found")
    error(server.request("PUT", path, json={"name": name()}), 404, field)


def test_user_delete_answers_with_an_envelope_when_set_so(start_server):
    server = start_server("server.delete_user_status=200")
    u = user(server)
    assert ok(server.request("DELETE", f"{API}/users/{u['id']}"), message="User deleted successfully") == \
        {"user_id": u["id"]}


@SLASHES
def test_sessions_live_their_life(server, slash):
    u, a = user(server), agent(server)
    base = f"{API}/sessions"
    body = {"user_id": u["id"], "agent_id": a["id"]}
    s = ok(server.request("POST", base + slash, json={**body, "name": "First"}), 201,
           "Session created successfully")["session"]
    assert set(s) == KEYS["sessions"] and (s["user_id"], s["agent_id"], s["name"]) == (u["id"], a["id"], "First")
    unnamed = ok(server.request("POST", base + slash, json={**body, "name": None}), 201)["session"]
    prefix, _, tail = unnamed["name"].rpartition("-")
    assert prefix == f"{u['name']}-{a['name']}" and len(tail) == 8 and int(tail, 16) >= 0
    error(server.request("POST", base + slash, json={**body, "name": "First"}), 400, "name",
          "Session with name 'First' already exists for this user")
    other = user(server)
    ok(server.request("POST", base, json={**body, "user_id": other["id"], "name": "First"}), 201)
    error(server.request("POST", base, json={**body, "user_id": UNKNOWN}), 404, "user_id")
    error(server.request("POST", base, json={**body, "agent_id": UNKNOWN}), 404, "agent_id")
    path = f"{base}/{s['id']}{slash}"
    assert ok(server.request("GET", path))["session"] == s

    def found(**query):
        return {x["id"] for x in ok(server.request("GET", base + slash, params=query))["sessions"]}
    assert found(user_id=u["id"]) == {s["id"], unnamed["id"]}
    assert found(agent_id=a["id"]) >= {s["id"], unnamed["id"]}
    assert found(user_id=u["id"], agent_id=agent(server)["id"]) == set()
    assert found(user_id=u["id"], name="First") == {s["id"]}
    error(server.request("GET", base + slash, params={"user_id": UNKNOWN}), 404, "user_id")
    error(server.request("GET", base + slash, params={"agent_id": UNKNOWN}), 404, "agent_id")
    error(server.request("GET", base, params={"name": "none", "user_id": u["id"]}), 404, "name",
          f"Session with name 'none' not found for user '{u['id']}'")
    assert ok(server.request("PUT", path, json={"name": "Second"}))["session"]["name"] == "Second"
    assert ok(server.request("PUT", path, json={}))["session"]["name"] == "Second"
    error(server.request("PUT", path, json={"name": unnamed["name"]}), 400, "name")
    say(server, s["id"], "text that goes with its session")
    assert ok(server.request("DELETE", path), message="Session deleted successfully") == {"session_id": s["id"]}
    error(server.request("GET", path), 404, "session_id", f"Session with ID '{s['id']}' not found")
    error(server.request("GET", f"{base}/{s['id']}/messages"), 404, "session_id")


def test_a_deleted_user_leaves_nothing(server):
    u = user(server)
    s = session(server, u["id"])
    say(server, s["id"], "a secret of one who went")
    ok(server.request("POST", f"{API}/users/{u['id']}/knowledge", json={"knowledge": ["another secret"]}), 201)
    assert server.request("DELETE", f"{API}/users/{u['id']}").status_code == 204
    for path in (f"users/{u['id']}", f"users/{u['id']}/knowledge", f"sessions/{s['id']}",
                 f"sessions/{s['id']}/messages"):
        error(server.request("GET", f"{API}/{path}"), 404)
    error(server.request("POST", f"{API}/users/{u['id']}/query", json={"query": "secret"}), 404, "user_id")
    again = ok(server.request("POST", f"{API}/users", json={"name": u["name"]}), 201)["user"]
    assert again["id"] != u["id"]
    assert ok(server.request("POST", f"{API}/users/{again['id']}/query", json={"query": "secret"}))["results"] == []


def test_two_who_create_the_same_name_at_once_get_one_row(server):
    for _ in range(5):
        label = name("race")

        def create(_):
            return requests.post(f"{server.url}{API}/agents", json={"name": label}, timeout=30)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(create, range(8)))
        assert {r.status_code for r in answers} <= {201, 400}
        ids = {r.json()["data"]["agent"]["id"] for r in answers if r.status_code == 201}
        assert len(ids) == 1
        assert len([x for x in ok(server.request("GET", f"{API}/agents"))["agents"] if x["name"] == label]) == 1


# ---- knowledge ----

@SLASHES
def test_knowledge_lives_its_life(server, slash):
    u = user(server)
    base = f"{API}/users/{u['id']}/knowledge"
    assert ok(server.request("GET", base + slash))["knowledge"] == []
    ids = ok(server.request("POST", base + slash, json={"knowledge": ["Rex is a dog", "Tom is a cat"]}), 201,
             "Knowledge items added successfully")["knowledge_ids"]
    items = ok(server.request("GET", base + slash))["knowledge"]
    assert [i["content"] for i in items] == ["Rex is a dog", "Tom is a cat"] and [i["id"] for i in items] == ids
    assert set(items[0]) == {"id", "user_id", "content", "created_at", "updated_at"}
    read = ok(server.request("POST", f"{base}/read{slash}", json={"knowledge_ids": [ids[1], UNKNOWN]}))["knowledge"]
    assert [i["id"] for i in read] == [ids[1]]
    assert ok(server.request("POST", f"{base}/read{slash}", json={"knowledge_ids": []}))["knowledge"] == []
    changed = ok(server.request("PUT", base + slash, json={"knowledge_ids": [ids[0], UNKNOWN],
                                                           "new_knowledge": ["Rex is a wolf", "x", "more"]}))
    assert changed["knowledge_ids"] == [ids[0]]
    results = ok(server.request("POST", f"{API}/users/{u['id']}/query", json={"query": "wolf"}))["results"]
    assert results[0]["content"] == "Rex is a wolf" and results[0]["type"] == "knowledge"
    assert ok(server.request("DELETE", base + slash, json={"knowledge_ids": [ids[0], UNKNOWN]}))["knowledge_ids"] == \
        [ids[0]]
    assert [i["id"] for i in ok(server.request("GET", base + slash))["knowledge"]] == [ids[1]]
    assert ok(server.request("POST", base, json={"knowledge": []}), 201)["knowledge_ids"] == []
    assert ok(server.request("DELETE", base, json={"knowledge_ids": []}))["knowledge_ids"] == []
    error(server.request("PUT", base, json={"knowledge_ids": ids, "new_knowledge": ["one"]}), 422, "new_knowledge")


def test_knowledge_of_nobody_is_404(server):
    base = f"{API}/users/{UNKNOWN}/knowledge"
    for method, path, body in (("GET", base, None), ("POST", base, {"knowledge": ["x"]}),
                               ("POST", base, {"knowledge": []}),
                               ("POST", base + "/read", {"knowledge_ids": [UNKNOWN]}),
                               ("POST", base + "/read", {"knowledge_ids": []}),
                               ("PUT", base, {"knowledge_ids": [UNKNOWN], "new_knowledge": ["x"]}),
                               ("DELETE", base, {"knowledge_ids": [UNKNOWN]}),
                               ("DELETE", base, {"knowledge_ids": []})):
        error(server.request(method, path, json=body), 404, "user_id")


def test_knowledge_of_another_user_is_not_there(server):
    mine, theirs = user(server), user(server)
    ids = ok(server.request("POST", f"{API}/users/{theirs['id']}/knowledge", json={"knowledge": ["theirs"]}),
             201)["knowledge_ids"]
    base = f"{API}/users/{mine['id']}/knowledge"
    assert ok(server.request("POST", base + "/read", json={"knowledge_ids": ids}))["knowledge"] == []
    assert ok(server.request("PUT", base, json={"knowledge_ids": ids, "new_knowledge": ["x"]}))["knowledge_ids"] == []
    assert ok(server.request("DELETE", base, json={"knowledge_ids": ids}))["knowledge_ids"] == []
    assert len(ok(server.request("GET", f"{API}/users/{theirs['id']}/knowledge"))["knowledge"]) == 1


# ---- buffers ----

@SLASHES
def test_a_flush_brings_all_into_the_store(server, slash):
    s = session(server)
    ids = say(server, s["id"], "one", "two")
    assert {m["metadata"]["source"] for m in listed(server, s["id"])} == {"write_buffer"}
    stats = ok(server.request("GET", f"{API}/buffer/stats{slash}"))
    assert stats["write_buffer"]["rounds"] >= 1 and stats["pending"]["messages"] >= 2
    assert stats["counters"]["messages_added"] >= 2 and stats["counters"]["journal_commit_us"]["count"] >= 1
    assert ok(server.request("POST", f"{API}/buffer/flush{slash}"))["flushed"] is True
    rows = listed(server, s["id"], order="asc")
    assert [m["id"] for m in rows] == ids and {m["metadata"]["source"] for m in rows} == {"store"}


# ---- paths and methods ----

@pytest.mark.parametrize("path", ["/nothing", "/api/v1", "/api/v1/", "/api/v2/health", "/api/v1/nothing",
                                  "/api/v1/users/x/y", "/api/v1/health//"])
def test_unknown_paths_are_404_in_both_shapes(server, path):
    assert error(server.request("GET", path), 404)["detail"] == "Not Found"


@pytest.mark.parametrize("method,path,allow", [("POST", "health", "GET, HEAD"), ("PATCH", "users", "GET, HEAD, POST"),
                                               ("OPTIONS", "users", "GET, HEAD, POST"),
                                               ("GET", "users/u/query", "POST"), ("HEAD", "buffer/flush", "POST"),
                                               ("POST", "agents/a", "GET, HEAD, PUT, DELETE")])
def test_wrong_methods_are_405_with_those_that_are_allowed(server, method, path, allow):
    response = server.request(method, f"{API}/{path}")
    assert response.status_code == 405 and response.headers["Allow"] == allow
    if method != "HEAD":
        assert error(response, 405)["detail"] == "Method Not Allowed"


def test_no_answer_allows_other_origins(server):
    for method in ("GET", "OPTIONS"):
        response = server.request(method, f"{API}/users", headers={"Origin": "http://evil.example"})
        assert not [h for h in response.headers if h.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["health", "users", "agents/none", "buffer/stats"])
def test_head_answers_as_get_without_the_body(server, path):
    get, head = server.request("GET", f"{API}/{path}"), server.request("HEAD", f"{API}/{path}")
    assert head.status_code == get.status_code and head.content == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


@pytest.mark.parametrize("bad", ["a%20b", "x" * 65, "%C3%A9", "%FF", "a%2Fb", "%27%3B--"])
def test_ids_that_can_be_nobodys_are_404(server, bad):
    for kind, field in (("users", "user_id"), ("agents", "agent_id"), ("sessions", "session_id")):
        error(server.request("GET", f"{API}/{kind}/{bad}"), 404, field)
    error(server.request("DELETE", f"{API}/users/{user(server)['id']}/api-keys/{bad}"), 404, "key_id")


def test_answers_are_not_to_be_cached_or_sniffed(server):
    headers = server.request("GET", f"{API}/health").headers
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers


@pytest.mark.parametrize("query", ["name=%FF", "name=%C0%AF", "name=%zz", "name=%0", "name=%00"])
def test_queries_that_are_no_text_are_400(server, query):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(f"GET {API}/users?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        raw = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    assert raw.startswith("HTTP/1.1 400 ") and '"field":"name"' in raw


@pytest.mark.parametrize("half", [b"GET /api/v1/he", b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\n"
                                  b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"])
def test_half_a_request_does_not_keep_it_from_stopping(start_server, half):
    server = start_server("drain.timeout=300ms", "server.header_timeout=1h", "server.body_timeout=1h",
                          "server.write_timeout=1h")
    ok(server.request("GET", f"{API}/health"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(half)
        ok(server.request("GET", f"{API}/health"))
        assert server.stop() == 0


def test_pipelined_requests_are_answered_in_order(server):
    u = user(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        for path in ("health", f"users/{u['id']}", "nothing", "agents", "health"):
            s.sendall(f"GET {API}/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        s.sendall(f"GET {API}/users/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        raw = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    assert re.findall(r"HTTP/1.1 (\d+) ", raw) == ["200", "200", "404", "200", "200", "404"]
