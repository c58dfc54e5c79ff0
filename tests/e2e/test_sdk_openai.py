# SPDX-License-Identifier: Apache-2.0
"""The client's OpenAI wrapper before a stub of a language model: what every prompt holds."""
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TURNS = 6
HISTORY = 10  # messages the wrapper keeps

ONE_PROCESS = """
import sys
from memfuse import MemFuse
from memfuse.llm import OpenAI

memfuse_url, llm_url, first, end = sys.argv[1:]
memory = MemFuse(base_url=memfuse_url).init(user="ann", agent="guide", session="trip")
llm = OpenAI(api_key="none", base_url=llm_url, memory=memory)
for turn in range(int(first), int(end)):
    answer = llm.chat.completions.create(
        model="stub", messages=[{"role": "user", "content": f"question {turn}."}])
    assert answer.choices[0].message.content == f"answer to question {turn}."
"""


class StubHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions", self.path
        self.server.prompts.append(body["messages"])
        text = "answer to " + body["messages"][-1]["content"]
        data = json.dumps({
            "id": "c", "object": "chat.completion", "created": 0, "model": "stub",
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": text}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def llm():
    stub = ThreadingHTTPServer(("127.0.0.1", 0), StubHandler)
    stub.prompts = []
    thread = threading.Thread(target=stub.serve_forever)
    thread.start()
    yield stub
    stub.shutdown()
    thread.join()
    stub.server_close()


def talk_in_a_process(server, llm, first, end):
    env = {k: v for k, v in os.environ.items() if "PASSTHROUGH" not in k}
    done = subprocess.run(
        [os.environ.get("MF_PYTHON", sys.executable), "-c", ONE_PROCESS, server.url,
         f"http://127.0.0.1:{llm.server_address[1]}/v1", str(first), str(end)],
        cwd=Path(__file__).parent, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def conversation_before(turn):
    said = []
    for i in range(turn):
        said += [("user", f"question {i}."), ("assistant", f"answer to question {i}.")]
    return said


@pytest.mark.parametrize("settings", [
    [], ["buffer.round_buffer.max_size=2", "buffer.hybrid_buffer.max_size=1",
         "flush.batch_age=0"]], ids=["default", "early flush"])
def test_every_earlier_turn_is_in_the_prompt_once_and_in_order(start_server, llm, settings):
    server = start_server(*settings)
    talk_in_a_process(server, llm, 0, 3)
    talk_in_a_process(server, llm, 3, TURNS)
    assert len(llm.prompts) == TURNS
    for turn, prompt in enumerate(llm.prompts):
        spoken = [(m["role"], m["content"]) for m in prompt if m["role"] != "system"]
        assert spoken == (conversation_before(turn)[-HISTORY:]
                          + [("user", f"question {turn}.")]), f"turn {turn}"
        notes = [m["content"] for m in prompt if m["role"] == "system"]
        if turn > 0:
            assert any("[MESSAGE]: " in n for n in notes), f"nothing recalled in turn {turn}"
        for note in notes:
            lines = [line for line in note.split("\n- ") if "]: " in line]
            assert len(lines) == len(set(lines)), f"recalled twice in turn {turn}: {note}"


def test_a_restart_between_two_turns_changes_no_prompt(start_server, llm):
    server = start_server()
    talk_in_a_process(server, llm, 0, 4)
    server.kill()
    server = start_server(data=server.data)
    talk_in_a_process(server, llm, 4, TURNS)
    spoken = [(m["role"], m["content"]) for m in llm.prompts[-1] if m["role"] != "system"]
    assert spoken == (conversation_before(TURNS - 1)[-HISTORY:]
                      + [("user", f"question {TURNS - 1}.")])
