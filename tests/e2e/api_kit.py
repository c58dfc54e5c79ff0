# SPDX-License-Identifier: Apache-2.0
"""What the tests of the REST interface share: the envelope's promises, and short ways to make things."""
import itertools
import re

API = "/api/v1"
ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$")
ENVELOPE = {"status", "code", "data", "message", "errors"}
_names = itertools.count(1)


def name(prefix="n"):
    return f"{prefix}-{next(_names)}"


def ok(response, code=200, message=None):
    """The data of a success, after a look at its envelope."""
    body = response.json()
    assert response.status_code == code, body
    assert set(body) == ENVELOPE and body["status"] == "success" and body["code"] == code and body["errors"] is None
    assert response.headers["Content-Type"] == "application/json"
    if message is not None:
        assert body["message"] == message
    return body["data"]


def error(response, code, field=None, message=None):
    """The body of an error, after a look at its envelope."""
    body = response.json()
    assert response.status_code == code, body
    assert ENVELOPE <= set(body) and body["status"] == "error" and body["code"] == code and body["data"] is None
    assert body["message"] and body["errors"] and all(set(e) == {"field", "message"} for e in body["errors"])
    if code == 422 and "detail" in body:
        assert all({"type", "loc", "msg"} <= set(d) and d["loc"][0] == "body" for d in body["detail"])
    if field is not None:
        assert field in [e["field"] for e in body["errors"]], body
    if message is not None:
        assert body["message"] == message
    return body


def user(server, **kw):
    return ok(server.request("POST", f"{API}/users", json={"name": name("user")}, **kw), 201)["user"]


def agent(server, **kw):
    return ok(server.request("POST", f"{API}/agents", json={"name": name("agent")}, **kw), 201)["agent"]


def session(server, user_id=None, agent_id=None, **kw):
    body = {"user_id": user_id or user(server, **kw)["id"], "agent_id": agent_id or agent(server, **kw)["id"]}
    return ok(server.request("POST", f"{API}/sessions", json=body, **kw), 201)["session"]


def messages_path(session_id):
    return f"{API}/sessions/{session_id}/messages"


def say(server, session_id, *texts, **kw):
    """Texts by turns of user and assistant, one round; the ids."""
    messages = [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]
    response = server.request("POST", messages_path(session_id), json={"messages": messages}, **kw)
    return ok(response, 201, "Messages added successfully")["message_ids"]


def listed(server, session_id, **query):
    return ok(server.request("GET", messages_path(session_id), params=query))["messages"]
