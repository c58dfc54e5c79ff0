# SPDX-License-Identifier: Apache-2.0
"""From the 201 to the store a message is listed, read and found at every moment.

Three connections ask at once, again and again, while rounds move from the write buffer
to the hybrid buffer to the store; every answer of every poll must hold every message
once. That each hand-over was seen from its begin to its end is checked as well."""
import os
import random
import time

import backend
import pytest
from talk import Talk, Wire, rare, source_of

HAND_OVERS = int(os.environ.get("MF_HAND_OVERS", "100"))
MIN_POLLS = 10  # of each hand-over, all three connections together
STORED_S = 20
TOP_K = 100
# A cluster needs longer for the first list: it is to come before the flush there, too.
PACE = 5 if backend.NAME == "citus" else 1
QUICK = [f"buffer.performance.flush_interval={0.05 * PACE}",
         f"buffer.performance.force_flush_timeout={0.03 * PACE}",
         f"flush.batch_age={0.02 * PACE}", "buffer.hybrid_buffer.max_size=2"]


class Watch:
    """Polls one round until the store has it."""

    def __init__(self, port):
        self.talk = Talk(port)
        self.wires = [Wire(port) for _ in range(3)]
        self.polls = 0
        self.move(0)

    def move(self, n):
        """To a user of whose messages a query shows all, however they rank."""
        self.user, agent, self.session = self.talk.owner(f"watched {n}")
        self.other_session = self.talk.session(self.user, agent)

    def close(self):
        self.talk.close()
        for w in self.wires:
            w.close()

    def requests(self, ids, word):
        base = f"/api/v1/sessions/{self.session}/messages"
        return [Wire.request("GET", f"{base}?limit=20&order=desc"),
                Wire.request("POST", f"{base}/read", {"message_ids": ids}),
                Wire.request("POST", f"/api/v1/users/{self.user}/query",
                             {"query": word, "top_k": TOP_K})]

    def poll(self, raws, ids):
        """The places where the messages were: {list, read, query} -> set of sources"""
        for wire, raw in zip(self.wires, raws):
            wire.send(raw)
        places = {}
        for verb, wire in zip(("list", "read", "query"), self.wires):
            status, body = wire.answer()
            assert status == 200, (verb, status, body)
            rows = body["data"]["results" if verb == "query" else "messages"]
            seen = [r["id"] for r in rows]
            for i in ids:
                assert seen.count(i) == 1, f"{verb} has {i} {seen.count(i)} times: {body}"
            assert len(seen) == len(set(seen)), f"{verb} names a message twice: {body}"
            if verb == "query":
                assert not body["data"].get("partial"), body
                places[verb] = {r["metadata"]["retrieval"]["source"]
                                for r in rows if r["id"] in ids}
            else:
                places[verb] = {source_of(r) for r in rows if r["id"] in ids}
        self.polls += 3
        return places

    def follow(self, ids, word, poke):
        """Until all three verbs take it from the store. The places of the first poll."""
        raws = self.requests(ids, word)
        first, at = None, self.polls
        end = time.monotonic() + STORED_S
        while True:
            places = self.poll(raws, ids)
            first = first or places
            if all(p == {"store"} for p in places.values()):
                break
            assert time.monotonic() < end, f"not stored after {STORED_S} s: {places}"
            if poke and self.polls - at >= MIN_POLLS:
                poke()
                poke = None
        for _ in range(5):
            self.poll(raws, ids)
        return first, self.polls - at


def hand_over(n, watch, rng):
    """One round of one to three messages, pushed on by silence, by more rounds or by a
    round of another session."""
    if n % 10 == 0:
        watch.move(n + 1)
    talk, word = watch.talk, rare(n)
    ids = talk.add(watch.session, *[f"{word} is part {i} of the matter" for i in
                                    range(rng.randrange(1, 4))])
    found = talk.found(watch.user, word, top_k=TOP_K)
    assert set(ids) <= set(found), "not found after its 201"
    pokes = [None, lambda: talk.add(watch.other_session, "something else"),
             lambda: [talk.add(watch.session, f"more {i}") for i in range(3)]]
    return watch.follow(ids, word, pokes[n % 3])


@pytest.mark.parametrize("settings", [
    ["buffer.round_buffer.max_size=2"],
    ["buffer.enabled=false"],
    ["embed.max_concurrent=1", "flush.vector_wait=0", "buffer.round_buffer.max_tokens=1"],
], ids=["write buffer", "no write buffer", "stored before its vector"])
def test_found_at_every_moment_of_a_hand_over(start_server, settings):
    server = start_server(*QUICK, *settings)
    watch = Watch(server.port)
    rng = random.Random(4)
    began, fewest, n, n_seen = time.monotonic(), 1 << 30, 0, 0
    is_slow = "round_buffer.max_size" in settings[0]  # slow enough to be seen from its begin
    n_rounds = HAND_OVERS if is_slow else HAND_OVERS // 4
    # A machine that pauses this process may make it miss a begin: that round does not count.
    while n_seen < n_rounds:
        first, polls = hand_over(n, watch, rng)
        n += 1
        fewest = min(fewest, polls)
        n_seen += not is_slow or any(p != {"store"} for p in first.values())
        assert n <= 2 * n_rounds, f"the polls came too late: {n_seen} of {n} begins seen"
    took = time.monotonic() - began
    print(f"{n} hand-overs, {n_seen} from the begin, {watch.polls} polls "
          f"({watch.polls / took:.0f}/s), fewest of one {fewest}")
    assert fewest >= MIN_POLLS
    watch.close()


def test_an_update_or_delete_in_the_midst_of_a_hand_over_holds(start_server):
    """The old text is found nowhere from the moment of the answer."""
    server = start_server(*QUICK)
    talk = Talk(server.port)
    user, _, session = talk.owner("changing")
    rng = random.Random(9)
    for n in range(HAND_OVERS // 4):
        old, new = rare(2 * n), rare(2 * n + 1)
        message, kept = talk.add(session, f"first it was {old}", f"beside {old}")
        time.sleep(rng.random() * 0.08)
        if n % 2 == 0:
            talk.update(session, [message], [f"then it became {new}"])
            for _ in range(20):
                assert [r["content"] for r in talk.read(session, [message])] == [
                    f"then it became {new}"]
                top = talk.query(user, new, top_k=1)[0]
                assert (top["id"], top["content"]) == (message, f"then it became {new}")
        else:
            talk.delete(session, [message])
            for _ in range(20):
                assert message not in talk.found(user, old, top_k=100)
                assert [r["id"] for r in talk.list(session, limit=1, order="desc")] == [kept]
    talk.close()


def test_what_was_stored_while_nobody_asked_is_found(start_server):
    """The user's records are in memory from an earlier question and must follow."""
    talk = Talk(start_server(*QUICK, "buffer.round_buffer.max_size=2").port)
    user, _, session = talk.owner("silent")
    sent = []
    for n in range(15):
        assert set(talk.found(user, "box", top_k=TOP_K)) == set(sent)
        sent += talk.add(session, *[f"box {rare(n)} {i}" for i in range(1 + n % 3)])
        talk.wait_until_stored(session, len(sent))
    assert set(talk.found(user, "box", top_k=TOP_K)) == set(sent)
    talk.close()
