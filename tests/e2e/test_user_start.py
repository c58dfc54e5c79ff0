# SPDX-License-Identifier: Apache-2.0
"""The first start, as a person sees it: who may read the files, and what went wrong in one go."""
import os
import stat
import subprocess

import backend
from api_kit import listed, say, session


def run(*words, cwd):
    return subprocess.run([os.environ["MEMFUSE_BIN"], *words], cwd=cwd, capture_output=True,
                          text=True, timeout=30, check=False)


def test_nobody_else_may_read_the_files_of_a_folder_that_was_there(start_server, tmp_path):
    data = tmp_path / "open"
    data.mkdir(mode=0o755)
    server = start_server(data=data)
    s = session(server)["id"]
    say(server, s, "my bicycle is green")
    assert [m["content"] for m in listed(server, s)] == ["my bicycle is green"]
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in data.iterdir()}
    store = set() if backend.IS_POSTGRES else {"memfuse.db"}
    assert {"journal.db", "journal.db-wal"} | store <= set(modes)
    assert not {n: oct(m) for n, m in modes.items() if m & 0o077}


def test_a_list_does_not_hide_the_faults_behind_it(tmp_path):
    (tmp_path / "c.yaml").write_text("server:\n  host: [a, b]\n  prt: 1\nlog:\n  level: loud\n")
    done = run("check-config", "-c", "c.yaml", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == \
        ["c.yaml:2:", "c.yaml:3:", "c.yaml:5:", "memfuse:"]
    assert done.stderr.endswith("memfuse: 3 problems in the configuration\n")


def test_a_socket_has_no_port(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("not a socket")
    done = run("serve", "--set", f"data.dir={tmp_path / 'data'}", "--set", f"server.host=unix:{taken}", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"memfuse: cannot listen on unix:{taken}: address already in use"
    assert taken.read_text() == "not a socket"
