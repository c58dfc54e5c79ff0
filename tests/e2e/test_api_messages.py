# SPDX-License-Identifier: Apache-2.0
"""Messages and questions over HTTP: what is added is listed, read, found, changed and gone."""
import device
import pytest

from api_kit import API, ISO, agent, error, listed, messages_path, name, ok, say, session, user

SLASHES = pytest.mark.parametrize("slash", ["", "/"])
UNKNOWN = "00000000-0000-4000-8000-000000000000"
KEYS = {"id", "session_id", "role", "content", "created_at", "updated_at", "metadata"}


def ask(server, user_id, query, **body):
    return ok(server.request("POST", f"{API}/users/{user_id}/query", json={"query": query, **body}))


# ---- add and list ----

@SLASHES
def test_what_is_added_is_listed(server, slash):
    s = session(server)
    path = messages_path(s["id"]) + slash
    metadata = {"timestamp": "2023-05-08T13:56:00Z", "n": 1.10, "deep": {"a": [1, None, "é"]}}
    messages = [{"role": "user", "content": "Grüße 😀 \"q\" \\ \n\t", "metadata": metadata, "extra": 1},
                {"role": "assistant", "content": "b", "metadata": None}, {"role": "system", "content": "c"}]
    data = ok(server.request("POST", path, json={"messages": messages}), 201, "Messages added successfully")
    assert set(data) == {"message_ids", "transfer_triggered", "total_messages", "buffer_status"}
    assert (data["transfer_triggered"], data["total_messages"], data["buffer_status"]) == (False, 3, "success")
    rows = ok(server.request("GET", path, params={"order": "asc"}), message="Messages retrieved successfully")["messages"]
    assert all(set(m) == KEYS and ISO.match(m["created_at"]) and ISO.match(m["updated_at"]) for m in rows)
    assert [m["id"] for m in rows] == data["message_ids"]
    assert [(m["role"], m["content"], m["session_id"]) for m in rows] == \
        [(m["role"], m["content"], s["id"]) for m in messages]
    ours = {"source": "write_buffer", "user_id": s["user_id"], "session_id": s["id"]}
    assert rows[0]["metadata"] == {**metadata, **ours} and rows[1]["metadata"] == ours
    assert rows[0]["created_at"] == "2023-05-08T13:56:00.000000" and rows[0]["updated_at"] > "2026"


def test_metadata_keeps_its_digits_and_its_keys(server):
    s = session(server)
    body = ('{"messages":[{"role":"user","content":"x","metadata":{"big":12345678901234567890123,"f":1.10,'
            '"source":"mine","in":{"user_id":1}}}]}')
    ok(server.request("POST", messages_path(s["id"]), data=body, headers={"Content-Type": "application/json"}), 201)
    text = server.request("GET", messages_path(s["id"])).text
    assert ('"metadata":{"big":12345678901234567890123,"f":1.10,"source":"mine","in":{"user_id":1},'
            f'"user_id":"{s["user_id"]}","session_id":"{s["id"]}"}}') in text


def test_newest_come_first_and_the_limit_holds(server):
    s = session(server)
    ids = [i for n in range(60) for i in say(server, s["id"], f"q{n}", f"a{n}")]
    assert [m["id"] for m in listed(server, s["id"])] == ids[::-1][:20]
    assert [m["id"] for m in listed(server, s["id"], limit=1)] == ids[-1:]
    assert [m["id"] for m in listed(server, s["id"], limit=99)] == ids[::-1][:99]
    for limit in (100, 101, 10**30, " +100 "):
        assert [m["id"] for m in listed(server, s["id"], limit=limit)] == ids[::-1][:100]
    assert [m["id"] for m in listed(server, s["id"], limit=7, order="asc")] == ids[:7]
    assert [m["id"] for m in listed(server, s["id"], limit=7, sort_by="id", order="asc")] == sorted(ids)[:7]
    assert [m["id"] for m in listed(server, s["id"], limit=7, sort_by="id")] == sorted(ids)[::-1][:7]


def test_the_two_parts_are_disjoint_and_together_complete(server):
    s = session(server)
    ids = [i for n in range(7) for i in say(server, s["id"], f"q{n}", f"a{n}")]
    buffered = [m["id"] for m in listed(server, s["id"], buffer_only="TRUE", limit=100)]
    rest = [m["id"] for m in listed(server, s["id"], buffer_only="false", limit=100)]
    assert buffered and rest and not set(buffered) & set(rest) and buffered + rest == ids[::-1]
    assert [m["id"] for m in listed(server, s["id"], limit=100)] == ids[::-1]


def test_strict_upstream_lists_the_write_buffer_too(start_server):
    server = start_server("server.strict_upstream=true")
    s = session(server)
    ids = say(server, s["id"], "a", "b")
    assert [m["id"] for m in listed(server, s["id"], buffer_only="false")] == ids[::-1]


@pytest.mark.parametrize("name,value,sentence", [
    ("limit", "abc", "Limit must be an integer"), ("limit", "", "Limit must be an integer"),
    ("limit", "1.5", "Limit must be an integer"), ("limit", "0", "Limit must be greater than 0"),
    ("limit", "-1", "Limit must be greater than 0"), ("limit", "-", "Limit must be an integer"),
    ("sort_by", "date", "sort_by must be one of: timestamp, id"), ("sort_by", "", "sort_by must be one of: timestamp, id"),
    ("order", "DESC", "order must be one of: asc, desc"), ("order", "", "order must be one of: asc, desc"),
    ("buffer_only", "1", "buffer_only must be 'true' or 'false'"),
    ("buffer_only", "", "buffer_only must be 'true' or 'false'")])
def test_wrong_parameters_are_400_in_the_words_of_upstream(server, name, value, sentence):
    for s in (session(server)["id"], UNKNOWN):  # parameters come before the session
        body = error(server.request("GET", messages_path(s), params={name: value}), 400, name,
                     f"Invalid {name} parameter")
        assert body["errors"] == [{"field": name, "message": sentence}]


def test_no_messages_are_fine(server):
    assert ok(server.request("POST", messages_path(session(server)["id"]), json={"messages": []}), 201)["message_ids"] == []


def test_bypass_answers_ids_only(start_server):
    server = start_server("buffer.enabled=false")
    s = session(server)
    data = ok(server.request("POST", messages_path(s["id"]), json={"messages": [{"role": "user", "content": "x"}]}), 201)
    assert set(data) == {"message_ids"} and [m["id"] for m in listed(server, s["id"])] == data["message_ids"]


def test_unknown_sessions_are_404_for_every_verb(server):
    path = messages_path(UNKNOWN)
    for method, url, body in (("GET", path, None), ("POST", path, {"messages": [{"role": "user", "content": "x"}]}),
                              ("POST", path, {"messages": []}), ("POST", path + "/read", {"message_ids": ["x"]}),
                              ("PUT", path, {"message_ids": ["x"], "new_messages": [{"role": "user", "content": "x"}]}),
                              ("DELETE", path, {"message_ids": ["x"]})):
        error(server.request(method, url, json=body), 404, "session_id", f"Session with ID '{UNKNOWN}' not found")


# ---- ids of the client ----

def test_a_client_id_makes_a_retry_harmless(server):
    s = session(server)
    mine = name("my.id:")
    body = {"messages": [{"id": mine, "role": "user", "content": "once"}, {"role": "user", "content": "new"}]}
    first = ok(server.request("POST", messages_path(s["id"]), json=body), 201)["message_ids"]
    assert first[0] == mine
    again = ok(server.request("POST", messages_path(s["id"]), json={"messages": body["messages"][:1]}), 201)
    assert again["message_ids"] == [mine]
    assert [m["id"] for m in listed(server, s["id"], order="asc")] == first
    other = {"messages": [{"id": mine, "role": "user", "content": "other"}]}
    error(server.request("POST", messages_path(s["id"]), json=other), 409)


def test_one_id_for_two_messages_is_422(server):
    s = session(server)
    body = {"messages": [{"id": "x1", "role": "user", "content": "a"}, {"role": "user", "content": "b"},
                         {"id": "x1", "role": "user", "content": "c"}]}
    error(server.request("POST", messages_path(s["id"]), json=body), 422, "messages[2].id")
    assert listed(server, s["id"]) == []


@pytest.mark.parametrize("bad", ["", "a b", "é", "x" * 65, "a/b", 5])
def test_bad_client_ids_are_422(server, bad):
    body = {"messages": [{"id": bad, "role": "user", "content": "a"}]}
    response = server.request("POST", messages_path(session(server)["id"]), json=body)
    error(response, 422, "messages[0].id")


# ---- read, update, delete ----

@SLASHES
@pytest.mark.parametrize("flushed", [False, True])
def test_messages_are_read_changed_and_deleted_wherever_they_are(server, slash, flushed):
    s = session(server)
    ids = say(server, s["id"], "the first", "the second", "the third")
    if flushed:
        ok(server.request("POST", f"{API}/buffer/flush"))
    path = messages_path(s["id"])
    rows = ok(server.request("POST", f"{path}/read{slash}", json={"message_ids": [ids[2], ids[0]]}),
              message="Messages read successfully")["messages"]
    assert [m["id"] for m in rows] == [ids[2], ids[0]] and all(set(m) == KEYS for m in rows)
    new = [{"role": "system", "content": "zebra crossing", "metadata": {"k": 1}}]
    assert ok(server.request("PUT", path + slash, json={"message_ids": ids[:1], "new_messages": new}),
              message="Messages updated successfully") == {"message_ids": ids[:1]}
    row = ok(server.request("POST", path + "/read", json={"message_ids": ids[:1]}))["messages"][0]
    assert (row["role"], row["content"], row["metadata"]["k"]) == ("system", "zebra crossing", 1)
    assert row["updated_at"] > row["created_at"] == rows[1]["created_at"]
    assert ask(server, s["user_id"], "zebra")["results"][0]["id"] == ids[0]
    assert ok(server.request("DELETE", path + slash, json={"message_ids": ids[:1]}),
              message="Messages deleted successfully") == {"message_ids": ids[:1]}
    assert [m["id"] for m in listed(server, s["id"], order="asc")] == ids[1:]
    assert ids[0] not in [r["id"] for r in ask(server, s["user_id"], "zebra")["results"]]


def test_missing_ids_are_named_and_nothing_changes(server):
    s, other = session(server), session(server)
    ids, foreign = say(server, s["id"], "a", "b"), say(server, other["id"], "c")
    path = messages_path(s["id"])
    for method, url, extra in (("POST", path + "/read", {}), ("DELETE", path, {}),
                               ("PUT", path, {"new_messages": [{"role": "user", "content": "z"}] * 3})):
        body = error(server.request(method, url, json={"message_ids": [ids[0], "nope", foreign[0]], **extra}), 404,
                     "message_ids", "Some message IDs were not found")
        assert body["errors"][0]["message"] == f"Message IDs not found: nope, {foreign[0]}"
    assert [m["content"] for m in listed(server, s["id"], order="asc")] == ["a", "b"]


def test_fewer_new_messages_than_ids_are_422(server):
    s = session(server)
    ids = say(server, s["id"], "a", "b")
    body = {"message_ids": ids, "new_messages": [{"role": "user", "content": "x"}]}
    error(server.request("PUT", messages_path(s["id"]), json=body), 422, "new_messages")


# ---- questions ----

@SLASHES
def test_results_have_all_their_parts(server, slash):
    u, a = user(server), agent(server)
    s1, s2 = session(server, u["id"], a["id"]), session(server, u["id"], a["id"])
    here = say(server, s1["id"], "my telescope stands on the balcony")[0]
    there = say(server, s2["id"], "the telescope needs a new lens")[0]
    response = server.request("POST", f"{API}/users/{u['id']}/query{slash}",
                              json={"query": "telescope", "session_id": s1["id"], "metadata": {"task": "x"}})
    data = ok(response, message="Found 2 results")
    assert data["total"] == 2 and data["semantic"] is device.IS_NPU and "partial" not in data
    by_id = {r["id"]: r for r in data["results"]}
    for r in by_id.values():
        assert set(r) == {"id", "content", "score", "type", "memory_type", "role", "created_at", "updated_at", "metadata"}
        assert (r["type"], r["memory_type"], r["role"]) == ("message", "message", "user") and 0 <= r["score"] <= 1
        m = r["metadata"]
        assert (m["user_id"], m["level"], m["agent_id"]) == (u["id"], 0, a["id"])
        assert set(m["retrieval"]) == {"source", "method", "similarity", "bm25", "boost", "is_passage"}
    assert by_id[here]["metadata"]["scope"] == "in_session" and by_id[there]["metadata"]["scope"] == "cross_session"
    assert by_id[here]["metadata"]["session_name"] == s1["name"]
    scores = [r["score"] for r in data["results"]]
    assert scores == sorted(scores, reverse=True)
    assert {r["metadata"]["scope"] for r in ask(server, u["id"], "telescope")["results"]} == {None}


def test_the_agent_limits_to_its_sessions(server):
    u, a1, a2 = user(server), agent(server), agent(server)
    say(server, session(server, u["id"], a1["id"])["id"], "penguins swim")
    ids = say(server, session(server, u["id"], a2["id"])["id"], "penguins dive")
    assert [r["id"] for r in ask(server, u["id"], "penguins", agent_id=a2["id"])["results"]] == ids


def test_kinds_and_legs_can_be_left_out(server):
    u = user(server)
    say(server, session(server, u["id"])["id"], "an otter in the river")
    ok(server.request("POST", f"{API}/users/{u['id']}/knowledge", json={"knowledge": ["otters eat fish"]}), 201)

    def types(**body):
        return {r["type"] for r in ask(server, u["id"], "otter", **body)["results"]}

    def methods(**body):
        return {r["metadata"]["retrieval"]["method"] for r in ask(server, u["id"], "otter", **body)["results"]}
    assert types() == {"message", "knowledge"} == types(store_type="graph") == types(store_type=None)
    assert types(include_messages=False) == {"knowledge"} and types(include_knowledge=False) == {"message"}
    assert types(include_messages=False, include_knowledge=False) == set()
    assert methods(store_type="keyword") == {"keyword"} and "keyword" not in methods(store_type="vector")


def test_top_k_cuts(server):
    u = user(server)
    s = session(server, u["id"])
    for _ in range(4):
        say(server, s["id"], *["a lemon tree"] * 30)
    counts = {k: ask(server, u["id"], "lemon", top_k=k)["total"] for k in (1, 5, 100, 101, 10**30, 0, -1, -10**30)}
    assert counts == {1: 1, 5: 5, 100: 100, 101: 100, 10**30: 100, 0: 0, -1: 0, -10**30: 0}
    assert ask(server, u["id"], "lemon")["total"] == 5
    body = server.request("POST", f"{API}/users/{u['id']}/query", json={"query": "x", "top_k": 0}).json()
    assert body["message"] == "No results found from BufferService" and body["data"]["results"] == []


def test_a_user_without_messages_gets_an_empty_answer(server):
    data = ask(server, user(server)["id"], "anything")
    assert data["results"] == [] and data["total"] == 0


def test_questions_about_what_is_not_there_are_404(server):
    u = user(server)
    foreign = session(server)
    url = f"{API}/users/{u['id']}/query"
    error(server.request("POST", f"{API}/users/{UNKNOWN}/query", json={"query": "x"}), 404, "user_id")
    for s in (foreign["id"], UNKNOWN):
        error(server.request("POST", url, json={"query": "x", "session_id": s}), 404, "session_id",
              f"Session '{s}' not found for user '{u['id']}'")
    error(server.request("POST", url, json={"query": "x", "agent_id": UNKNOWN}), 404, "agent_id",
          f"Agent '{UNKNOWN}' not found")


def test_empty_and_odd_questions_are_answered(server):
    u = user(server)
    say(server, session(server, u["id"])["id"], "something")
    for query in ("", " ", "?", "\u200b", "😀", "a" * 65536):
        assert ask(server, u["id"], query)["total"] <= 5


@pytest.mark.parametrize("field,value", [("store_type", "hybrid"), ("store_type", 1), ("top_k", "5"), ("top_k", True),
                                         ("top_k", 1.5), ("include_messages", "no"), ("include_knowledge", 1),
                                         ("query", 5), ("query", None), ("session_id", 1), ("agent_id", []),
                                         ("metadata", "x"), ("min_similarity", "x"), ("min_similarity", 1.1),
                                         ("min_similarity", -0.1)])
def test_wrong_fields_of_a_question_are_422(server, field, value):
    body = {"query": "x", field: value}
    error(server.request("POST", f"{API}/users/{user(server)['id']}/query", json=body), 422, field)


def test_min_similarity_leaves_out_what_is_far(server):
    u = user(server)
    say(server, session(server, u["id"])["id"], "gardening with roses", "unrelated words entirely")
    everything = ask(server, u["id"], "gardening with roses", min_similarity=0)["results"]
    near = ask(server, u["id"], "gardening with roses", min_similarity=0.9)["results"]
    assert len(everything) == 2 and [r["content"] for r in near] == ["gardening with roses"]
