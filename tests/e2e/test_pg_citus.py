# SPDX-License-Identifier: Apache-2.0
"""A Citus cluster: where its users are, and a worker that is killed under load.

MF_CITUS_KILLS says how often, MF_SEED repeats a run."""
import os
import random
import subprocess
import time

import backend
import pytest
from pg_load import (QUICK, Load, control, stats, verdict, wait_for,
                     wait_until_drained, wait_until_stored_more)
from talk import Talk, rare

pytestmark = pytest.mark.skipif(backend.NAME != "citus", reason="needs a Citus cluster")

WORKERS = os.environ.get("MF_TEST_PG_WORKERS", "").split()
KILLS = int(os.environ.get("MF_CITUS_KILLS", "10"))
SEED = int(os.environ.get("MF_SEED", str(random.SystemRandom().randrange(1 << 32))))
OF_A_USER = ["messages", "passages", "knowledge", "sessions", "marks"]


@pytest.fixture
def db(tmp_path):
    return backend.database(tmp_path / "data")


@pytest.fixture(autouse=True)
def all_workers_are_there():
    yield
    for worker in WORKERS:
        if not is_up(worker):
            control("start", worker)


def is_up(worker):
    pid = int((open(f"{os.environ['MF_TEST_PG_DIR']}/{worker}/postmaster.pid",
                    encoding="ascii").readline()))
    return os.path.exists(f"/proc/{pid}/cwd")


def port_of(worker):
    return int(subprocess.run([os.environ["MF_TEST_PG_CTL"], "port", worker], check=True,
                              capture_output=True, timeout=60).stdout)


def start(start_server, tmp_path, *settings):
    return start_server(*QUICK, *settings, data=tmp_path / "data")


def health(talk):
    return talk.verb(200, "GET", "/health")


def is_well(talk):
    return health(talk)["status"] == "ok"


def ports_of_users(db, users):
    """Where Citus keeps each."""
    names = ",".join(f"'{u}'" for u in users)
    return {user: int(port) for user, port in db.sql(
        "SELECT u, (SELECT nodeport FROM citus_shards WHERE shardid ="
        " get_shard_id_for_distribution_column('messages', u))"
        f" FROM unnest(ARRAY[{names}]::text[]) AS u")}


def rows_by_port(db, table, what="count(*)"):
    """What the workers' own tables hold."""
    counts = {}
    for port, ok, n in db.sql(f"SELECT nodeport, success, result FROM run_command_on_placements("
                              f"'{table}', 'SELECT {what} FROM %s')"):
        assert ok == "t", n
        counts[int(port)] = counts.get(int(port), 0) + int(n)
    return counts


def test_users_are_spread_over_both_workers(start_server, tmp_path, db):
    server = start(start_server, tmp_path)
    talk = Talk(server.port)
    n_users = 64
    agent = talk.agent("everybody's")
    for n in range(n_users):
        session = talk.session(talk.user(f"user {n}"), agent)
        talk.add(session, f"first {rare(2 * n)}")
        talk.add(session, f"second {rare(2 * n + 1)}")
    wait_until_drained(talk)
    ports = {port_of(w) for w in WORKERS}
    assert len(ports) == 2
    for table in OF_A_USER:
        shards = {int(port): int(n) for port, n in db.sql(
            "SELECT nodeport, count(*) FROM citus_shards"
            f" WHERE table_name = '{table}'::regclass GROUP BY 1")}
        assert set(shards) == ports, f"{table}: {shards}"
        assert max(shards.values()) - min(shards.values()) <= 1, f"{table}: {shards}"
    assert db.sql("SELECT count(DISTINCT colocation_id) FROM citus_tables WHERE table_name IN ("
                  + ",".join(f"'{t}'::regclass" for t in OF_A_USER) + ")") == [["1"]]
    users = rows_by_port(db, "messages", "count(DISTINCT user_id)")
    messages = rows_by_port(db, "messages")
    print(f"users by worker {users}, messages {messages}")
    assert sum(users.values()) == n_users and sum(messages.values()) == 2 * n_users
    assert set(users) == ports
    assert min(users.values()) >= n_users // 4, users
    assert all(messages[port] == 2 * users[port] for port in ports)
    assert rows_by_port(db, "sessions") == users
    talk.close()


def test_workers_killed_under_load_lose_and_double_nothing(start_server, tmp_path, db):
    server = start(start_server, tmp_path)
    talk = Talk(server.port)
    load = Load(server.port, SEED)
    load.prepare(2)
    with load:
        for n in range(KILLS):
            wait_until_stored_more(talk, load)
            time.sleep(0.0005 * 400 ** load.rng.random())
            worker = WORKERS[n % 2] if n < 2 else load.rng.choice(WORKERS)
            control("kill", worker)
            time.sleep(1.5 * load.rng.random() ** 2)
            control("start", worker)
        wait_until_stored_more(talk, load)
    wait_until_drained(talk, 120)
    wait_until_nothing_is_half_committed(db)
    verdict(db, talk, load, KILLS)
    wait_for(lambda: is_well(talk), 30, lambda: health(talk))
    talk.close()


def wait_until_nothing_is_half_committed(db):
    """A worker that died between Citus's two phases shows the rows when Citus has looked
    after it, citus.recover_2pc_interval later."""
    def nothing():
        return db.sql("SELECT sum(result::int) FROM run_command_on_workers("
                      "'SELECT count(*) FROM pg_prepared_xacts')") == [["0"]]

    wait_for(nothing, 60, "transactions are left prepared")


class Home:
    """A user of one worker, and what was acknowledged to him."""

    def __init__(self, talk, user, agent):
        self.user, self.session = user, talk.session(user, agent)
        self.ids, self.texts = [], []
        self.add(talk, "before")

    def add(self, talk, text):
        text = f"{text} {rare(len(self.ids))}"
        self.ids += talk.add(self.session, text)
        self.texts.append(text)


def open_homes(talk, db, n_each):
    agent = talk.agent("everybody's")
    homes = {port_of(w): [] for w in WORKERS}
    n = 0
    while min(map(len, homes.values())) < n_each:
        user = talk.user(f"user {n}")
        n += 1
        port = ports_of_users(db, [user])[user]
        if len(homes[port]) < n_each:
            homes[port].append(Home(talk, user, agent))
    wait_until_drained(talk)
    return homes


def stored_ids(db, home):
    return [r[0] for r in db.sql("SELECT id FROM messages WHERE user_id ="
                                 f" '{home.user}' AND session_id = '{home.session}' ORDER BY seq")]


def check_told(talk, home):
    assert [m["id"] for m in talk.list(home.session)] == home.ids
    for i, text in zip(home.ids, home.texts):
        hits = talk.query(home.user, text, top_k=3, store_type="keyword")
        assert [h["id"] for h in hits].count(i) == 1, (text, hits)


def add_to_all(talk, homes, n, text):
    for _ in range(n):
        for home in (h for of_port in homes.values() for h in of_port):
            home.add(talk, text)


def test_a_worker_that_is_away_holds_up_nobody_of_the_other(start_server, tmp_path, db):
    server = start(start_server, tmp_path)
    talk = Talk(server.port)
    homes = open_homes(talk, db, 3)
    gone, here = (homes[port_of(w)] for w in WORKERS)
    control("kill", WORKERS[0])
    add_to_all(talk, homes, 20, "meanwhile")
    wait_for(lambda: all(stored_ids(db, h) == h.ids for h in here), 20,
             lambda: f"users of the worker that is there wait: {stats(talk)}")
    for home in here:
        check_told(talk, home)
    wait_for(lambda: stats(talk)["pending"]["messages"] == 20 * len(gone), 20,
             lambda: stats(talk))
    now = health(talk)
    assert now["status"] == "degraded" and "a part of the store" in now["store"]["reason"], now
    for home in gone:  # found from memory; the list would need the worker
        assert talk.wire.ask("GET", f"/api/v1/sessions/{home.session}/messages")[0] == 503
        hits = talk.query(home.user, home.texts[-1], top_k=3, store_type="keyword")
        assert home.ids[-1] in [h["id"] for h in hits]
    began = time.monotonic()
    status, _ = talk.wire.ask("DELETE", f"/api/v1/sessions/{gone[0].session}/messages",
                              {"message_ids": gone[0].ids[-1:]})
    assert status == 503 and time.monotonic() - began < 10
    talk.close()
    assert server.stop() in (0, 1), server.log()

    server = start(start_server, tmp_path)
    talk = Talk(server.port)
    add_to_all(talk, homes, 5, "afterwards")
    wait_for(lambda: all(stored_ids(db, h) == h.ids for h in here), 30,
             lambda: f"after the restart users of the worker that is there wait: {stats(talk)}")
    control("start", WORKERS[0])
    wait_until_drained(talk, 60)
    wait_for(lambda: is_well(talk), 30, lambda: health(talk))
    for home in gone + here:
        assert stored_ids(db, home) == home.ids
        check_told(talk, home)
    assert stats(talk)["flush"]["parked"] == 0
    talk.close()
