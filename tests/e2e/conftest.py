# SPDX-License-Identifier: Apache-2.0
"""Runs the whole program: $MEMFUSE_BIN serve on a free port of loopback.

    server        one for the test file, stopped (exit code 0) at its end
    start_server  a function: start_server("key=value", ...) -> Server, stopped likewise

Its store is the one of backend.py: SQLite or Postgres, by the environment. What computes its model's products is told by
device.py.

A Server has .url, .port, .data (folder), .log() and .request(method, path, json=...).
"""
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import backend
import device
import pytest
import requests

START_S = 30
STOP_S = 45


class Server:
    def __init__(self, data, *settings, env=None, port=0):
        self.data = Path(data)
        self.log_path = self.data.parent / (self.data.name + ".log")
        words = [os.environ["MEMFUSE_BIN"], "serve", "--set", f"data.dir={self.data}",
                 "--set", f"server.port={port}"]
        npu = device.settings(settings)
        self.has_npu = len(npu) > 0
        for setting in [*backend.settings(self.data), *npu, *settings]:
            words += ["--set", setting]
        self.data.mkdir(parents=True, exist_ok=True)
        self.log_file = open(self.log_path, "ab")
        self.log_from = self.log_path.stat().st_size
        self.process = subprocess.Popen(words, stdout=self.log_file, stderr=self.log_file,
                                        cwd=self.data, env={**os.environ, **device.environment(), **(env or {})})
        self.port = self._wait_for_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = requests.Session()

    def log(self):
        with open(self.log_path, "rb") as f:
            f.seek(self.log_from)
            return f.read().decode("utf-8", "replace")

    def _wait_for_port(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            match = re.search(r"\bready\b.*\bport=(\d+)", self.log())
            if match:
                return int(match.group(1))
            if self.process.poll() is not None:
                raise RuntimeError(f"exit code {self.process.returncode}:\n{self.log()}")
            time.sleep(0.01)
        self.process.kill()
        raise RuntimeError(f"not ready after {START_S} s:\n{self.log()}")

    def request(self, method, path, **kw):
        kw.setdefault("timeout", 30)
        return self.http.request(method, self.url + path, **kw)

    def wait_until_well(self):
        """A store that is far may answer a moment after the server does."""
        end = time.monotonic() + START_S
        while (now := self.request("GET", "/api/v1/health").json()["data"])["status"] != "ok":
            assert time.monotonic() < end, now
            time.sleep(0.01)

    def stop(self):
        """SIGTERM; returns the exit code."""
        device.look(self)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"did not stop in {STOP_S} s:\n{self.log()}") from None
        finally:
            self.http.close()
            self.log_file.close()

    def kill(self):
        """SIGKILL: as a power cut for the process."""
        device.look(self)
        self.process.kill()
        self.process.wait()
        self.http.close()
        self.log_file.close()


def stop_well(server):
    if server.log_file.closed:
        return  # the test ended it
    code = server.stop()
    assert code == 0, f"exit code {code}:\n{server.log()}"


@pytest.fixture(scope="session", autouse=True)
def device_was_used():
    yield
    device.check()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("server") / "data")
    s.wait_until_well()
    yield s
    stop_well(s)


@pytest.fixture
def start_server(tmp_path):
    started = []

    def start(*settings, data=None, **kw):
        s = Server(data or tmp_path / f"data{len(started)}", *settings, **kw)
        started.append(s)
        return s

    yield start
    for s in started:
        stop_well(s)


@pytest.fixture
def base_url(server):
    return server.url
