# SPDX-License-Identifier: Apache-2.0
"""Load on a server whose Postgres is in trouble, and the verdict afterwards.

The server itself lives on, so that every round is acknowledged or refused. The verdict
reads the database directly and asks the server: what was acknowledged is there, once, in
order and with its bytes, and nothing else is."""
import os
import random
import subprocess
import threading
import time

from ledger import SESSION_ROUNDS, Ledger, check_found, check_session, retry
from talk import Talk

LANES = 4
ROLES = {"0": "user", "1": "assistant", "2": "system", "3": "tool"}
# Everything is on its way to the store at once, and tried again soon.
QUICK = ["buffer.performance.flush_interval=0.05", "buffer.performance.force_flush_timeout=0.05",
         "buffer.hybrid_buffer.max_size=2", "flush.batch_age=0.01", "flush.retry_first=0.02",
         "flush.retry_max=0.2", "store.postgres.max_backoff=0.2"]


def wait_for(what, seconds=60, why="did not come in time"):
    end = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < end, why() if callable(why) else why
        time.sleep(0.01)
    return got


def control(*words):
    """Of the database's server: start, stop, restart-immediate; of a worker: kill, start."""
    subprocess.run([os.environ["MF_TEST_PG_CTL"], *words], check=True, timeout=120)


class Lane(threading.Thread):
    """One connection that adds rounds, one after the other, until it is told to stop."""

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.ledger = load, Ledger(load.seed, number, LANES)
        self.failure = None
        self.n_busy = 0  # sessions that could not be made
        self.n_refused = 0

    def run(self):
        try:
            talk = Talk(self.load.port)
            while not self.load.is_over.is_set():
                self.turn(talk)
                time.sleep(self.load.pace_s)
            talk.close()
        except BaseException as e:  # told by the main thread
            self.failure = e

    def turn(self, talk):
        sessions = self.ledger.sessions
        if not sessions or len(sessions[-1].rounds) >= SESSION_ROUNDS:
            if self.load.spare[self.ledger]:
                sessions.append(self.load.spare[self.ledger].pop())
                return
            self.open_session(talk)
            return
        if self.ledger.new_round().send(talk.wire) == 503:
            self.n_refused += 1
            time.sleep(0.01)

    def open_session(self, talk):
        try:
            self.ledger.open_session(talk)
        except AssertionError as e:
            if ": 503 " not in str(e):
                raise
            self.n_busy += 1
            time.sleep(0.05)


class Load:
    def __init__(self, port, seed, pace_s=0.004):
        print(f"seed {seed}", flush=True)
        self.port, self.seed, self.pace_s = port, seed, pace_s
        self.rng = random.Random(seed)
        self.is_over = threading.Event()
        self.lanes = [Lane(self, n) for n in range(LANES)]
        self.spare = {lane.ledger: [] for lane in self.lanes}

    def prepare(self, n_sessions):
        """Sessions for each lane beforehand, while the database is there to make them."""
        talk = Talk(self.port)
        for lane in self.lanes:
            for _ in range(n_sessions):
                lane.ledger.open_session(talk)
            self.spare[lane.ledger], lane.ledger.sessions = lane.ledger.sessions, []
        talk.close()

    def __enter__(self):
        for lane in self.lanes:
            lane.start()
        return self

    def __exit__(self, kind, *_):
        self.is_over.set()
        for lane in self.lanes:
            lane.join(60)
        if kind is None:
            self.look()

    def look(self):
        """Raises what a lane ran into."""
        for lane in self.lanes:
            if lane.failure is not None:
                raise lane.failure

    def rounds(self, state=None):
        return [r for lane in self.lanes for r in lane.ledger.rounds(state)]

    def sessions(self):
        return [s for lane in self.lanes for s in lane.ledger.sessions]

    def n_acked(self):
        return sum(len(r.numbers) for r in self.rounds("acked"))


def stats(talk):
    return talk.verb(200, "GET", "/buffer/stats")


def n_stored(talk):
    return stats(talk)["counters"]["flush_rounds"]


def wait_until_stored_more(talk, load):
    """Another round got there: the fault is over."""
    was = n_stored(talk)

    def more():
        load.look()
        return n_stored(talk) > was

    wait_for(more, 60, lambda: f"nothing is stored any more: {stats(talk)}")


def wait_until_drained(talk, seconds=60):
    wait_for(lambda: stats(talk)["pending"]["messages"] == 0, seconds,
             lambda: f"the backlog does not go: {stats(talk)}")


class Rows:
    """The database, read directly, in the words of Talk. order: what a session's rows are
    sorted by."""

    def __init__(self, db):
        self.by_session = {}
        self.n = 0
        for session, key, role, content in db.sql(
                "SELECT session_id, id, role, content FROM messages"
                " ORDER BY user_id, session_id, seq"):
            row = {"id": key, "role": ROLES[role], "content": content}
            self.by_session.setdefault(session, []).append(row)
            self.n += 1

    def list(self, session):
        return self.by_session.get(session, [])

    def read(self, session, ids):
        rows = {r["id"]: r for r in self.list(session)}
        return [rows[i] for i in ids]


def verdict(db, talk, load, n_faults):
    """0 lost, 0 twice, 0 phantoms: in the database, and as the server tells it."""
    wait_until_drained(talk, 120)
    sessions, acked = load.sessions(), load.rounds("acked")
    check_all(db, talk, load, sessions)
    check_found(talk, load.rng.sample(acked, min(len(acked), 150)))
    n_again = sum(retry(talk, load.rng.sample(acked, min(len(acked), 60)), load.rng)
                  for _ in range(5))
    wait_until_drained(talk)
    check_all(db, talk, load, sessions)
    assert stats(talk)["flush"]["parked"] == 0
    print(f"{n_faults} faults, {load.n_acked()} messages acknowledged, "
          f"{len(load.rounds('refused'))} rounds refused, {n_again} sent again")


def check_all(db, talk, load, sessions):
    rows = Rows(db)
    n = 0
    for session in sessions:
        check_session(rows, session)
        n += len(rows.list(session.id))
    assert n == rows.n, f"{rows.n - n} rows of sessions that nobody made"
    assert n == load.n_acked()
    for session in sessions if len(sessions) < 300 else load.rng.sample(sessions, 300):
        check_session(talk, session)
