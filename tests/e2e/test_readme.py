# SPDX-License-Identifier: Apache-2.0
"""What the README and the examples tell people to paste does what they say."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOOR = "http://127.0.0.1:8765"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(),
                      re.M | re.S)


def run(words, text=None, cwd=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60,
                          check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_adds_and_recalls_pasted_twice(server):
    block, = blocks("sh")
    assert DOOR in block
    for shell in ("sh", "bash"):
        lines = run([shell, "-s"], block.replace(DOOR, server.url)).splitlines()
        added, recalled = (json.loads(line) for line in lines)
        assert added["code"] == 201
        hit, = recalled["data"]["results"]
        assert hit["id"] == added["data"]["message_ids"][0]
        assert hit["content"] == "My bicycle is green and stands behind the library."
        assert recalled["data"]["semantic"] is False


def test_python_in_a_few_lines(server):
    block, = blocks("python")
    assert DOOR in block and len(block.splitlines()) <= 5
    out = run([sys.executable, "-"], block.replace(DOOR, server.url))
    assert out.splitlines()[-1] == "My bicycle is green."


def test_examples(server):
    out = run(["sh", ROOT / "examples/curl.sh", server.url])
    answers = [json.loads(line) for line in out.splitlines() if line]
    assert [a["code"] for a in answers] == [201, 200, 200, 200, 200]
    assert [m["role"] for m in answers[1]["data"]["messages"]] == ["user", "assistant"]
    first, second = (answers[i]["data"]["results"][0]["content"] for i in (2, 4))
    assert first.endswith("behind the library.") and second.endswith("at home.")
    out = run([sys.executable, ROOT / "examples/quickstart.py", server.url])
    assert "user: My bicycle is green" in out.splitlines()[0]


def test_every_linked_file_is_there():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_make_target_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z]+)", "\n".join(
            re.findall(r"```.*?```|`[^`]*`", (ROOT / "README.md").read_text(), re.S))):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_config_commands(tmp_path):
    memfuse = os.environ["MEMFUSE_BIN"]
    shutil.copy(ROOT / "memfuse.yaml", tmp_path)
    assert run([memfuse, "check-config", "-c", "memfuse.yaml"], cwd=tmp_path) == "ok\n"
    in_force = run([memfuse, "print-config", "--set", "server.port=9000"], cwd=tmp_path)
    assert "\n  port: 9000\n" in in_force
    (tmp_path / "sample.yaml").write_text(run([memfuse, "print-config", "--sample"]))
    assert run([memfuse, "print-config", "-c", "sample.yaml"], cwd=tmp_path) == \
        run([memfuse, "print-config"], cwd=tmp_path)
    assert run([memfuse, "print-config", "--docs"]) == (ROOT / "docs/config.md").read_text()


def test_the_order_of_sources(tmp_path):
    memfuse = os.environ["MEMFUSE_BIN"]
    (tmp_path / "memfuse.yaml").write_text("limits: {json_depth: 10, name_bytes: 100}\n")
    (tmp_path / "memfuse.yaml.d").mkdir()
    (tmp_path / "memfuse.yaml.d/a.yaml").write_text("limits: {json_depth: 11}\n")
    env = {**os.environ, "MEMFUSE__LIMITS__NAME_BYTES": "120"}
    words = [memfuse, "print-config", "--set", "limits.text_bytes=130",
             "--set", "limits.text_bytes=131"]
    out = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True,
                         timeout=60, check=True).stdout
    for line in ("json_depth: 11", "name_bytes: 120", "text_bytes: 131"):
        assert f"\n  {line}\n" in out
