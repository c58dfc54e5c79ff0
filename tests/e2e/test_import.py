# SPDX-License-Identifier: Apache-2.0
"""memfuse import: a file of JSON lines is in the store, in order and found, however often it
is imported; a line that is wrong is named and leaves nothing behind."""
import json
import os
import re
import sqlite3
import subprocess
import time

import backend
import pytest
from api_kit import listed, ok, say
from talk import rare

API = "/api/v1"
USERS, SESSIONS, LINES, A_LINE = 20, 2, 400, 5  # 2,000 messages
CLOSING = re.compile(r"(\d+) lines: (\d+) messages stored, (\d+) already there, (\d+) lines skipped, "
                     r"\d+\.\d s, \d+ messages/s\n")


def run(data, *words, stdin=None):
    """(exit code, the closing line's numbers, what it said)"""
    command = [os.environ["MEMFUSE_BIN"], "import", "--set", f"data.dir={data}"]
    for setting in backend.settings(data):
        command += ["--set", setting]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=120, check=False,
                          input=stdin)
    closing = CLOSING.fullmatch(done.stdout)
    return done.returncode, closing and tuple(int(n) for n in closing.groups()), done.stderr


def message(n, **more):
    return {"role": ("user", "assistant")[n % 2], "content": f"{rare(n)} is word number {n}", **more}


def conversation():
    """Lines of all users by turns: message n is of user n // A_LINE % USERS."""
    for i in range(LINES):
        yield {"user": f"user{i % USERS}", "session": f"talk{i // USERS % SESSIONS}",
               "messages": [message(i * A_LINE + k) for k in range(A_LINE)]}


def write(path, lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    return path


def user_id(server, name):
    return ok(server.request("GET", f"{API}/users", params={"name": name}))["users"][0]["id"]


def sessions_of(server, user):
    found = ok(server.request("GET", f"{API}/sessions", params={"user_id": user}))["sessions"]
    return {s["name"]: s["id"] for s in found}


def in_order(server, session):
    return listed(server, session, limit=100, order="asc")


def ask(server, user, question, top_k=3):
    answer = ok(server.request("POST", f"{API}/users/{user}/query", json={"query": question, "top_k": top_k}))
    return [r["content"] for r in answer["results"]]


def check_all(server, has_vectors=False):
    for u in range(USERS):
        user = user_id(server, f"user{u}")
        for name, session in sessions_of(server, user).items():
            want = [m["content"] for line in conversation() for m in line["messages"]
                    if line["user"] == f"user{u}" and line["session"] == name]
            assert [m["content"] for m in in_order(server, session)] == want
        n = u * A_LINE + USERS * A_LINE * (u % 4)
        # The first, once all of them have vectors.
        assert message(n)["content"] in ask(server, user, f"what about {rare(n)}", 1 if has_vectors else 10)


def pending(data):
    sql = "SELECT count(*) FROM messages WHERE is_pending"
    if backend.IS_POSTGRES:
        return int(backend.database(data).sql(sql)[0][0])
    with sqlite3.connect(data / "memfuse.db") as db:
        return db.execute(sql).fetchone()[0]


def wait_until_embedded(data):
    end = time.monotonic() + 90
    while (n := pending(data)) > 0:
        assert time.monotonic() < end, n
        time.sleep(0.1)


def test_what_was_imported_is_listed_in_order_and_found(data, tmp_path, start_server):
    path = write(tmp_path / "all.jsonl", conversation())
    assert run(data, str(path)) == (0, (LINES, LINES * A_LINE, 0, 0), "")
    assert pending(data) == LINES * A_LINE
    server = start_server(data=data)
    server.wait_until_well()
    check_all(server)
    wait_until_embedded(data)
    check_all(server, has_vectors=True)
    # What is added then stands behind it.
    user = user_id(server, "user3")
    session = sessions_of(server, user)["talk1"]
    say(server, session, "the last word")
    assert in_order(server, session)[-1]["content"] == "the last word"


def test_the_same_file_once_more_adds_nothing(data, tmp_path):
    path = write(tmp_path / "all.jsonl", conversation())
    assert run(data, str(path))[1] == (LINES, LINES * A_LINE, 0, 0)
    assert run(data, "-", stdin=path.read_text())[:2] == (0, (LINES, 0, LINES * A_LINE, 0))


def test_a_file_that_has_grown_adds_what_is_new(data, tmp_path):
    lines = list(conversation())
    path = write(tmp_path / "some.jsonl", lines[:100])
    assert run(data, str(path))[1] == (100, 100 * A_LINE, 0, 0)
    write(path, lines)
    assert run(data, str(path))[1] == (LINES, (LINES - 100) * A_LINE, 100 * A_LINE, 0)


def test_stops_at_a_bad_line_with_all_before_it_stored(data, tmp_path):
    lines = list(conversation())
    lines[7] = {"user": "user7", "session": "talk0", "messages": [message(0), {"role": "nobody", "content": "x"}]}
    path = write(tmp_path / "bad.jsonl", lines)
    code, closing, said = run(data, str(path))
    assert (code, closing) == (1, (7, 7 * A_LINE, 0, 1))
    assert said.splitlines()[0] == \
        f"{path}:8: messages[1].role: Input should be 'user', 'assistant' or 'system'"
    code, closing, said = run(data, "--skip-bad", str(path))
    assert (code, closing) == (0, (LINES - 1, (LINES - 8) * A_LINE, 7 * A_LINE, 1))
    assert len(said.splitlines()) == 1
    # Mended where it stands, it is the only one that is new.
    lines[7]["messages"][1]["role"] = "user"
    assert run(data, str(write(path, lines)))[:2] == (0, (LINES, 2, (LINES - 1) * A_LINE, 0))


@pytest.mark.parametrize("line, said", [
    ("{", "body: invalid JSON at byte 1 of the body: unexpected end of data"),
    ("[]", "body: Input should be an object"),
    ('{"session": "s", "messages": []}', "user: Field required"),
    ('{"user": "u", "session": "", "messages": []}', "session: String should have at least 1 character"),
    ('{"user": "u", "session": "s"}', "messages: Field required"),
    ('{"user": "u", "session": "s", "messages": [{"role": "user", "content": "a\\u0000b"}]}',
     "messages[0].content: no text may contain NUL (\\u0000)"),
    ('{"user": "u", "session": "s", "messages": [{"role": "user", "content": "a", "id": "a b"}]}',
     "messages[0].id: an id has 1 to 64 characters of A-Z a-z 0-9 . _ : -"),
    ('{"user": "u", "session": "s", "messages": [{"role": "user", "content": "a", "metadata": {"timestamp": "now"}}]}',
     "messages[0].metadata.timestamp: Input should be a time as ISO 8601 has it, such as 2023-05-08T13:56:00"),
])
def test_says_what_is_wrong_as_the_api_does(data, line, said):
    good = json.dumps({"user": "u", "session": "s", "messages": [message(1)]})
    code, closing, told = run(data, "-", stdin=f"{good}\r\n\n{line}\n{good}\n")
    assert (code, closing) == (1, (1, 1, 0, 1))
    assert told.splitlines()[0] == f"-:3: {said}"


def test_a_line_that_is_too_long_is_passed_over_whole(data):
    good = json.dumps({"user": "u", "session": "s", "messages": [message(1)]})
    code, closing, told = run(data, "--skip-bad", "--set", "server.max_body_bytes=1024",
                              "--set", "limits.message_bytes=256", "-",
                              stdin=f"{good}\n{'x' * 200000}\n{good}")
    assert (code, closing) == (0, (2, 2, 0, 1))
    assert told == "-:2: body: the line has more than 1024 bytes (server.max_body_bytes): split it\n"


def test_users_and_sessions_that_are_there_are_used(data, start_server):
    server = start_server(data=data)
    post = lambda path, body: ok(server.request("POST", API + path, json=body), 201)
    user = post("/users", {"name": "ann"})["user"]["id"]
    agent = post("/agents", {"name": "guide"})["agent"]["id"]
    session = post("/sessions", {"user_id": user, "agent_id": agent, "name": "one"})["session"]["id"]
    assert server.stop() == 0
    lines = [{"user": "ann", "session": "one", "messages": [message(1, id="m1", metadata={"a": [1.50]})]},
             {"user": "ann", "session": "one", "agent": "guide", "messages": [message(2)]},
             {"user": "ann", "session": "two", "agent": "guide", "messages": [message(3)]},
             {"user": "ann", "session": "three", "messages": [message(4)]},
             {"user": "ann", "session": "one", "agent": "other", "messages": [message(5)]}]
    code, closing, said = run(data, "-", stdin="".join(json.dumps(line) + "\n" for line in lines))
    assert (code, closing) == (1, (4, 4, 0, 1))
    assert said.splitlines()[0] == "-:5: agent: the session is there, and belongs to another agent"
    server = start_server(data=data)
    server.wait_until_well()
    rows = in_order(server, session)
    assert [m["content"] for m in rows] == [message(1)["content"], message(2)["content"]]
    assert rows[0]["id"] == "m1" and rows[0]["metadata"]["a"] == [1.5]
    assert set(sessions_of(server, user)) == {"one", "two", "three"}
    agents = ok(server.request("GET", f"{API}/agents"))["agents"]
    assert sorted(a["name"] for a in agents) == ["agent_default", "guide"]


def test_says_which_file_it_wants_and_cannot_read(data):
    assert run(data) == (2, None, "memfuse: which file? '-' is the standard input\n")
    assert run(data, "nosuch") == (1, None, "memfuse: nosuch: No such file or directory\n")


@pytest.mark.skipif(backend.IS_POSTGRES, reason="a store of its own server")
def test_is_refused_while_a_service_has_the_folder(data, start_server):
    server = start_server(data=data)
    code, closing, said = run(data, "-", stdin="")
    assert (code, closing) == (1, None)
    assert said.startswith("memfuse: stop the service that has this data.dir")
    assert f"process {server.process.pid}" in said


@pytest.mark.skipif(not backend.IS_POSTGRES, reason="needs a Postgres")
def test_into_a_database_that_a_service_uses(data, start_server):
    settings = ["store.shared=true"]
    server = start_server(*settings, data=data)
    server.wait_until_well()
    user = ok(server.request("POST", f"{API}/users", json={"name": "user0"}), 201)["user"]["id"]
    assert ask(server, user, rare(1)) == []  # its shelf is in memory from here on
    lines = list(conversation())
    for part in (lines[:200], lines[200:]):
        code, _, said = run(data, "--set", settings[0], "-", stdin="".join(json.dumps(x) + "\n" for x in part))
        assert (code, said) == (0, "")
        n = next(i for i, line in enumerate(lines) if line is part[0]) * A_LINE
        # The first, once all of them have vectors.
        assert message(n)["content"] in ask(server, user, f"what about {rare(n)}", 10)
    check_all(server)
    wait_until_embedded(data)
    check_all(server, has_vectors=True)


@pytest.mark.skipif(not backend.IS_POSTGRES, reason="needs a Postgres")
def test_a_row_that_the_database_refuses_is_its_line_alone(data, tmp_path):
    lines = list(conversation())
    assert run(data, "-", stdin='{"user": "u", "session": "s", "messages": []}')[:2] == (0, (1, 0, 0, 0))
    backend.database(data).sql("ALTER TABLE messages ADD CONSTRAINT of_somebody CHECK (content <> 'poison')")
    for n in (50, 51, 390):
        lines[n]["messages"][2]["content"] = "poison"
    path = write(tmp_path / "poison.jsonl", lines)
    code, closing, said = run(data, str(path))
    assert (code, closing) == (1, (50, 50 * A_LINE, 0, 1))
    assert said.startswith(f"{path}:51: ")
    code, closing, said = run(data, "--skip-bad", str(path))
    assert (code, closing) == (0, (LINES - 3, (LINES - 53) * A_LINE, 50 * A_LINE, 3))
    assert [line.split(": ")[0] for line in said.splitlines()] == [f"{path}:{n + 1}" for n in (50, 51, 390)]
