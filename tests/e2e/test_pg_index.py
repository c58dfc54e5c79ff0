# SPDX-License-Identifier: Apache-2.0
"""memfuse postgres index: the HNSW index over the vectors, for people who ask in SQL."""
import os
import re
import subprocess

import backend
import pytest
from api_kit import ok, say, session

pytestmark = pytest.mark.skipif(not backend.IS_POSTGRES, reason="needs a Postgres")

DIM, ROWS = 16, 3000
HAS_PGVECTOR = backend.VERSION == "18"


def run(data, *words, settings=()):
    command = [os.environ["MEMFUSE_BIN"], "postgres", "index", "--set", f"data.dir={data}"]
    for setting in [*backend.settings(data), *settings]:
        command += ["--set", setting]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture
def data(tmp_path, start_server):
    """The folder of a service that has made the tables, and stopped."""
    path = tmp_path / "data"
    server = start_server(data=path)
    server.wait_until_well()
    assert server.stop() == 0
    return path


def fill(db, n=ROWS, dim=DIM):
    db.sql("INSERT INTO messages (user_id, id, seq, session_id, created_us, updated_us, role, is_pending,"
           f" content, embedding) SELECT 'u', 'm{dim}-' || i, i, 's', 1, 1, 0, false, 'text ' || i,"
           f" (SELECT array_agg(hashtext(i || ':' || k))::vector FROM generate_series(1, {dim}) k)"
           f" FROM generate_series(1, {n}) i")


def indexes(db):
    return db.sql("SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                  " WHERE i.indrelid = 'messages'::regclass AND c.relname LIKE 'messages_embedding%' ORDER BY 1")


def query(said):
    words = re.fullmatch(r"it serves queries with: (.*) LIMIT \.\.\.", said[-1]).group(1)
    return f"SELECT content FROM messages {words} LIMIT 10"


def vector(dim=DIM):
    return f"'[{','.join(['0.5'] * dim)}]'"


if HAS_PGVECTOR:
    def test_builds_an_index_once_that_the_query_uses(data):
        db = backend.database(data)
        fill(db)
        db.sql("ALTER ROLE CURRENT_USER SET statement_timeout = '1ms'")
        try:
            code, said, err = run(data, settings=["store.postgres.statement_timeout=10ms"])
        finally:
            db.sql("SET statement_timeout = 0; ALTER ROLE CURRENT_USER RESET statement_timeout")
        assert (code, err) == (0, ""), said
        assert said[0].startswith("pgvector 0.")
        assert said[1] == f"{ROWS} messages with vectors of {DIM} floats"
        assert said[2] == f"building messages_embedding_{DIM} beside the writes"
        assert said[3].startswith(f"built messages_embedding_{DIM} in ")
        assert indexes(db) == [[f"messages_embedding_{DIM}", "t"]]
        sql = query(said).replace("$1", vector())
        db.sql("ANALYZE messages")
        plan = "\n".join(row[0] for row in db.sql("EXPLAIN " + sql))
        assert f"Index Scan using messages_embedding_{DIM}" in plan, plan
        exact = sql.replace("ORDER BY embedding", "ORDER BY 0 + 1.0 * (embedding").replace(" LIMIT", ") LIMIT")
        found = {row[0] for row in db.sql("SET hnsw.ef_search = 400; " + sql)}
        assert len(found & {row[0] for row in db.sql(exact)}) >= 8
        code, said, err = run(data)
        assert (code, err) == (0, "") and f"messages_embedding_{DIM} is there already" in said
        assert not any(line.startswith("buil") for line in said)

    def test_builds_one_for_each_dimension(data):
        db = backend.database(data)
        fill(db, 200)
        fill(db, 100, dim=DIM + 8)
        assert run(data)[0] == 0
        assert indexes(db) == [[f"messages_embedding_{DIM}", "t"], [f"messages_embedding_{DIM + 8}", "t"]]
        code, said, _ = run(data, "--drop")
        assert code == 0
        assert said[1:] == [f"dropped messages_embedding_{DIM}", f"dropped messages_embedding_{DIM + 8}"]
        assert indexes(db) == []
        code, said, _ = run(data, "--drop")
        assert (code, said[1:]) == (0, ["there is no index to drop"])

    def test_builds_anew_what_was_broken_off(data):
        db = backend.database(data)
        fill(db, 200)
        assert run(data)[0] == 0
        db.sql("UPDATE pg_index SET indisvalid = false"
               f" WHERE indexrelid = 'messages_embedding_{DIM}'::regclass")
        code, said, err = run(data)
        assert (code, err) == (0, "")
        assert said[2:4] == [f"messages_embedding_{DIM} is there, but its build was broken off: it is built anew",
                             f"dropped messages_embedding_{DIM}"]
        assert indexes(db) == [[f"messages_embedding_{DIM}", "t"]]

    def test_says_that_there_is_nothing_to_index(data):
        code, said, _ = run(data)
        assert (code, said[1:]) == (0, ["no message has a vector yet: there is nothing to index"])
        assert run(data, settings=["store.postgres.vector=off"]) == \
            (1, [], "memfuse: store.postgres.vector is off: set it to auto, so that there are vectors to index\n")

    def test_messages_are_stored_with_their_vectors_beside_it(data, start_server):
        db = backend.database(data)
        server = start_server(data=data)
        server.wait_until_well()
        talk = session(server)["id"]
        for text in ("the bicycle is green", "the library is closed"):
            say(server, talk, text)
            ok(server.request("POST", "/api/v1/buffer/flush"))
            assert run(data)[0] == 0
        assert len(indexes(db)) == 1
        assert db.sql("SELECT count(*) FROM messages WHERE embedding IS NOT NULL") == [["2"]]


def test_says_what_is_missing(data, tmp_path):
    if not HAS_PGVECTOR:
        assert run(data) == (1, [], "memfuse: the database has no pgvector, so that there is no column to index; "
                                    "memfuse's own search needs neither\n")
    else:
        backend.database(data).sql("ALTER TABLE messages DROP COLUMN embedding")
        code, said, err = run(data)
        assert (code, said) == (1, []) and err.startswith("memfuse: there is no column messages.embedding")
    code, said, err = run(data, settings=["store.postgres.dsn=host=/nowhere dbname=x"])
    assert (code, said) == (1, []) and "/nowhere" in err
    code, said, err = run(data, settings=["store.backend=sqlite"])
    assert (code, said, err) == (1, [], "memfuse: store.backend is sqlite: there is no vector column to index\n")
    assert run(data, "--build")[0] == 2
