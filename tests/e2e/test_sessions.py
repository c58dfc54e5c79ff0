# SPDX-License-Identifier: Apache-2.0
"""Long sessions, many users, and that what was deleted is found nowhere."""
import random

import pytest
from talk import Talk, rare

EARLY = ["buffer.round_buffer.max_size=1", "buffer.hybrid_buffer.max_size=1",
         "buffer.performance.flush_interval=0.01", "flush.batch_age=0",
         "buffer.performance.force_flush_timeout=0.01"]


@pytest.fixture
def talk(server):
    t = Talk(server.port)
    yield t
    t.close()


def ids_of(rows):
    return [r["id"] for r in rows]


def test_24_rounds_are_listed_read_changed_and_deleted(talk):
    user, _, session = talk.owner("long talker")
    sent = []
    for i in range(24):
        texts = [f"in round {i} ann asks {rare(2 * i)}", f"bob answers {rare(2 * i + 1)}"]
        ids = talk.add(session, {"role": "user", "content": texts[0]},
                       {"role": "assistant", "content": texts[1]})
        sent += list(zip(ids, texts))
        assert [(r["id"], r["content"]) for r in talk.list(session)] == sent
    rows = talk.read(session, [i for i, _ in sent])
    assert [(r["id"], r["content"]) for r in rows] == sent
    assert all(r["session_id"] == session for r in rows)
    for n, (message, _) in enumerate(sent):
        assert talk.found(user, rare(n), top_k=100).count(message) == 1

    for n, (message, _) in enumerate(sent):
        talk.update(session, [message], [f"now it says {rare(1000 + n)}"])
    rows = talk.list(session)
    assert [(r["id"], r["content"]) for r in rows] == [
        (message, f"now it says {rare(1000 + n)}") for n, (message, _) in enumerate(sent)]
    for n, (message, _) in enumerate(sent):
        assert talk.query(user, rare(1000 + n), top_k=1)[0]["id"] == message

    order = list(range(len(sent)))
    random.Random(3).shuffle(order)
    left = ids_of(rows)
    for n in order:
        talk.delete(session, [sent[n][0]])
        left.remove(sent[n][0])
        assert ids_of(talk.list(session)) == left
        assert sent[n][0] not in talk.found(user, rare(1000 + n), top_k=100)
    assert left == []


def test_update_and_delete_are_all_or_nothing(talk):
    _, _, session = talk.owner("careful")
    _, _, other = talk.owner("careless")
    ids = talk.add(session, "one", "two")
    foreign = talk.add(other, "three")
    unknown = "018f0000-0000-7000-8000-00000000abcd"
    for bad in (foreign[0], unknown):
        talk.verb(404, "PUT", f"/sessions/{session}/messages",
                  {"message_ids": [ids[0], bad],
                   "new_messages": [{"role": "user", "content": "x"}] * 2})
        talk.verb(404, "DELETE", f"/sessions/{session}/messages",
                  {"message_ids": [ids[1], bad]})
        talk.verb(404, "POST", f"/sessions/{session}/messages/read",
                  {"message_ids": [ids[0], bad]})
    assert [r["content"] for r in talk.list(session)] == ["one", "two"]
    assert [r["content"] for r in talk.list(other)] == ["three"]


def test_a_thousand_active_users(start_server):
    server = start_server()
    talk = Talk(server.port)
    agent = talk.agent("of all")
    users = []
    for n in range(1000):
        user = talk.user(f"user {n}")
        session = talk.session(user, agent)
        users.append((user, session, talk.add(
            session, f"my number is {rare(n)}", {"role": "assistant", "content": "noted"})))
    sample = random.Random(1).sample(range(1000), 150) + [0, 70, 71, 999]
    for n in sample:
        user, session, ids = users[n]
        assert ids_of(talk.list(session)) == ids
        assert talk.query(user, f"number {rare(n)}")[0]["id"] == ids[0]
        other = users[(n + 1) % 1000]
        assert not set(ids) & set(talk.found(other[0], f"number {rare(n)}", top_k=100))
    talk.close()


class Room:
    """Two sessions of one user with one agent each; one of everything will go."""

    def __init__(self, talk, stored):
        self.talk = talk
        self.user = talk.user("stays")
        self.agents = [talk.agent("agent 0"), talk.agent("agent 1")]
        self.sessions = [talk.session(self.user, a) for a in self.agents]
        self.other = talk.user("goes")
        self.other_session = talk.session(self.other, self.agents[0])
        self.gone = talk.add(self.sessions[0], self.text(1), self.text(2))
        self.kept = talk.add(self.sessions[1], self.text(3), self.text(4))
        self.others = talk.add(self.other_session, self.text(5))
        if stored:
            for session, n in ((self.sessions[0], 2), (self.sessions[1], 2),
                               (self.other_session, 1)):
                talk.wait_until_stored(session, n)

    @staticmethod
    def text(n):
        return f"the password of box {n} is {rare(n)}"

    def check_kept(self):
        assert ids_of(self.talk.list(self.sessions[1])) == self.kept
        assert self.talk.query(self.user, self.text(4), top_k=1)[0]["id"] == self.kept[1]

    def check_not_found(self, user, ids):
        for n in range(1, 6):
            assert not set(ids) & set(self.talk.found(user, self.text(n), top_k=100))

    def check_session_gone(self, session, ids):
        self.talk.verb(404, "GET", f"/sessions/{session}")
        self.talk.verb(404, "GET", f"/sessions/{session}/messages")
        self.talk.verb(404, "POST", f"/sessions/{session}/messages/read", {"message_ids": ids})
        self.talk.verb(404, "POST", f"/sessions/{session}/messages",
                       {"messages": [{"role": "user", "content": "too late"}]})


def delete_message(room):
    room.talk.delete(room.sessions[0], room.gone[:1])

    def check():
        assert ids_of(room.talk.list(room.sessions[0])) == room.gone[1:]
        room.talk.verb(404, "POST", f"/sessions/{room.sessions[0]}/messages/read",
                       {"message_ids": room.gone[:1]})
        room.check_not_found(room.user, room.gone[:1])
        assert room.gone[1] in room.talk.found(room.user, room.text(2))

    return check


def delete_session(room):
    room.talk.verb(200, "DELETE", f"/sessions/{room.sessions[0]}")

    def check():
        room.check_session_gone(room.sessions[0], room.gone)
        room.check_not_found(room.user, room.gone)
        listed = room.talk.verb(200, "GET", f"/sessions?user_id={room.user}")["sessions"]
        assert ids_of(listed) == room.sessions[1:]

    return check


def delete_agent(room):
    room.talk.verb(200, "DELETE", f"/agents/{room.agents[0]}")

    def check():
        room.talk.verb(404, "GET", f"/agents/{room.agents[0]}")
        room.check_session_gone(room.sessions[0], room.gone)
        room.check_session_gone(room.other_session, room.others)
        room.check_not_found(room.user, room.gone)
        room.check_not_found(room.other, room.others)

    return check


def delete_user(room):
    room.talk.verb(204, "DELETE", f"/users/{room.other}")

    def check():
        room.talk.verb(404, "GET", f"/users/{room.other}")
        room.talk.verb(404, "GET", "/users?name=goes")
        room.talk.verb(404, "POST", f"/users/{room.other}/query", {"query": room.text(5)})
        room.check_session_gone(room.other_session, room.others)

    return check


@pytest.mark.parametrize("stored", [False, True], ids=["buffered", "stored"])
@pytest.mark.parametrize("delete", [delete_message, delete_session, delete_agent, delete_user])
def test_what_was_deleted_is_found_nowhere_at_once_and_after_a_restart(
        start_server, delete, stored):
    server = start_server(*(EARLY if stored else []))
    room = Room(Talk(server.port), stored)
    check = delete(room)
    check()
    room.check_kept()
    room.talk.close()
    for is_kill in (True, False):
        if is_kill:
            server.kill()
        else:
            assert server.stop() == 0
        server = start_server(data=server.data)
        room.talk = Talk(server.port)
        check()
        room.check_kept()
        room.talk.close()


def test_a_user_made_again_has_no_memories(start_server):
    talk = Talk(start_server(*EARLY).port)
    room = Room(talk, stored=True)
    delete_user(room)()
    again = talk.user("goes")
    assert again != room.other
    assert talk.query(again, room.text(5), top_k=100) == []
    session = talk.session(again, room.agents[0])
    ids = talk.add(session, room.text(5))
    assert talk.found(again, room.text(5)) == ids
    talk.close()
