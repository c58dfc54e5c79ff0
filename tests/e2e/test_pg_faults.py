# SPDX-License-Identifier: Apache-2.0
"""Postgres in trouble under load: what was acknowledged ends up there once, in order.

MF_PG_RESTARTS, MF_PG_CUTS, MF_PG_LOST_COMMITS, MF_PG_AWAY_SECONDS and MF_PG_POISON_ROWS say
how often, how long and how many, MF_SEED repeats a run."""
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import backend
import pytest
from ledger import text_of
from pg_load import (QUICK, Load, control, stats, verdict, wait_for,
                     wait_until_drained, wait_until_stored_more)
from talk import Talk, Wire, rare

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from pgproxy import Proxy  # noqa: E402

pytestmark = pytest.mark.skipif(not backend.IS_POSTGRES, reason="needs a Postgres")

RESTARTS = int(os.environ.get("MF_PG_RESTARTS", "10"))
CUTS = int(os.environ.get("MF_PG_CUTS", "24"))
LOST_COMMITS = int(os.environ.get("MF_PG_LOST_COMMITS", "15"))
AWAY_S = float(os.environ.get("MF_PG_AWAY_SECONDS", "4"))
POISON_ROWS = int(os.environ.get("MF_PG_POISON_ROWS", "3000"))
SEED = int(os.environ.get("MF_SEED", str(random.SystemRandom().randrange(1 << 32))))
LONGEST_UP = 40_000  # bytes of a batch at this load, and of the answers to it
LONGEST_DOWN = 1_500
MIB = 1 << 20


@pytest.fixture
def db(tmp_path):
    return backend.database(tmp_path / "data")


@pytest.fixture
def proxy(db):
    with Proxy(db.dsn) as proxy:
        yield proxy


def start(start_server, tmp_path, *settings):
    return start_server(*QUICK, *settings, data=tmp_path / "data")


def through(db, proxy):
    return [s for s in db.settings(proxy.dsn) if s.startswith("store.postgres.dsn=")]


def health(talk):
    return talk.verb(200, "GET", "/health")


def is_well(talk):
    now = health(talk)
    assert (now["status"] == "ok") == now["store"]["up"], now
    return now["store"]["up"]


def wait_until_well(talk):
    wait_for(lambda: is_well(talk), 30, lambda: f"still not well: {health(talk)}")


@pytest.mark.skipif(backend.NAME == "citus", reason="a server of three parts")
def test_immediate_restarts_of_the_server_lose_and_double_nothing(start_server, tmp_path, db):
    server = start(start_server, tmp_path)
    talk = Talk(server.port)
    with Load(server.port, SEED) as load:
        for _ in range(RESTARTS):
            wait_until_stored_more(talk, load)
            time.sleep(0.0005 * 400 ** load.rng.random())
            control("restart-immediate")
        wait_until_stored_more(talk, load)
    verdict(db, talk, load, RESTARTS)
    wait_until_well(talk)
    talk.close()


def test_connections_cut_at_any_byte_lose_and_double_nothing(start_server, tmp_path, db, proxy):
    server = start(start_server, tmp_path, *through(db, proxy))
    talk = Talk(server.port)
    with Load(server.port, SEED) as load:
        wait_until_stored_more(talk, load)
        for n in range(CUTS):
            was = proxy.n_cut
            part = (n // 2 + load.rng.random()) / ((CUTS + 1) // 2)  # in steps, both ways
            if n % 2:
                proxy.cut(up=int(part * LONGEST_UP))
            else:
                proxy.cut(down=int(part * LONGEST_DOWN))
            wait_for(lambda: proxy.n_cut > was, 60, "nothing passes any more")
            wait_until_stored_more(talk, load)
        assert proxy.n_cut == CUTS
    verdict(db, talk, load, CUTS)
    wait_until_well(talk)
    talk.close()


def test_lost_answers_to_commit_lose_and_double_nothing(start_server, tmp_path, db, proxy):
    server = start(start_server, tmp_path, *through(db, proxy))
    talk = Talk(server.port)
    with Load(server.port, SEED) as load:
        wait_until_stored_more(talk, load)
        for n in range(LOST_COMMITS):
            # Now and then twice in a row: the batch that goes again is lost, too.
            proxy.lose_commits(1 + (n % 5 == 4), needs=b"INTO messages")
            wait_for(lambda: proxy.commits_to_lose == 0, 60, "no batch is sent any more")
            wait_until_stored_more(talk, load)
    assert proxy.n_commits_lost >= LOST_COMMITS
    verdict(db, talk, load, proxy.n_commits_lost)
    wait_until_well(talk)
    talk.close()


def resident_bytes(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:")) * 1024


class Watch(threading.Thread):
    """While the backlog drains: nothing is stored that was not said. How often a session had
    a later round in the store than one that still waited (a batch that failed waits for its
    own time) is counted: lists are in order nevertheless."""

    def __init__(self, db, load):
        super().__init__(daemon=True)
        self.db, self.load = db, load
        self.is_over = threading.Event()
        self.n_partly, self.n_gaps, self.failure = 0, 0, None

    def run(self):
        want = {s.id: [i for r in s.rounds if r.state == "acked" for i in r.ids]
                for s in self.load.sessions()}
        try:
            while not self.is_over.is_set():
                self.look(want)
        except BaseException as e:
            self.failure = e

    def look(self, want):
        have = {}
        for session, key in self.db.sql(
                "SELECT session_id, id FROM messages ORDER BY user_id, session_id, seq"):
            have.setdefault(session, []).append(key)
        for session, keys in have.items():
            assert set(keys) <= set(want[session]), f"phantoms in {session}: {keys}"
            self.n_gaps += keys != want[session][:len(keys)]
        self.n_partly += 0 < sum(map(len, have.values())) < self.load.n_acked()

    def end(self):
        self.is_over.set()
        self.join(60)
        if self.failure is not None:
            raise self.failure


def test_while_the_database_is_away_adds_go_on_and_drain_later(start_server, tmp_path, db, proxy):
    server = start(start_server, tmp_path, *through(db, proxy))
    talk = Talk(server.port)
    load = Load(server.port, SEED, pace_s=0.01)
    load.prepare(4 + int(AWAY_S * 5))
    wait_until_well(talk)
    with load:
        wait_until_stored_more(talk, load)
        before = resident_bytes(server)
        proxy.refuse()
        away_since = load.n_acked()
        wait_for(lambda: not is_well(talk), 10, "the database is away, and health says ok")
        end = time.monotonic() + AWAY_S
        while time.monotonic() < end:
            load.look()
            assert not is_well(talk), health(talk)
            time.sleep(0.2)
    grown = resident_bytes(server) - before
    pending = stats(talk)["pending"]
    assert pending["messages"] >= 0.9 * (load.n_acked() - away_since) > 20 * AWAY_S
    refused = load.rounds("refused")
    # Whether a client's own id has other content already, only the database knows.
    assert all(r.ids for r in refused), f"{len([r for r in refused if not r.ids])} rounds"
    assert any(r.key for r in load.rounds("acked"))
    assert grown < 48 * MIB + 4 * pending["bytes"], (grown, pending)
    newest = load.sessions()[-1]
    ids = [i for r in newest.rounds if r.state == "acked" for i in r.ids]
    assert [r["id"] for r in talk.read(newest.id, ids)] == ids
    answer = talk.verb(200, "POST", f"/users/{newest.user}/query", {"query": "river", "top_k": 3})
    assert answer["partial"] is True and len(answer["results"]) == 3
    watch = Watch(db, load)
    watch.start()
    proxy.accept()
    wait_until_well(talk)
    wait_until_drained(talk, 60 + AWAY_S)
    watch.end()
    print(f"{pending} when the database came back; {watch.n_partly} looks while it drained, "
          f"{watch.n_gaps} sessions seen with a gap, "
          f"resident +{grown // MIB} MiB")
    verdict(db, talk, load, 1)
    talk.close()


def add_singles(port, sessions, numbers, ids, word_of):
    """A round of one message for each number, in a pipeline of 16; fills ids."""
    wire = Wire(port)
    numbers = list(numbers)
    for at in range(0, len(numbers), 16):
        some = numbers[at:at + 16]
        wire.send(b"".join(wire.request(
            "POST", f"/api/v1/sessions/{sessions[n % len(sessions)]}/messages",
            {"messages": [{"role": "user", "content": f"{text_of(n)} {word_of(n)}".strip()}]})
            for n in some))
        for n in some:
            status, body = wire.answer()
            assert status == 201, (status, body)
            ids[n] = body["data"]["message_ids"][0]
    wire.close()


def test_a_row_that_the_database_hates_is_parked_alone(start_server, tmp_path, db):
    """One in 1,000. It is still listed and found, and after a restart, too."""
    server = start(start_server, tmp_path, "flush.batch_age=0.2",
                   "buffer.hybrid_buffer.max_size=200")
    talk = Talk(server.port)
    user, agent, first = talk.owner("poisoner")
    sessions = [first] + [talk.session(user, agent) for _ in range(max(POISON_ROWS // 80, 3))]
    db.sql("ALTER TABLE messages ADD CONSTRAINT hates_xyzzy CHECK (content NOT LIKE '%xyzzy%')")
    rng = random.Random(SEED)
    bad = {base + rng.randrange(1000) for base in range(0, POISON_ROWS, 1000)}
    ids = {}
    threads = [threading.Thread(target=add_singles, args=(
        server.port, sessions, range(k, POISON_ROWS, 4), ids,
        lambda n: "xyzzy" if n in bad else "")) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(ids) == POISON_ROWS
    wait_for(lambda: stats(talk)["pending"]["messages"] == stats(talk)["flush"]["parked"]
             == len(bad), 60 + POISON_ROWS / 200, lambda: stats(talk))
    check_parked(db, talk, user, sessions, ids, bad)
    talk.close()
    assert server.stop() == 0, server.log()

    server = start(start_server, tmp_path)
    talk = Talk(server.port)
    wait_until_well(talk)
    check_parked(db, talk, user, sessions, ids, bad)
    assert stats(talk)["flush"]["parked"] == len(bad)
    talk.close()


def check_parked(db, talk, user, sessions, ids, bad):
    assert {row[0] for row in db.sql("SELECT id FROM messages")} == {
        ids[n] for n in ids if n not in bad}
    for n in bad:
        session = sessions[n % len(sessions)]
        assert [r["id"] for r in talk.read(session, [ids[n]])] == [ids[n]]
        assert ids[n] in talk.found(user, rare(n), store_type="keyword")
    assert is_well(talk), "one row's fault is not the database's"


SHORT = ["store.postgres.statement_timeout=1.5", "store.postgres.lock_timeout=1",
         "recall.store_timeout=0.5"]


def check_others_go_on(talk, session, n):
    """What needs nothing of the table that is stuck."""
    began = time.monotonic()
    ids = [talk.add(session, f"meanwhile {rare(n + i)}")[0] for i in range(20)]
    for i in ids:
        assert [r["id"] for r in talk.read(session, [i])] == [i]
    user = talk.user(f"newcomer {rare(n)}")
    assert talk.verb(200, "GET", f"/users/{user}")["user"]["id"] == user
    health(talk)
    assert time.monotonic() - began < 15, "somebody waited for the table"
    return ids


def test_a_locked_table_stops_nobody_else(start_server, tmp_path, db):
    server = start(start_server, tmp_path, *SHORT)
    talk = Talk(server.port)
    _, _, session = talk.owner("locked out")
    ids = talk.add(session, "before")
    talk.wait_until_stored(session, 1)
    lock = backend.lock_reads(tmp_path / "data")
    for n in range(0, 60, 20):
        ids += check_others_go_on(talk, session, n)
        time.sleep(1)  # the locks' time is over once and again
    assert stats(talk)["pending"]["messages"] == 60
    lock.close()
    wait_until_drained(talk, 30)
    assert [r[0] for r in db.sql("SELECT id FROM messages ORDER BY seq")] == ids
    wait_until_well(talk)
    talk.close()


def backends_of(db):
    return {int(r[0]) for r in db.sql(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'memfuse'"
        " AND datname = current_database()")}


@pytest.mark.skipif(backend.NAME == "citus", reason="backends of three servers")
def test_backends_that_stand_still_are_left_and_others_taken(start_server, tmp_path, db):
    """All that memfuse has are stopped while they are idle. The next batch meets a server
    that does not answer: deadline, cancel, a new connection, and it is stored."""
    server = start(start_server, tmp_path, *SHORT)
    talk = Talk(server.port)
    _, _, session = talk.owner("patient")
    ids = talk.add(session, "before")
    talk.wait_until_stored(session, 1)
    stopped = backends_of(db)
    assert stopped
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        for n in range(30):
            ids += talk.add(session, f"meanwhile {rare(n)}")
        wait_until_drained(talk, 60)
        assert backends_of(db) - stopped, "stored by nobody"
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: stopped - backends_of(db), 30, "the connection was not closed")
    assert [r[0] for r in db.sql("SELECT id FROM messages ORDER BY seq")] == ids
    wait_until_well(talk)
    talk.close()
