# SPDX-License-Identifier: Apache-2.0
"""API keys: each route with no key, a wrong key, the keys of two users and the administrator's."""
import json
import os
import re
import socket
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import requests

from api_kit import API, error, name, ok

ADMIN = "admin-key-0123456789"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
SOURCE = Path(__file__).resolve().parents[2] / "src/api/route.c"


class Caller:
    """Requests with one key; None sends none."""
    def __init__(self, server, key):
        self.server, self.key = server, key

    def request(self, method, path, **kw):
        headers = dict(kw.pop("headers", {}))
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        return requests.request(method, self.server.url + path, headers=headers, timeout=30, **kw)


def admin_settings(folder, mode=0o600):
    path = folder / "admin.key"
    path.write_text(ADMIN + "\n")
    os.chmod(path, mode)
    return ["server.api_key_validation=true", f"server.admin_key_file={path}"]


class World:
    """Two users, each with a key, a session, a message, knowledge."""
    def __init__(self, server):
        self.admin = Caller(server, ADMIN)
        self.agent = ok(self.admin.request("POST", f"{API}/agents", json={"name": name("agent")}), 201)["agent"]["id"]
        for who in ("a", "b"):
            self.make(server, who)

    def make(self, server, who):
        admin = self.admin
        u = ok(admin.request("POST", f"{API}/users", json={"name": name("user")}), 201)["user"]["id"]
        made = ok(admin.request("POST", f"{API}/users/{u}/api-keys", json={"name": "k"}), 201)["api_key"]
        caller = Caller(server, made["key"])
        s = ok(caller.request("POST", f"{API}/sessions", json={"user_id": u, "agent_id": self.agent}), 201)["session"]
        m = ok(caller.request("POST", f"{API}/sessions/{s['id']}/messages",
                              json={"messages": [{"role": "user", "content": f"canary-{who}"}]}), 201)["message_ids"][0]
        k = ok(caller.request("POST", f"{API}/users/{u}/knowledge", json={"knowledge": [f"canary-{who} too"]}),
               201)["knowledge_ids"][0]
        setattr(self, who, dict(user=u, key=made, caller=caller, session=s["id"], session_name=s["name"], message=m,
                                knowledge=k))


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    from conftest import Server, stop_well
    folder = tmp_path_factory.mktemp("locked")
    s = Server(folder / "data", *admin_settings(folder))
    yield s
    stop_well(s)


@pytest.fixture(scope="module")
def world(locked):
    return World(locked)


# method, path, body, what B gets on A's things; A and the administrator get 2xx unless told
def matrix(w):
    a = w.a
    new = {"messages": [{"role": "user", "content": "x"}]}
    return [
        ("GET", "/users", None, 200), ("POST", "/users", {"name": name()}, 403),
        ("GET", "/users/{user}", None, 404), ("PUT", "/users/{user}", {"description": "d"}, 404),
        ("DELETE", "/users/{user}", None, 404), ("POST", "/users/{user}/query", {"query": "canary"}, 404),
        ("GET", "/agents", None, 200), ("POST", "/agents", {"name": name()}, 201),
        ("GET", "/agents/" + w.agent, None, 200), ("PUT", "/agents/" + w.agent, {"description": "d"}, 403),
        ("DELETE", "/agents/" + w.agent, None, 403),
        ("GET", "/sessions", None, 200), ("POST", "/sessions", {"user_id": a["user"], "agent_id": w.agent}, 404),
        ("GET", "/sessions/{session}", None, 404), ("PUT", "/sessions/{session}", {"name": name()}, 404),
        ("DELETE", "/sessions/{session}", None, 404),
        ("GET", "/sessions/{session}/messages", None, 404), ("POST", "/sessions/{session}/messages", new, 404),
        ("PUT", "/sessions/{session}/messages", {"message_ids": [a["message"]], "new_messages": new["messages"]}, 404),
        ("DELETE", "/sessions/{session}/messages", {"message_ids": [a["message"]]}, 404),
        ("POST", "/sessions/{session}/messages/read", {"message_ids": [a["message"]]}, 404),
        ("GET", "/users/{user}/knowledge", None, 404), ("POST", "/users/{user}/knowledge", {"knowledge": ["x"]}, 404),
        ("PUT", "/users/{user}/knowledge", {"knowledge_ids": [a["knowledge"]], "new_knowledge": ["x"]}, 404),
        ("DELETE", "/users/{user}/knowledge", {"knowledge_ids": [a["knowledge"]]}, 404),
        ("POST", "/users/{user}/knowledge/read", {"knowledge_ids": [a["knowledge"]]}, 404),
        ("GET", "/users/{user}/api-keys", None, 404), ("POST", "/users/{user}/api-keys", {}, 404),
        ("DELETE", "/users/{user}/api-keys/{key_id}", None, 404),
        ("GET", "/buffer/stats", None, 403), ("POST", "/buffer/flush", None, 403),
        ("POST", "/buffer/requeue", None, 403),
        ("GET", "/embed/stats", None, 403), ("POST", "/embed/stats/reset", None, 403),
        ("POST", "/embed/cache/clear", None, 403),
    ]


def filled(w, path):
    return API + path.format(**{**w.a, "key_id": w.a["key"]["id"]})


def test_the_matrix_has_every_route(world):
    rows = re.findall(r"\{MF_HTTP_(\w+), \{([^}]*)\}", SOURCE.read_text())
    routes = {(m, "/" + "/".join(re.findall(r'"([^"]+)"', p))) for m, p in rows} - {("GET", "/health")}
    tested = {(m, re.sub(r"\{\w+\}", "*", p.replace(world.agent, "*"))) for m, p, _, _ in matrix(world)}
    assert tested == routes


@pytest.mark.parametrize("key,message", [
    (None, "Authentication failed: Missing API key"), ("wrong-key-wrong-key", "Authentication failed: Invalid API key"),
    ("mf_12345678_" + "0" * 43, "Authentication failed: Invalid API key"),
    ("two words", "Authentication failed: Invalid API key format"), ("", "Authentication failed: Invalid API key format")])
def test_without_a_good_key_everything_is_401(locked, world, key, message):
    for method, path, body, _ in matrix(world):
        response = Caller(locked, key).request(method, filled(world, path), json=body)
        assert response.status_code == 401 and response.headers["WWW-Authenticate"] == "Bearer", path
        if key != "":  # the client library trims the blank behind "Bearer"
            error(response, 401, "api_key", message)


def test_a_user_gets_nothing_of_another(locked, world):
    b = world.b["caller"]
    for method, path, body, want in matrix(world):
        for slash in ("", "/"):
            response = b.request(method, filled(world, path) + slash, json=body)
            assert response.status_code in ((want,) if want != 201 else (201, 400)), (method, path, response.text)
            assert "canary-a" not in response.text and world.a["key"]["id"] not in response.text
            assert want not in (200,) or path.startswith("/agents") or world.a["user"] not in response.text


def test_filters_do_not_reach_over(world):
    a, b = world.a, world.b["caller"]
    assert [u["id"] for u in ok(b.request("GET", f"{API}/users"))["users"]] == [world.b["user"]]
    error(b.request("GET", f"{API}/users", params={"name": ok(a["caller"].request(
        "GET", f"{API}/users/{a['user']}"))["user"]["name"]}), 404, "name")
    error(b.request("GET", f"{API}/sessions", params={"user_id": a["user"]}), 404, "user_id")
    error(b.request("GET", f"{API}/sessions", params={"name": a["session_name"]}), 404, "name")
    mine = f"{API}/users/{world.b['user']}/query"
    error(b.request("POST", mine, json={"query": "canary", "session_id": a["session"]}), 404, "session_id")
    assert "canary-a" not in b.request("POST", mine, json={"query": "canary-a", "top_k": 100}).text
    own = f"{API}/sessions/{world.b['session']}/messages"
    error(b.request("POST", own + "/read", json={"message_ids": [a["message"]]}), 404, "message_ids")
    error(b.request("DELETE", own, json={"message_ids": [a["message"]]}), 404, "message_ids")
    ids = f"{API}/users/{world.b['user']}/knowledge/read"
    assert ok(b.request("POST", ids, json={"knowledge_ids": [a["knowledge"]]}))["knowledge"] == []
    error(b.request("DELETE", f"{API}/users/{world.b['user']}/api-keys/{a['key']['id']}"), 404, "key_id")


def test_an_idempotency_key_is_the_askers_own(locked, world):
    body = {"name": name("shared")}
    headers = {"Idempotency-Key": name("key")}
    first = world.a["caller"].request("POST", f"{API}/agents", json=body, headers=headers)
    assert first.status_code == 201
    second = world.b["caller"].request("POST", f"{API}/agents", json=body, headers=headers)
    assert second.status_code == 400 and "Idempotency-Replayed" not in second.headers


@pytest.mark.parametrize("who", ["a", "admin"])
def test_the_owner_and_the_administrator_may(locked, who):
    w = World(locked)
    caller = w.admin if who == "admin" else w.a["caller"]
    rows = matrix(w)
    order = ["messages", "knowledge", "{session}", w.agent, "{key_id}", "{user}"]
    deletes = sorted([r for r in rows if r[0] == "DELETE"], key=lambda r: order.index(r[1].rsplit("/", 1)[1]))
    for method, path, body, foreign in [r for r in rows if r[0] != "DELETE"] + deletes:
        response = caller.request(method, filled(w, path), json=body)
        if who == "admin":
            wants = {200, 201, 204}
        elif (method, path) == ("DELETE", "/users/{user}"):
            wants = {401}  # the key went before
        else:
            wants = {403} if foreign == 403 else {200, 201}
        assert response.status_code in wants, (method, path, response.text)


def test_a_user_may_go(locked):
    w = World(locked)
    assert w.a["caller"].request("DELETE", f"{API}/users/{w.a['user']}").status_code == 204
    error(w.admin.request("GET", f"{API}/users/{w.a['user']}"), 404, "user_id")


def test_health_asks_nobody(locked):
    for key in (None, "wrong-key-wrong-key", ADMIN):
        ok(Caller(locked, key).request("GET", f"{API}/health"))


def test_unknown_paths_are_404_for_all(locked):
    error(Caller(locked, None).request("GET", f"{API}/nothing"), 404)


# ---- keys ----

def test_a_key_is_shown_once_and_kept_as_a_hash(locked, world):
    made = world.a["key"]
    assert re.fullmatch(r"mf_[0-9a-f]{8}_[0-9A-Za-z]{43}", made["key"]) and made["id"].startswith(made["key"][3:11])
    assert set(made) == {"id", "user_id", "name", "key", "permissions", "created_at", "expires_at"}
    listed = ok(world.a["caller"].request("GET", f"{API}/users/{world.a['user']}/api-keys"))["api_keys"]
    assert [k["key"] for k in listed if k["id"] == made["id"]] == [made["key"][:12] + "********"]
    secret = made["key"][12:].encode()
    assert secret.decode() not in locked.log() and ADMIN not in locked.log()
    for path in locked.data.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path


def test_a_key_keeps_its_words(world):
    body = {"name": "ci", "permissions": {"read": [1.10, True]}, "expires_at": "2099-01-31T12:00:00+02:00"}
    path = f"{API}/users/{world.a['user']}/api-keys"
    made = ok(world.a["caller"].request("POST", path + "/", json=body), 201, "API key created successfully")["api_key"]
    assert (made["name"], made["permissions"], made["expires_at"]) == \
        ("ci", body["permissions"], "2099-01-31T10:00:00.000000")
    bare = ok(world.a["caller"].request("POST", path), 201)["api_key"]
    assert bare["name"] is None and bare["permissions"] is None and bare["expires_at"] is None
    assert bare["key"] != made["key"]


def test_a_deleted_key_is_good_for_nothing_at_once(locked, world):
    path = f"{API}/users/{world.a['user']}/api-keys"
    made = ok(world.a["caller"].request("POST", path), 201)["api_key"]
    other = Caller(locked, made["key"])
    ok(other.request("GET", f"{API}/users"))
    assert ok(world.a["caller"].request("DELETE", f"{path}/{made['id']}"), message="API key deleted successfully") == \
        {"key_id": made["id"]}
    error(other.request("GET", f"{API}/users"), 401, "api_key")
    error(world.a["caller"].request("DELETE", f"{path}/{made['id']}"), 404, "key_id")


def test_the_keys_of_a_deleted_user_are_good_for_nothing_at_once(locked):
    w = World(locked)
    ok(w.a["caller"].request("GET", f"{API}/users"))
    assert w.admin.request("DELETE", f"{API}/users/{w.a['user']}").status_code == 204
    error(w.a["caller"].request("GET", f"{API}/users"), 401, "api_key")


def test_an_expired_key_is_told_from_no_other_bad_one(locked, world):
    soon = (datetime.now(timezone.utc) + timedelta(seconds=1.5)).isoformat()
    path = f"{API}/users/{world.a['user']}/api-keys"
    made = ok(world.a["caller"].request("POST", path, json={"expires_at": soon}), 201)["api_key"]
    caller = Caller(locked, made["key"])
    ok(caller.request("GET", f"{API}/users"))
    end = time.monotonic() + 30
    while caller.request("GET", f"{API}/users").status_code != 401 and time.monotonic() < end:
        time.sleep(0.1)
    expired = caller.request("GET", f"{API}/users")
    assert expired.json() == Caller(locked, "mf_00000000_" + "x" * 43).request("GET", f"{API}/users").json()


def test_the_header_can_be_another(start_server, tmp_path):
    server = start_server(*admin_settings(tmp_path), "server.api_key_header=X-API-Key")
    assert requests.get(server.url + f"{API}/users", headers={"Authorization": f"Bearer {ADMIN}"}).status_code == 401
    assert requests.get(server.url + f"{API}/users", headers={"x-api-key": f"Bearer {ADMIN}"}).status_code == 200


def test_keys_are_good_after_a_restart(start_server, tmp_path):
    settings = admin_settings(tmp_path)
    first = start_server(*settings)
    w = World(first)
    first.kill()
    second = start_server(*settings, data=first.data)
    assert "canary-a" in Caller(second, w.a["key"]["key"]).request("GET", f"{API}/sessions/{w.a['session']}/messages").text


def test_a_body_is_not_read_for_a_client_without_a_key(locked):
    with socket.create_connection(("127.0.0.1", locked.port), timeout=30) as s:
        s.sendall(f"POST {API}/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  "Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n".encode())
        answer = s.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 401 ") and "WWW-Authenticate: Bearer" in answer
    assert json.loads(answer.split("\r\n\r\n", 1)[1])["code"] == 401


@pytest.mark.parametrize("mode,word", [(0o644, "chmod 600"), (0o620, "chmod 600"), (None, "No such file")])
def test_a_key_file_others_can_read_is_refused_at_start(start_server, tmp_path, mode, word):
    settings = admin_settings(tmp_path, mode or 0o600)
    if mode is None:
        (tmp_path / "admin.key").unlink()
    with pytest.raises(RuntimeError) as e:
        start_server(*settings)
    assert "server.admin_key_file" in str(e.value) and word in str(e.value) and ADMIN not in str(e.value)
