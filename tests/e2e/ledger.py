# SPDX-License-Identifier: Apache-2.0
"""What was sent and what was acknowledged, and whether a server tells the same.

The ledger lives in the test's process, which is never killed. A message's text follows
from its number, so that every row can be checked without a table of texts."""
import random
import time
import uuid

from talk import Gone, Talk, as_message, rare

SESSION_ROUNDS = 30  # of at most 3 messages: one list call shows a session
WORDS = "river garden train letter window doctor music island coffee silver".split()


def text_of(n):
    rng = random.Random(n)
    return f"{rare(n)} " + " ".join(rng.choice(WORDS) for _ in range(rng.randrange(2, 25)))


class Round:
    """One POST."""

    def __init__(self, session, numbers, ids, key):
        self.session, self.numbers, self.ids, self.key = session, numbers, ids, key
        self.state = "unknown"  # acked, refused

    def messages(self):
        out = []
        for i, n in enumerate(self.numbers):
            m = {"role": "user" if n % 2 else "assistant", "content": text_of(n)}
            if self.ids and not self.key:
                m["id"] = self.ids[i]
            out.append(m)
        return out

    def headers(self):
        return [("Idempotency-Key", self.key)] if self.key else []

    def send(self, wire):
        """The status; the state follows it. Gone: it stays unknown."""
        status, body = wire.ask("POST", f"/api/v1/sessions/{self.session.id}/messages",
                                {"messages": self.messages()}, self.headers())
        if status == 201:
            ids = body["data"]["message_ids"]
            assert self.ids is None or ids == self.ids, "a retry was answered with other ids"
            self.ids = ids
            self.state = "acked"
        elif status == 503:
            if self.state != "acked":
                self.state = "refused"
        else:
            raise AssertionError(f"{status} {body}")
        return status


class Session:
    def __init__(self, user, session):
        self.user, self.id = user, session
        self.rounds = []


class Ledger:
    """Of one connection: rounds go out one after the other."""

    def __init__(self, seed, lane, lanes):
        self.rng = random.Random(f"{seed} {lane}")
        self.next_number, self.step = lane, lanes
        self.owner = None
        self.sessions = []

    def take_number(self):
        self.next_number += self.step
        return self.next_number

    def open_session(self, talk):
        if self.owner is None:
            tag = uuid.uuid4().hex
            self.owner = talk.user(f"user {tag}"), talk.agent(f"agent {tag}")
        self.sessions.append(Session(self.owner[0], talk.session(*self.owner)))

    def new_round(self):
        session = self.sessions[-1]
        numbers = [self.take_number() for _ in range(self.rng.randrange(1, 4))]
        how = self.rng.randrange(3)
        ids = ([str(uuid.UUID(int=self.rng.getrandbits(128), version=4)) for _ in numbers]
               if how == 1 else None)
        key = f"key-{numbers[0]}" if how == 2 else None
        r = Round(session, numbers, ids, key)
        session.rounds.append(r)
        return r

    def add_until_gone(self, port):
        """Adds as fast as it can until the server is gone."""
        try:
            talk = Talk(port)
        except OSError:
            return
        try:
            while True:
                if not self.sessions or len(self.sessions[-1].rounds) >= SESSION_ROUNDS:
                    try:
                        self.open_session(talk)
                    except AssertionError as e:
                        if "503" not in str(e):
                            raise
                        time.sleep(0.005)  # it ends, or its store is not there yet
                        continue
                self.new_round().send(talk.wire)
        except Gone:
            pass
        finally:
            talk.close()

    def rounds(self, state=None):
        return [r for s in self.sessions for r in s.rounds if state in (None, r.state)]


def check_session(talk, session):
    """Every acknowledged round is there, in order, whole, with its bytes; of the unknown
    ones all or nothing; nothing else. Returns how many unknown ones were kept."""
    rows = talk.list(session.id)
    at, kept = 0, 0
    for r in session.rounds:
        want = [as_message(m) for m in r.messages()]
        have = rows[at:at + len(want)]
        same = [(h["role"], h["content"]) for h in have] == [
            (w["role"], w["content"]) for w in want]
        if r.state == "acked":
            assert same, f"lost or altered: {r.numbers} of session {session.id}: {have}"
            assert [h["id"] for h in have] == r.ids
        elif not same:
            continue
        else:
            assert r.state == "unknown", f"a refused round was kept: {r.numbers}"
            assert r.ids is None or [h["id"] for h in have] == r.ids
            kept += 1
        at += len(want)
    assert at == len(rows), f"phantoms in session {session.id}: {rows[at:]}"
    assert len({h["id"] for h in rows}) == len(rows), "a message is listed twice"
    ids = [h["id"] for h in rows]
    if ids:
        read = talk.read(session.id, ids)
        assert [(h["id"], h["content"]) for h in read] == [
            (h["id"], h["content"]) for h in rows]
    return kept


def check_found(talk, rounds):
    """Each message of an acknowledged round is found once, by its own word. By keyword: a
    message whose vector is not there yet ranks behind the noise of all the others."""
    for r in rounds:
        for number, message in zip(r.numbers, r.ids):
            hits = talk.query_whole(r.session.user, rare(number), top_k=5,
                                    store_type="keyword")
            same = [h for h in hits if h["content"] == text_of(number)]
            assert [h["id"] for h in same] == [message], (
                f"{number} ({message}) is found {len(same)} times: {hits}")


def retry(talk, rounds, rng):
    """Sends rounds again, all whose outcome is unknown among them: their ids or their key
    keep them from being there twice. With another body they are refused."""
    known = [r for r in rounds if (r.key or r.ids) and r.state != "refused"]
    again = [r for r in known if r.state == "unknown"]
    acked = [r for r in known if r.state == "acked"]
    again += rng.sample(acked, min(len(acked), 20))
    for r in again:
        assert r.send(talk.wire) == 201
        other = r.messages()
        other[0]["content"] += " altered"
        status, body = talk.wire.ask("POST", f"/api/v1/sessions/{r.session.id}/messages",
                                     {"messages": other}, r.headers())
        assert status in (409, 422), (status, body)
    return len(again)
