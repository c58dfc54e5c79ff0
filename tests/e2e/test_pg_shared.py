# SPDX-License-Identifier: Apache-2.0
"""Two processes on one database: what is sent to either, or to both, is there once, and
each finds what the other stored with its next query.

MF_SHARED_MESSAGES says how many messages, MF_SEED repeats a run."""
import os
import random
import threading
import time
import uuid

import backend
import pytest
from conftest import Server, stop_well
from ledger import text_of
from talk import Talk, rare

pytestmark = pytest.mark.skipif(not backend.IS_POSTGRES, reason="needs a Postgres")

MESSAGES = int(os.environ.get("MF_SHARED_MESSAGES", "2000"))
SEED = int(os.environ.get("MF_SEED", str(random.SystemRandom().randrange(1 << 32))))
LANES = 4
SESSION_ROUNDS = 30  # of at most 3 messages: one list call shows a session
RETRIES = 0.05
PROBE_EVERY = 15  # rounds
BUSY_S = 0.02


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return [tmp_path_factory.mktemp("nodes") / f"data{i}" for i in range(2)]


@pytest.fixture(scope="module")
def db(folders):
    """The first one's; the second one's own stays empty."""
    return [backend.database(f) for f in folders][0]


@pytest.fixture(scope="module")
def nodes(db, folders):
    """Both begin on an empty database at once."""
    settings = [*db.settings(), "store.shared=true", "buffer.performance.flush_interval=0.3",
                "flush.batch_age=0.02"]
    started = []

    def start(i):
        started.append(Server(folders[i], *settings, f"store.postgres.node={i + 1}"))

    threads = [threading.Thread(target=start, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for s in started:
        if len(started) < 2:
            s.kill()
    assert len(started) == 2, "a process did not start"
    yield started
    for s in started:
        stop_well(s)


@pytest.fixture
def talks(nodes):
    talks = [Talk(s.port) for s in nodes]
    yield talks
    for t in talks:
        t.close()


# ---- many messages ----


class Lane(threading.Thread):
    """One user, whose rounds go to one process or the other, and now and then to both."""

    def __init__(self, number, ports, n_messages):
        super().__init__(daemon=True)
        self.rng = random.Random(f"{SEED} {number}")
        self.number, self.n_messages = number, n_messages
        self.talks = [Talk(p) for p in ports]
        self.user = self.talks[0].user(f"user {uuid.uuid4().hex}")
        self.agent = self.talks[1].agent(f"agent {uuid.uuid4().hex}")
        self.sessions = {}  # id: {message's id: text}
        self.n_sent = self.n_again = self.n_probes = 0
        self.failure = None

    def run(self):
        try:
            n_rounds = 0
            while self.n_sent < self.n_messages:
                if n_rounds % SESSION_ROUNDS == 0:
                    session = self.talks[self.rng.randrange(2)].session(self.user, self.agent)
                    self.sessions[session] = {}
                self.send_round(session, probes=n_rounds % PROBE_EVERY == 0)
                n_rounds += 1
        except BaseException as e:  # told by the main thread
            self.failure = e

    def send_round(self, session, probes):
        n = min(self.rng.randrange(1, 4), self.n_messages - self.n_sent)
        numbers = [(self.n_sent + i) * LANES + self.number for i in range(n)]
        at = self.rng.randrange(2)
        ids = self.post(at, session, numbers)
        if self.rng.random() < RETRIES:
            assert self.post(1 - at, session, numbers) == ids, "a retry was answered with other ids"
            self.n_again += 1
        self.sessions[session].update(zip(ids, map(text_of, numbers)))
        self.n_sent += n
        if probes:
            self.probe(at, numbers[-1], ids[-1])

    def post(self, at, session, numbers):
        body = {"messages": [{"role": "user", "content": text_of(n)} for n in numbers]}
        while True:
            status, got = self.talks[at].wire.ask(
                "POST", f"/api/v1/sessions/{session}/messages", body,
                [("Idempotency-Key", f"{self.user} {numbers[0]}")])
            if status not in (429, 503):
                assert status == 201, (status, got)
                return got["data"]["message_ids"]
            time.sleep(BUSY_S)

    def probe(self, at, number, message):
        """Found at once where it was sent, and by the other one when it is stored."""
        check_found(self.talks[at], self.user, number, message)
        self.talks[at].flush()
        check_found(self.talks[1 - at], self.user, number, message)
        self.n_probes += 1


def check_found(talk, user, number, message):
    hits = talk.query_whole(user, rare(number), top_k=5, store_type="keyword")
    same = [h["id"] for h in hits if h["content"] == text_of(number)]
    assert same == [message], f"{number} ({message}) is found {len(same)} times: {hits}"


def check_stored(db, lanes):
    """Every message once, with its bytes, in its session; nothing else."""
    want = {(session, key): text for lane in lanes for session, messages in lane.sessions.items()
            for key, text in messages.items()}
    users = ",".join(f"'{lane.user}'" for lane in lanes)
    rows = db.sql(f"SELECT session_id, id, content FROM messages WHERE user_id IN ({users})")
    have = {(session, key): text for session, key, text in rows}
    assert len(rows) == len(have), "a message is stored twice"
    assert have == want, (f"{len(want.keys() - have.keys())} lost, "
                          f"{len(have.keys() - want.keys())} that nobody sent")
    n = sum(lane.n_sent for lane in lanes)
    assert len(have) == n == len(set(have.values())) == MESSAGES


def check_told(talk, lane):
    """The process tells the same as the database, and finds some of it."""
    rng = lane.rng
    for session in rng.sample(sorted(lane.sessions), min(len(lane.sessions), 20)):
        rows = talk.list(session)
        assert {r["id"]: r["content"] for r in rows} == lane.sessions[session]
        assert len(rows) == len(lane.sessions[session])
    for i in rng.sample(range(lane.n_sent), 10):
        number = i * LANES + lane.number
        text = text_of(number)
        [key] = [k for m in lane.sessions.values() for k, t in m.items() if t == text]
        check_found(talk, lane.user, number, key)


def test_what_is_sent_to_two_processes_is_there_once_and_found_by_both(nodes, db):
    print(f"seed {SEED}")
    share = [MESSAGES // LANES + (i < MESSAGES % LANES) for i in range(LANES)]
    lanes = [Lane(i, [s.port for s in nodes], share[i]) for i in range(LANES)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    for lane in lanes:
        if lane.failure is not None:
            raise lane.failure
    talks = [Talk(s.port) for s in nodes]
    for talk in talks:
        talk.flush()
    check_stored(db, lanes)
    for lane in lanes:
        for talk in talks:
            check_told(talk, lane)
    for talk in talks:
        talk.close()
    n_again = sum(lane.n_again for lane in lanes)
    assert n_again > 0 or MESSAGES < 1000
    print(f"{MESSAGES} messages, {n_again} rounds sent to both, "
          f"{sum(lane.n_probes for lane in lanes)} found by the other at once")


# ---- what is changed and deleted ----


class Pair:
    """A user whom both know, with a session that the first one made."""

    def __init__(self, talks):
        self.here, self.there = talks
        self.user, self.agent, self.session = self.here.owner(uuid.uuid4().hex)
        assert self.there.query(self.user, "anything") == []  # it has a shelf now

    def add(self, *texts):
        ids = self.here.add(self.session, *texts)
        self.here.flush()
        return ids

    def knowledge(self, method, body):
        return self.here.verb(201 if method == "POST" else 200, method,
                              f"/users/{self.user}/knowledge", body)["knowledge_ids"]

    def texts(self, talk, text, **more):
        return [h["content"] for h in talk.query(self.user, text, store_type="keyword", **more)]


@pytest.fixture
def pair(talks):
    return Pair(talks)


def test_the_other_process_finds_the_new_text_of_a_message(pair):
    [first, second] = pair.add("the zebra eats grass", "a horse sleeps")
    assert pair.texts(pair.there, "zebra", top_k=1) == ["the zebra eats grass"]
    pair.here.update(pair.session, [second], ["the giraffe looks down"])
    assert pair.texts(pair.there, "giraffe", top_k=1) == ["the giraffe looks down"]
    pair.there.update(pair.session, [first], ["the ostrich runs"])
    assert pair.texts(pair.here, "ostrich", top_k=1) == ["the ostrich runs"]
    for talk in (pair.here, pair.there):
        assert sorted(pair.texts(talk, "zebra")) == ["the giraffe looks down", "the ostrich runs"]


def test_the_other_process_shows_nothing_that_is_deleted_and_fills_its_place(pair):
    ids = pair.add(*[f"zebra number {i}" for i in range(12)])
    first = [h["id"] for h in pair.there.query(pair.user, "zebra", top_k=5)]
    assert len(first) == 5
    pair.here.delete(pair.session, first[:3])
    hits = pair.there.query(pair.user, "zebra", top_k=5)
    assert len(hits) == 5 and not {h["id"] for h in hits} & set(first[:3])
    assert all(h["content"] for h in hits)
    pair.here.delete(pair.session, [i for i in ids if i not in first[:3]][:-1])
    assert len(pair.there.query(pair.user, "zebra", top_k=5)) == 1
    pair.here.verb(200, "DELETE", f"/sessions/{pair.session}")
    assert pair.there.query(pair.user, "zebra", top_k=5) == []


def test_the_other_process_finds_knowledge_as_it_is_now(pair):
    ids = pair.knowledge("POST", {"knowledge": ["Rex is a dog", "Tom is a cat"]})
    assert pair.texts(pair.there, "who is Rex", top_k=1) == ["Rex is a dog"]
    pair.knowledge("PUT", {"knowledge_ids": [ids[0]], "new_knowledge": ["Rex is a wolf"]})
    assert pair.texts(pair.there, "which is a wolf", top_k=1) == ["Rex is a wolf"]
    pair.knowledge("DELETE", {"knowledge_ids": [ids[0]]})
    assert pair.texts(pair.there, "Rex wolf", top_k=5) == ["Tom is a cat"]


def test_the_other_process_adds_to_a_session_and_both_list_it_in_order(pair):
    for i in range(6):
        (pair.here, pair.there)[i % 2].add(pair.session, f"step {i}")
        time.sleep(0.002)  # two clocks, of one millisecond each
    for talk in (pair.here, pair.there):
        talk.flush()
    for talk in (pair.here, pair.there):
        assert [m["content"] for m in talk.list(pair.session)] == [f"step {i}" for i in range(6)]
