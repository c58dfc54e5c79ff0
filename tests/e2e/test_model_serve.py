# SPDX-License-Identifier: Apache-2.0
"""Which model the service takes, what it says about it, and that it does not start with a damaged one."""
import os
import subprocess

import pytest
from api_kit import say, session
from hub_kit import HIDDEN, tiny_files, write_tiny

DEFAULT = "models/all-MiniLM-L6-v2"


def line_of(server):
    return next(line for line in server.log().splitlines() if " info model name=" in line)


def is_semantic(server):
    s = session(server)
    say(server, s["id"], "green bike")
    answer = server.request("POST", f"/api/v1/users/{s['user_id']}/query", json={"query": "bike"}).json()
    assert answer["data"]["results"][0]["content"] == "green bike"
    return answer["data"]["semantic"]


def test_auto_is_hash_where_there_is_no_model(start_server):
    server = start_server()
    assert "name=hash setting=auto from=hash" in line_of(server)
    assert is_semantic(server) is False


def test_auto_is_the_model_in_the_data_folder(start_server, tmp_path):
    data = tmp_path / "data"
    write_tiny(data / DEFAULT)
    server = start_server(data=data)  # its working directory is this folder, too
    assert f"name=all-MiniLM-L6-v2 setting=auto from={DEFAULT} dim={HIDDEN} semantic=true" in line_of(server)
    assert is_semantic(server) is True


def test_a_word_or_a_folder_is_taken_as_given(start_server, tmp_path):
    data = tmp_path / "data"
    write_tiny(data / DEFAULT)
    server = start_server("embed.model=hash", data=data)
    assert "name=hash setting=given" in line_of(server)
    server.stop()
    write_tiny(tmp_path / "mine")
    server = start_server(f"embed.model={tmp_path}/mine", "embed.precision=f32", data=data)
    assert "name=mine setting=given" in line_of(server) and "precision=f32" in line_of(server)
    assert (data / "model-cache").is_dir()


def refusal(cwd, *settings):
    words = [os.environ["MEMFUSE_BIN"], "serve", "--set", f"data.dir={cwd}", "--set", "server.port=0"]
    done = subprocess.run(words + [w for s in settings for w in ("--set", s)], cwd=cwd, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("path, cut, word", [("model.safetensors", -5, "model.safetensors"), ("vocab.txt", 0, "vocab.txt"),
                                             ("config.json", 9, "config.json")])
def test_a_damaged_model_is_never_replaced_by_another(tmp_path, path, cut, word):
    write_tiny(tmp_path / DEFAULT)
    (tmp_path / DEFAULT / path).write_bytes(tiny_files()[path][:cut])
    assert word in refusal(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    assert "nowhere" in refusal(tmp_path, "embed.model=nowhere")
