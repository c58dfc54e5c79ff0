# SPDX-License-Identifier: Apache-2.0
"""POST /v1/embeddings and /v1/models: OpenAI's words, limits and errors."""
import base64
import itertools
import math
import socket
import struct
import threading
import time

import pytest
import requests

from api_kit import API, error, ok
from test_api_auth import ADMIN, admin_settings

_texts = itertools.count(1)
PATHS = pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings", "/v1/embeddings/"])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from conftest import Server, stop_well
    s = Server(tmp_path_factory.mktemp("server") / "data", "embed.model=hash")
    yield s
    stop_well(s)


def fresh(words="a text"):
    return f"{words} {next(_texts)}"


def post(server, path="/v1/embeddings", headers=None, **body):
    return server.request("POST", path, json=body, headers=headers)


def vectors(response):
    body = response.json()
    assert response.status_code == 200, body
    assert set(body) == {"object", "data", "model", "usage"} and body["object"] == "list" and body["model"] == "hash"
    assert [d["index"] for d in body["data"]] == list(range(len(body["data"])))
    assert all(d["object"] == "embedding" for d in body["data"])
    return [d["embedding"] for d in body["data"]]


def refused(response, status, param, type_="invalid_request_error", code=None):
    body = response.json()
    assert response.status_code == status, body
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["param"] == param and body["error"]["type"] == type_ and body["error"]["code"] == code
    assert body["error"]["message"] and "x-request-id" in response.headers
    return body["error"]["message"]


def f32(numbers):
    return struct.unpack(f"<{len(numbers)}f", struct.pack(f"<{len(numbers)}f", *numbers))


# ---- what is answered ----

@PATHS
def test_gives_vectors_in_the_order_of_the_texts(server, path):
    texts = [fresh("the quick brown fox"), fresh("tax"), fresh("the quick brown dog")]
    three = vectors(post(server, path, input=texts, model="any", user="u", some_new_field={"a": [1]}))
    alone = [vectors(post(server, path, input=t, model="any"))[0] for t in texts]
    assert three == alone
    assert all(len(v) == 384 and abs(math.hypot(*v) - 1) < 1e-5 for v in three)
    assert three[0] != three[1]


def test_base64_holds_the_same_bits_as_the_numbers(server):
    text = fresh("same bits")
    numbers = vectors(post(server, input=text, encoding_format="float"))[0]
    packed = base64.b64decode(vectors(post(server, input=[text], encoding_format="base64"))[0], validate=True)
    assert len(packed) == 384 * 4
    assert struct.unpack("<384f", packed) == f32(numbers)


def test_usage_counts_what_the_model_read_cached_or_not(server):
    body = {"input": ["one two three", "four"], "model": "m"}
    first, again = post(server, **body).json()["usage"], post(server, **body).json()["usage"]
    assert first == again == {"prompt_tokens": 4, "total_tokens": 4}


def test_dimensions_are_the_first_ones_brought_to_unit_length(server):
    text = " ".join(f"word{i}" for i in range(100))
    whole = vectors(post(server, input=text))[0]
    cut = vectors(post(server, input=text, dimensions=64))[0]
    length = math.hypot(*whole[:64])
    assert len(cut) == 64 and abs(math.hypot(*cut) - 1) < 1e-5
    assert all(abs(a - b / length) < 1e-6 for a, b in zip(cut, whole))
    assert vectors(post(server, input=text, dimensions=384))[0] == whole


def test_null_is_the_same_as_absent(server):
    assert vectors(post(server, input="x", encoding_format=None, dimensions=None, user=None, model=None))


def test_answers_many_texts_at_once(server):
    texts = [fresh(f"number {i}") for i in range(2048)]
    many = vectors(post(server, input=texts))
    some = vectors(post(server, input=texts[::512], encoding_format="base64"))
    assert len(many) == 2048
    for i, packed in enumerate(some):
        assert struct.unpack("<384f", base64.b64decode(packed)) == f32(many[512 * i])


def test_headers_name_the_request_and_its_time(server):
    response = post(server, input="x", headers={"X-Request-Id": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"
    assert int(response.headers["openai-processing-ms"]) >= 0
    ids = {post(server, input="x").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert post(server, input="x", headers={"X-Request-Id": "x" * 129}).headers["x-request-id"] != "x" * 129


# ---- what is refused ----

@pytest.mark.parametrize("value", ["", [], ["a", ""], 5, None, {"a": 1}, ["a", 5], ["a", None], [["a"]], True])
def test_input_that_is_no_text_is_400(server, value):
    refused(post(server, input=value), 400, "input")


def test_input_must_be_there(server):
    refused(post(server, model="m"), 400, "input")


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3]], list(range(3000))])
def test_token_ids_are_refused_and_not_guessed(server, ids):
    assert "token ids" in refused(post(server, input=ids), 400, "input")


def test_more_than_2048_texts_are_400(server):
    assert "2048" in refused(post(server, input=["a"] * 2049), 400, "input")


def test_more_than_300000_tokens_are_400(server):
    long = "word " * 240
    assert "300000" in refused(post(server, input=[long] * 1500, truncate=True), 400, "input")


def test_a_text_longer_than_the_model_reads_is_400_unless_it_may_be_cut(server):
    long = " ".join(f"w{i}" for i in range(300))
    assert "text 1" in refused(post(server, input=["short", long]), 400, "input")
    response = post(server, input=long, truncate=True)
    assert vectors(response) and response.json()["usage"]["prompt_tokens"] == 256


@pytest.mark.parametrize("dimensions", [0, -1, 385, 1e3, "8", 1.5])
def test_dimensions_beyond_the_model_are_400(server, dimensions):
    refused(post(server, input="x", dimensions=dimensions), 400, "dimensions")


def test_other_encodings_are_400(server):
    refused(post(server, input="x", encoding_format="hex"), 400, "encoding_format")


def test_what_is_no_json_is_400(server):
    headers = {"Content-Type": "application/json"}
    refused(server.request("POST", "/v1/embeddings", data="{", headers=headers), 400, "body")
    refused(server.request("POST", "/v1/embeddings", data="[]", headers=headers), 400, "body")
    refused(server.request("POST", "/v1/embeddings", data=b'{"input":"\xff"}', headers=headers), 400, "body")
    refused(server.request("POST", "/v1/embeddings", data="input=x"), 415, "Content-Type")


def test_wrong_paths_and_methods_speak_the_same_words(server):
    refused(server.request("GET", "/v1/nothing"), 404, None)
    response = server.request("GET", "/v1/embeddings")
    refused(response, 405, None)
    assert response.headers["Allow"] == "POST"


# ---- models ----

def test_lists_its_model(server):
    body = server.request("GET", "/v1/models").json()
    assert body["object"] == "list" and [m["id"] for m in body["data"]] == ["hash"]
    model = server.request("GET", "/v1/models/hash").json()
    assert model == body["data"][0] and set(model) == {"id", "object", "created", "owned_by"}
    assert model["object"] == "model" and model["owned_by"] == "memfuse" and abs(model["created"] - time.time()) < 3600
    refused(server.request("GET", "/v1/models/gpt"), 404, "model", code="model_not_found")


# ---- keys ----

def test_asks_for_a_key_in_its_own_words(start_server, tmp_path):
    s = start_server("embed.model=hash", *admin_settings(tmp_path))
    for headers in ({}, {"Authorization": "Bearer wrong-key-wrong-key"}):
        for response in (post(s, input="x", headers=headers), s.request("GET", "/v1/models", headers=headers)):
            body = response.json()
            assert response.status_code == 401 and response.headers["WWW-Authenticate"] == "Bearer"
            assert body["error"]["type"] == "authentication_error" and body["error"]["code"] == "invalid_api_key"
    good = {"Authorization": f"Bearer {ADMIN}"}
    assert vectors(post(s, input="x", headers=good))
    assert s.request("GET", "/v1/models", headers=good).status_code == 200


def test_takes_the_usual_header_when_ours_has_another_name(start_server, tmp_path):
    s = start_server("embed.model=hash", "server.api_key_header=X-Our-Key", *admin_settings(tmp_path))
    assert vectors(post(s, input="x", headers={"Authorization": f"Bearer {ADMIN}"}))
    assert vectors(post(s, input="x", headers={"X-Our-Key": f"Bearer {ADMIN}"}))
    native = {"Authorization": f"Bearer {ADMIN}"}
    assert s.request("GET", f"{API}/users", headers=native).status_code == 401


# ---- one computation, and its cache ----

def stats(server):
    return ok(server.request("GET", f"{API}/embed/stats"))


def test_a_hundred_at_once_who_ask_the_same_are_computed_once(start_server):
    s = start_server("embed.model=hash")
    start = threading.Barrier(100)
    answers = []

    def ask():
        with requests.Session() as http:
            start.wait()
            answers.append(http.post(s.url + "/v1/embeddings", json={"input": "the same"}, timeout=30).json())

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 100 and all(a == answers[0] for a in answers)
    now = stats(s)
    assert now["misses"] == 1 and now["hits"] + now["joined"] == 99


def test_the_cache_counts_and_can_be_emptied(server):
    ok(server.request("POST", f"{API}/embed/cache/clear"), message="Embedding cache cleared successfully")
    ok(server.request("POST", f"{API}/embed/stats/reset"), message="Embedding statistics reset successfully")
    text = fresh()
    vectors(post(server, input=[text, text]))
    vectors(post(server, input=text))
    now = stats(server)
    assert (now["misses"], now["joined"], now["hits"]) == (1, 1, 1)
    assert now["cache"]["vectors"] == 1 and 384 * 4 < now["cache"]["bytes"] < now["cache"]["max_bytes"]
    assert ok(server.request("POST", f"{API}/embed/cache/clear"))["cache"]["vectors"] == 0
    vectors(post(server, input=text))
    assert stats(server)["misses"] == 2
    assert ok(server.request("POST", f"{API}/embed/stats/reset"))["misses"] == 0


def test_the_cache_keeps_its_bound(start_server):
    s = start_server("embed.model=hash", "embed.cache_bytes=20000")
    vectors(post(s, input=[fresh() for _ in range(50)]))
    cache = stats(s)["cache"]
    assert cache["bytes"] <= 20000 and 5 <= cache["vectors"] < 50 and cache["evicted"] == 50 - cache["vectors"]


def test_a_vector_ages(start_server):
    s = start_server("embed.model=hash", "embed.cache_ttl=50ms")
    vectors(post(s, input="x"))
    time.sleep(0.2)
    vectors(post(s, input="x"))
    now = stats(s)
    assert now["misses"] == 2 and now["cache"]["expired"] == 1


# ---- too much ----

def flood(server, stop, seen):
    words = "a longer text with a good many words in it so that it is some work " * 3
    with requests.Session() as http:
        while not stop.is_set():
            body = {"input": [f"{words} {next(_texts)}" for _ in range(500)]}
            response = http.post(server.url + "/v1/embeddings", json=body, timeout=60)
            seen.append(response)
            if response.status_code == 429:
                stop.set()


def test_too_much_is_429_with_a_time_to_come_back(start_server):
    s = start_server("embed.model=hash", "embed.max_queued_tokens=1", "embed.max_concurrent=1", "embed.max_client_batch=1")
    stop, seen = threading.Event(), []
    threads = [threading.Thread(target=flood, args=(s, stop, seen)) for _ in range(8)]
    for t in threads:
        t.start()
    stop.wait(60)
    stop.set()
    for t in threads:
        t.join()
    full = [r for r in seen if r.status_code == 429]
    assert full and all(r.status_code in (200, 429) for r in seen)
    refused(full[0], 429, None, "rate_limit_error", "rate_limit_exceeded")
    assert int(full[0].headers["Retry-After"]) >= 1
    assert all(len(vectors(r)) == 500 for r in seen if r.status_code == 200)
    assert stats(s)["in_flight"] == 0
    assert vectors(post(s, input="still here"))


@pytest.mark.parametrize("priority", ["interactive", "bulk", "nonsense"])
def test_a_priority_may_be_asked_for(server, priority):
    assert vectors(post(server, input=[fresh(), fresh()], headers={"X-Memfuse-Priority": priority}))


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_client_that_left_leaves_nothing_behind(start_server, how):
    s = start_server("embed.model=hash", "embed.max_concurrent=1", "embed.max_wait=10m", "embed.max_queued_tokens=100000000")
    words = "words " * 200
    for _ in range(40):
        body = requests.Request("POST", s.url, json={"input": [f"{words}{next(_texts)}" for _ in range(500)]}).prepare().body
        c = socket.create_connection(("127.0.0.1", s.port))
        if how == "reset":
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                  % len(body) + body)
        c.close()
    end = time.monotonic() + 60
    while (now := stats(s))["in_flight"] > 0 or now["requests"] > 0:
        assert time.monotonic() < end, now
        time.sleep(0.05)
    # Most of them were given up before the one worker came to them.
    counters = ok(s.request("GET", f"{API}/buffer/stats"))["counters"]
    assert counters["embed_texts"] < 40 * 500 // 2
    assert vectors(post(s, input="still here"))


def test_stops_well_while_vectors_are_made(start_server):
    s = start_server("embed.model=hash")
    words = "words " * 200
    answers = []

    def ask():
        try:
            answers.append(requests.post(s.url + "/v1/embeddings", timeout=30, json={
                "input": [f"{words}{next(_texts)}" for _ in range(1000)]}).status_code)
        except requests.ConnectionError:
            answers.append(None)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    time.sleep(0.1)
    assert s.stop() == 0, s.log()
    for t in threads:
        t.join()
    assert len(answers) == 4 and set(answers) <= {200, 503, None}
