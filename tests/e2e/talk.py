# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests say to a server: a raw connection, and the verbs.

    Wire      one keep-alive connection, as few microseconds a request as Python allows
    Talk      the verbs over one Wire; every verb asserts the status it expects
    rare      a word that is in no other message
"""
import json
import socket
import time
import uuid

LETTERS = "bcdfghjklmnpqrtv"
SPREAD = 0x9E3779B1  # odd: no two numbers below 2^32 share a word


def rare(n):
    """A word for number n that the stemmer leaves alone. Words of neighbours have little
    in common, for the built-in model compares words by their letters too."""
    digits = f"{n * SPREAD % (1 << 32):08x}"
    return "w" + "".join(LETTERS[int(d, 16)] for d in digits) + "x"


class Gone(Exception):
    """The connection ended before the whole answer was here."""


class Wire:
    def __init__(self, port, timeout=30):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self):
        self.sock.close()

    @staticmethod
    def request(method, path, body=None, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: memfuse", f"Content-Length: {len(data)}"]
        if body is not None:
            lines.append("Content-Type: application/json")
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + data

    def send(self, raw):
        try:
            self.sock.sendall(raw)
        except OSError as e:
            raise Gone(str(e)) from None

    def answer(self):
        """(status, body as JSON or None)"""
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            self._more()
        head, body = self.rest[:end].lower(), self.rest[end + 4:]
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17:].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(body) < length:
            self.rest = body
            self._more()
            body = self.rest
        self.rest = body[length:]
        return int(head[9:12]), json.loads(body[:length]) if length else None

    def _more(self):
        try:
            got = self.sock.recv(1 << 18)
        except OSError as e:
            raise Gone(str(e)) from None
        if not got:
            raise Gone("closed")
        self.rest += got

    def ask(self, method, path, body=None, headers=()):
        self.send(self.request(method, path, body, headers))
        return self.answer()


class Talk:
    def __init__(self, port):
        self.wire = Wire(port)

    def close(self):
        self.wire.close()

    def verb(self, want, method, path, body=None, headers=()):
        status, got = self.wire.ask(method, "/api/v1" + path, body, headers)
        wants = want if isinstance(want, tuple) else (want,)
        assert status in wants, f"{method} {path}: {status} instead of {want}: {got}"
        return got and got.get("data")

    def user(self, name):
        return self.verb(201, "POST", "/users", {"name": name})["user"]["id"]

    def agent(self, name):
        return self.verb(201, "POST", "/agents", {"name": name})["agent"]["id"]

    def session(self, user, agent, name=None):
        body = {"user_id": user, "agent_id": agent, "name": name}
        return self.verb(201, "POST", "/sessions", body)["session"]["id"]

    def owner(self, name):
        """A user with an agent and a session: their ids."""
        user, agent = self.user(name), self.agent(f"agent of {name}")
        return user, agent, self.session(user, agent)

    def add(self, session, *messages, headers=()):
        data = self.verb(201, "POST", f"/sessions/{session}/messages",
                         {"messages": [as_message(m) for m in messages]}, headers)
        assert len(data["message_ids"]) == len(messages)
        return data["message_ids"]

    def list(self, session, limit=100, order="asc", **filters):
        more = "".join(f"&{k}={v}" for k, v in filters.items())
        return self.verb(200, "GET", f"/sessions/{session}/messages?limit={limit}"
                         f"&sort_by=timestamp&order={order}{more}")["messages"]

    def read(self, session, ids):
        return self.verb(200, "POST", f"/sessions/{session}/messages/read",
                         {"message_ids": ids})["messages"]

    def update(self, session, ids, messages):
        self.verb(200, "PUT", f"/sessions/{session}/messages",
                  {"message_ids": ids, "new_messages": [as_message(m) for m in messages]})

    def delete(self, session, ids):
        self.verb(200, "DELETE", f"/sessions/{session}/messages", {"message_ids": ids})

    def query(self, user, text, top_k=10, **more):
        return self.verb(200, "POST", f"/users/{user}/query",
                         {"query": text, "top_k": top_k, **more})["results"]

    def query_whole(self, user, text, seconds=60, **more):
        """Asked until the answer says no more that the store was too late for a part."""
        end = time.monotonic() + seconds
        while True:
            answer = self.verb(200, "POST", f"/users/{user}/query", {"query": text, **more})
            if not answer.get("partial"):
                return answer["results"]
            assert time.monotonic() < end, f"still partial after {seconds} s"
            time.sleep(0.05)

    def found(self, user, text, **more):
        """ids of what a query finds"""
        return [r["id"] for r in self.query(user, text, **more)]

    def flush(self):
        self.verb(200, "POST", "/buffer/flush")

    def wait_until_stored(self, session, n, seconds=30):
        """Until the store lists all n messages of the session."""
        end = time.monotonic() + seconds
        while True:
            rows = self.list(session)
            if len(rows) == n and all(source_of(r) == "store" for r in rows):
                return rows
            assert time.monotonic() < end, [source_of(r) for r in rows]
            time.sleep(0.005)


def as_message(m):
    return m if isinstance(m, dict) else {"role": "user", "content": m}


def source_of(row):
    """Where a listed message was: write_buffer, hybrid_buffer, store."""
    return row["metadata"]["source"]


def new_id():
    return str(uuid.uuid4())
