# SPDX-License-Identifier: Apache-2.0
"""The public client, synchronous, as people use it."""
import socket

import pytest
from memfuse import MemFuse
from memfuse.utils import MemFuseHTTPError

DEFAULT_PORT = 8765


@pytest.fixture
def client(base_url):
    with MemFuse(base_url=base_url) as c:
        yield c


def ids_of(answer):
    return [m["id"] for m in answer["data"]["messages"]]


def texts_of(answer):
    return [m["content"] for m in answer["data"]["messages"]]


def test_no_argument_but_the_users_name(start_server, capsys):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            pytest.skip(f"port {DEFAULT_PORT} is in use on this machine")
    start_server(port=DEFAULT_PORT)
    with MemFuse() as client:
        memory = client.init(user="alice")
        memory.add([{"role": "user", "content": "my bicycle is green"}])
        results = memory.query("which colour has my bicycle?")["data"]["results"]
    assert results[0]["content"] == "my bicycle is green"
    assert memory.agent == "agent_default"
    assert memory.session.startswith("alice-agent_default-")
    assert "mismatch" not in capsys.readouterr().out.lower()  # of API versions


def test_init_finds_again_what_it_made(client):
    first = client.init(user="ann", agent="guide", session="trip")
    again = client.init(user="ann", agent="guide", session="trip")
    other = client.init(user="ann", agent="guide")
    assert (again.user_id, again.agent_id) == (first.user_id, first.agent_id)
    assert again.session_id == first.session_id
    assert other.session_id != first.session_id and other.user_id == first.user_id


def test_messages_keep_their_metadata(client):
    memory = client.init(user="meta")
    sent = {"lang": "en", "nested": {"n": [1, 2.5, None, True]}, "h\u00e9": "\U0001f600"}
    answer = memory.add([
        {"role": "user", "content": "one", "metadata": sent},
        {"role": "assistant", "content": "two"},
    ])
    assert answer["status"] == "success" and answer["code"] == 201
    rows = memory.read(answer["data"]["message_ids"])["data"]["messages"]
    assert {k: rows[0]["metadata"].get(k) for k in sent} == sent
    assert not set(sent) & set(rows[1]["metadata"] or {})
    assert [r["role"] for r in rows] == ["user", "assistant"]
    listed = memory.list_messages(order="asc")["data"]["messages"]
    assert {k: listed[0]["metadata"].get(k) for k in sent} == sent


def test_the_two_lists_are_disjoint_and_together_complete(client):
    memory = client.init(user="lists")
    sent = []
    for i in range(13):
        sent += memory.add([{"role": "user", "content": f"round {i} asks"},
                            {"role": "assistant", "content": f"round {i} answers"}]
                           )["data"]["message_ids"]
        buffered = ids_of(memory.list_messages(limit=100, buffer_only=True))
        others = ids_of(memory.list_messages(limit=100, buffer_only=False))
        everything = ids_of(memory.list_messages(limit=100))
        assert not set(buffered) & set(others)
        assert buffered + others == everything == sent[::-1]
        assert buffered, "the newest round is in the write buffer"
    assert others, "13 rounds do not fit the write buffer"


def test_list_limits_and_sorts(client):
    memory = client.init(user="sorts")
    ids = []
    for i in range(24):
        ids += memory.add([{"role": "user", "content": f"n{i}"}])["data"]["message_ids"]
    assert ids_of(memory.list_messages()) == ids[::-1][:20]
    assert ids_of(memory.list_messages(limit=5, order="asc")) == ids[:5]
    assert ids_of(memory.list_messages(limit=100, sort_by="id", order="asc")) == sorted(ids)
    with pytest.raises(MemFuseHTTPError) as e:
        memory.list_messages(limit=0)
    assert e.value.status_code == 400


def test_read_update_delete(client):
    memory = client.init(user="changes")
    ids = memory.add([{"role": "user", "content": f"the cat sat on chair {i}"}
                      for i in range(4)])["data"]["message_ids"]
    assert ids_of(memory.read([ids[2], ids[0]])) == [ids[2], ids[0]]
    memory.update([ids[1]], [{"role": "user", "content": "a parrot flew to Lisbon"}])
    assert texts_of(memory.read([ids[1]])) == ["a parrot flew to Lisbon"]
    top = memory.query("where did the parrot fly?")["data"]["results"][0]
    assert (top["id"], top["content"]) == (ids[1], "a parrot flew to Lisbon")
    memory.delete([ids[1]])
    assert ids_of(memory.list_messages(order="asc")) == [ids[0], ids[2], ids[3]]
    found = memory.query("a parrot flew to Lisbon", top_k=50)["data"]["results"]
    assert ids[1] not in [r["id"] for r in found]
    for verb in (memory.read, memory.delete):
        with pytest.raises(MemFuseHTTPError) as e:
            verb([ids[1]])
        assert e.value.status_code == 404


def test_query_tells_what_prompts_need(client):
    memory = client.init(user="asker", session="now")
    before = client.init(user="asker", session="before")
    old = before.add([{"role": "user", "content": "I play the cello"}])["data"]["message_ids"][0]
    new = memory.add([{"role": "assistant", "content": "The cello lesson is at nine"}]
                     )["data"]["message_ids"][0]
    answer = memory.query_session("cello")
    rows = {r["id"]: r for r in answer["data"]["results"]}
    assert answer["data"]["total"] == len(answer["data"]["results"]) == len(rows)
    assert rows[old]["metadata"]["scope"] == "cross_session"
    assert rows[new]["metadata"]["scope"] == "in_session"
    assert rows[new]["role"] == "assistant"
    for row in rows.values():
        assert row["type"] == "message" and row["memory_type"]
        assert row["metadata"]["user_id"] == memory.user_id
        assert row["metadata"]["retrieval"]["source"]
    free = memory.query("cello", metadata={"task": "plan"})["data"]["results"]
    assert {r["id"] for r in free} == {old, new}
    assert all(r["metadata"]["scope"] is None for r in free)
    assert len(memory.query("cello", top_k=1)["data"]["results"]) == 1


def test_query_of_another_agent_finds_nothing_of_this_one(client):
    mine = client.init(user="two agents", agent="gardener")
    other = client.init(user="two agents", agent="cook")
    mine.add([{"role": "user", "content": "the roses need water"}])
    assert other.query("roses", agent_id=other.agent_id)["data"]["results"] == []
    assert len(other.query("roses")["data"]["results"]) == 1


def test_nobody_finds_what_another_user_said(client):
    client.init(user="teller").add([{"role": "user", "content": "the safe code is gloxinia"}])
    assert client.init(user="eve").query("gloxinia")["data"]["results"] == []


def test_knowledge(client):
    memory = client.init(user="knower")
    ids = memory.add_knowledge(["Ann was born in Oslo", "Ann speaks Basque"]
                               )["data"]["knowledge_ids"]
    rows = memory.read_knowledge(ids)["data"]["knowledge"]
    assert {r["id"]: r["content"] for r in rows} == {
        ids[0]: "Ann was born in Oslo", ids[1]: "Ann speaks Basque"}
    top = memory.query("Basque")["data"]["results"][0]
    assert (top["id"], top["type"], top["content"]) == (ids[1], "knowledge", "Ann speaks Basque")
    memory.update_knowledge([ids[0]], ["Ann was born in Bergen"])
    assert memory.query("Bergen")["data"]["results"][0]["id"] == ids[0]
    memory.delete_knowledge([ids[1]])
    listed = client.knowledge.list_sync(memory.user_id)["data"]["knowledge"]
    assert [k["id"] for k in listed] == [ids[0]]
    assert ids[1] not in [r["id"] for r in memory.query("Basque")["data"]["results"]]


def test_users_agents_sessions(client):
    user = client.users.create_sync(name="root user", description="d")["data"]["user"]
    assert client.users.get_sync(user["id"])["data"]["user"] == user
    assert set(user) == {"id", "name", "description", "created_at", "updated_at"}
    with pytest.raises(MemFuseHTTPError) as e:
        client.users.create_sync(name="root user")
    assert e.value.status_code == 400
    renamed = client.users.update_sync(user["id"], name="n\u00e9w & shiny")["data"]["user"]
    assert renamed["name"] == "n\u00e9w & shiny" and renamed["description"] == "d"
    agent = client.agents.create_sync(name="root agent")["data"]["agent"]
    session = client.sessions.create_sync(user["id"], agent["id"], "s1")["data"]["session"]
    listed = client.sessions.list_sync(user_id=user["id"])["data"]["sessions"]
    assert [s["id"] for s in listed] == [session["id"]]
    client.sessions.update_sync(session["id"], name="s2")
    got = client.sessions.get_by_name_sync("s2", user_id=user["id"])["data"]["sessions"]
    assert [s["id"] for s in got] == [session["id"]]
    client.agents.delete_sync(agent["id"])
    with pytest.raises(MemFuseHTTPError) as e:
        client.sessions.get_sync(session["id"])
    assert e.value.status_code == 404


def test_api_keys_open_their_owners_things_only(start_server, tmp_path):
    admin_file = tmp_path / "admin.key"
    admin_file.write_text("a-long-administrator-key-for-this-test\n")
    admin_file.chmod(0o600)
    server = start_server("server.api_key_validation=true",
                          f"server.admin_key_file={admin_file}")
    with pytest.raises(MemFuseHTTPError) as e:
        MemFuse(base_url=server.url).init(user="ann")
    assert e.value.status_code == 401
    admin = MemFuse(base_url=server.url, api_key="a-long-administrator-key-for-this-test")
    ann = admin.init(user="ann", session="s")
    bob = admin.init(user="bob", session="s")
    made = admin.api_keys.create_sync(ann.user_id, name="laptop")["data"]["api_key"]
    listed = admin.api_keys.list_sync(ann.user_id)["data"]["api_keys"]
    assert [k["id"] for k in listed] == [made["id"]]
    assert made["key"] not in str(listed)
    key = MemFuse(base_url=server.url, api_key=made["key"])
    key.messages.add_sync(ann.session_id, [{"role": "user", "content": "hello"}])
    for session, user in ((bob.session_id, bob.user_id),):
        for verb, args in ((key.messages.list_sync, (session,)),
                           (key.users.query_sync, (user, "hello"))):
            with pytest.raises(MemFuseHTTPError) as e:
                verb(*args)
            assert e.value.status_code in (403, 404)
    admin.api_keys.delete_sync(ann.user_id, made["id"])
    with pytest.raises(MemFuseHTTPError) as e:
        key.messages.list_sync(ann.session_id)
    assert e.value.status_code == 401
    assert made["key"] not in server.log()
