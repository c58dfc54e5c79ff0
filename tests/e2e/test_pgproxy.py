# SPDX-License-Identifier: Apache-2.0
"""The proxy that the fault tests look through: it is honest until told otherwise, and then
does what it was told and no more."""
import subprocess
import sys
import time
from pathlib import Path

import backend
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from pgproxy import Proxy  # noqa: E402

pytestmark = pytest.mark.skipif(not backend.IS_POSTGRES, reason="needs a Postgres")
GOODBYE = 5  # bytes of the last message, which nobody answers
ADD = "BEGIN; INSERT INTO t VALUES (1); COMMIT"


@pytest.fixture
def db(tmp_path):
    db = backend.database(tmp_path)
    db.sql("CREATE TABLE t (n int)")
    return db


@pytest.fixture
def proxy(db):
    with Proxy(db.dsn) as proxy:
        yield proxy


def ask(proxy, text):
    return subprocess.run(backend.words_of(proxy.dsn), input=text, capture_output=True,
                          text=True, timeout=60, check=False)


def count(db):
    return int(db.sql("SELECT count(*) FROM t")[0][0])


def test_what_goes_through_stays_as_it_is(db, proxy):
    want = "SELECT i, md5(i::text) || repeat('x', i) FROM generate_series(1, 3000) i"
    assert ask(proxy, want).stdout.strip("\n") == subprocess.run(
        backend.words_of(db.dsn), input=want, capture_output=True, text=True,
        check=True).stdout.strip("\n")
    assert proxy.n_connections == 1 and proxy.bytes_down > 4_500_000


def test_a_lost_answer_to_commit_is_one_that_was_done(db, proxy):
    proxy.lose_commits(1)
    done = ask(proxy, ADD)
    assert done.returncode != 0 and proxy.n_commits_lost == 1
    assert count(db) == 1
    assert ask(proxy, ADD).returncode == 0
    assert count(db) == 2


def test_only_connections_that_sent_the_word_lose_their_answer(db, proxy):
    proxy.lose_commits(1, needs=b"VALUES (2)")
    assert ask(proxy, ADD).returncode == 0
    assert ask(proxy, ADD.replace("(1)", "(2)")).returncode != 0
    assert count(db) == 2


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_cut_comes_after_exactly_so_many_bytes(db, proxy, way):
    ask(proxy, ADD)
    whole = {"up": proxy.bytes_up - GOODBYE, "down": proxy.bytes_down}[way]
    added = []
    for at in [0, *range(1, whole, max(1, whole // 12)), whole - 1]:
        before = count(db)
        proxy.cut(**{way: at})
        assert ask(proxy, ADD).returncode != 0, f"nobody saw the cut at {at} of {whole}"
        assert proxy.cut_up.left is None and proxy.cut_down.left is None
        added.append(wait_count(db, before) - before)
    assert set(added) <= {0, 1} and added[0] == 0
    if way == "down":  # in the end the answer to the commit is what is cut
        assert added[-1] == 1
    proxy.cut(**{way: 100 * whole})
    assert ask(proxy, ADD).returncode == 0


def wait_count(db, before):
    """Once no session of the proxy is busy any more."""
    others = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
              " AND pid <> pg_backend_pid()")
    while db.sql(others) != [["0"]]:
        time.sleep(0.005)
    return count(db)


def test_what_is_held_goes_on_when_released(db, proxy):
    proxy.hold()
    held = subprocess.Popen(backend.words_of(proxy.dsn) + ["-c", ADD], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    time.sleep(0.3)
    assert held.poll() is None and count(db) == 0
    proxy.release()
    assert held.communicate(timeout=30)[1] == b"" and held.returncode == 0
    assert count(db) == 1


def test_nobody_listens_while_it_refuses(db, proxy):
    proxy.refuse()
    assert "refused" in ask(proxy, ADD).stderr
    proxy.accept()
    assert ask(proxy, ADD).returncode == 0
    assert count(db) == 1
