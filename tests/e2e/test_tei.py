# SPDX-License-Identifier: Apache-2.0
"""The routes of text-embeddings-inference: bare lists, flat errors, its headers."""
import math
import os

import pytest

from test_api_auth import ADMIN, admin_settings

HEADERS = {"x-compute-type", "x-compute-time", "x-compute-characters", "x-compute-tokens", "x-total-time",
           "x-tokenization-time", "x-queue-time", "x-inference-time"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from conftest import Server, stop_well
    s = Server(tmp_path_factory.mktemp("server") / "data", "embed.model=hash")
    yield s
    stop_well(s)


def post(server, path, **body):
    return server.request("POST", path, json=body)


def rows(response, n):
    body = response.json()
    assert response.status_code == 200, body
    assert len(body) == n
    return body


def refused(response, status, type_):
    body = response.json()
    assert response.status_code == status, body
    assert set(body) == {"error", "error_type"} and body["error_type"] == type_ and body["error"]
    return body["error"]


@pytest.mark.parametrize("path", ["/embed", "/", "/embed/"])
def test_embeds_one_text_and_several(server, path):
    one = rows(post(server, path, inputs="blue whale"), 1)
    two = rows(post(server, path, inputs=["red fox", "blue whale"]), 2)
    assert one[0] == two[1] != two[0]
    assert all(len(v) == 384 and abs(math.hypot(*v) - 1) < 1e-5 for v in two)


def test_gives_the_same_vectors_as_the_other_family(server):
    mine = rows(post(server, "/embed", inputs="one of two doors"), 1)[0]
    theirs = post(server, "/v1/embeddings", input="one of two doors").json()["data"][0]["embedding"]
    assert mine == theirs


def test_says_what_it_cost(server):
    response = post(server, "/embed", inputs=["zwei Wörter", "eins"])
    assert HEADERS <= set(response.headers)
    assert response.headers["x-compute-characters"] == "15" and response.headers["x-compute-tokens"] == "3"
    assert response.headers["x-compute-type"] == "cpu"
    assert all(int(response.headers[h]) >= 0 for h in HEADERS - {"x-compute-type"})


def test_cuts_to_dimensions(server):
    text = " ".join(f"word{i}" for i in range(50))
    cut = rows(post(server, "/embed", inputs=text, dimensions=32), 1)[0]
    assert len(cut) == 32 and abs(math.hypot(*cut) - 1) < 1e-5
    refused(post(server, "/embed", inputs=text, dimensions=385), 422, "Validation")
    refused(post(server, "/embed", inputs=text, dimensions=0), 422, "Validation")


def test_leaves_the_length_alone_when_asked(server):
    text = " ".join(f"word{i}" for i in range(50))
    unit = rows(post(server, "/embed", inputs=text, normalize=True), 1)[0]
    raw = rows(post(server, "/embed", inputs=text, normalize=False), 1)[0]
    ratio = math.hypot(*raw)
    assert all(abs(r - ratio * u) < 1e-4 for r, u in zip(raw, unit))
    half = rows(post(server, "/embed", inputs=text, normalize=False, dimensions=192), 1)[0]
    assert half == raw[:192]


def test_a_text_that_is_too_long_is_413_unless_it_may_be_cut(server):
    words = [f"w{i}" for i in range(300)]
    text = " ".join(words)
    assert "must have less than 257 tokens" in refused(post(server, "/embed", inputs=text), 413, "Validation")
    refused(post(server, "/embed", inputs=text, truncate=False), 413, "Validation")
    right = rows(post(server, "/embed", inputs=text, truncate=True), 1)
    left = rows(post(server, "/embed", inputs=text, truncate=True, truncation_direction="Left"), 1)
    assert right == rows(post(server, "/embed", inputs=" ".join(words[:256])), 1)
    assert left == rows(post(server, "/embed", inputs=" ".join(words[-256:])), 1)


def test_the_configuration_says_whether_texts_are_cut(start_server):
    s = start_server("embed.model=hash", "embed.auto_truncate=true", "embed.max_client_batch=2")
    text = " ".join(f"w{i}" for i in range(300))
    rows(post(s, "/embed", inputs=text), 1)
    refused(post(s, "/embed", inputs=text, truncate=False), 413, "Validation")
    assert post(s, "/v1/embeddings", input=text).status_code == 200
    refused(post(s, "/embed", inputs=["a", "b", "c"]), 413, "Validation")
    info = s.request("GET", "/info").json()
    assert info["auto_truncate"] is True and info["max_client_batch_size"] == 2


@pytest.mark.parametrize("path", ["/embed", "/embed_all", "/tokenize"])
def test_what_is_no_text_is_refused(server, path):
    for empty in ("", [], ["a", ""]):
        assert "empty" in refused(post(server, path, inputs=empty), 400, "Empty")
    for wrong in (None, 5, [1, 2], [[1]], {"a": 1}, [["a", "b"]], ["a", 1]):
        refused(post(server, path, inputs=wrong), 422, "Validation")
    refused(post(server, path), 422, "Validation")
    assert "32" in refused(post(server, path, inputs=["a"] * 33), 413, "Validation")


@pytest.mark.parametrize("field,value", [("truncate", "yes"), ("normalize", 1), ("truncation_direction", "up"),
                                         ("prompt_name", "none such"), ("prompt_name", 5), ("dimensions", "many")])
def test_wrong_fields_are_422(server, field, value):
    assert field in refused(post(server, "/embed", **{"inputs": "x", field: value}), 422, "Validation")


def test_what_is_no_json_is_422(server):
    headers = {"Content-Type": "application/json"}
    refused(server.request("POST", "/embed", data="{", headers=headers), 422, "Validation")
    refused(server.request("POST", "/embed", data="x"), 415, "Validation")


def test_shows_the_pieces_of_texts(server):
    text = "grüne Äpfel"
    both = rows(post(server, "/tokenize", inputs=[text, "b"]), 2)
    raw = text.encode()
    for t in both[0]:
        assert set(t) == {"id", "text", "special", "start", "stop"}
        if not t["special"]:
            assert raw[t["start"]:t["stop"]].decode() == t["text"]
    assert [t["text"] for t in both[0] if not t["special"]] == ["grüne", "Äpfel"]
    assert rows(post(server, "/tokenize", inputs="b", add_special_tokens=False), 1)[0][0]["text"] == "b"


def test_shows_the_pieces_of_a_long_text_whole(server):
    text = " ".join(f"w{i}" for i in range(5000))
    assert len(rows(post(server, "/tokenize", inputs=text), 1)[0]) >= 5000


def test_a_model_without_vectors_for_tokens_says_so(server):
    assert "hash" in refused(post(server, "/embed_all", inputs="x"), 422, "Validation")


def test_tells_what_it_serves(server):
    info = server.request("GET", "/info").json()
    assert info["model_id"] == "hash" and info["max_input_length"] == 256 and info["auto_truncate"] is False
    assert info["max_client_batch_size"] == 32 and "embedding" in info["model_type"]
    assert {"model_sha", "model_dtype", "served_model_name", "max_concurrent_requests", "max_batch_tokens",
            "max_batch_requests", "tokenization_workers", "version", "sha", "docker_label"} <= set(info)
    assert info["memfuse"]["semantic"] is False and info["memfuse"]["dimensions"] == 384


def test_is_well(server):
    response = server.request("GET", "/health")
    assert response.status_code == 200 and response.content == b""


def test_wrong_methods_speak_the_same_words(server):
    response = server.request("GET", "/embed")
    refused(response, 405, "Validation")
    assert response.headers["Allow"] == "POST"


# ---- with a sentence encoder ----

@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    from conftest import Server, stop_well
    model = os.environ.get("MEMFUSE_TEST_MODEL")
    if not model:
        pytest.skip("needs the folder of a sentence encoder in $MEMFUSE_TEST_MODEL")
    s = Server(tmp_path_factory.mktemp("encoder") / "data", f"embed.model={model}")
    yield s
    stop_well(s)


def test_an_encoder_finds_meanings(encoder):
    a, b, c = rows(post(encoder, "/embed", inputs=["How old are you?", "What is your age?", "The train is late"]), 3)
    assert sum(x * y for x, y in zip(a, b)) > 0.6 > 0.4 > sum(x * y for x, y in zip(a, c))


def test_the_vectors_of_an_encoders_tokens_make_that_of_the_text(encoder):
    tokens = rows(post(encoder, "/embed_all", inputs="Deep learning"), 1)[0]
    assert len(tokens) == len(rows(post(encoder, "/tokenize", inputs="Deep learning"), 1)[0])
    if encoder.request("GET", "/info").json()["model_type"]["embedding"]["pooling"] == "mean":
        mean = [sum(column) for column in zip(*tokens)]
        length = math.hypot(*mean)
        want = rows(post(encoder, "/embed", inputs="Deep learning"), 1)[0]
        assert sum(m / length * w for m, w in zip(mean, want)) > 0.999


def test_an_encoder_reads_as_many_tokens_as_it_says(encoder):
    most = encoder.request("GET", "/info").json()["max_input_length"]
    fits, too_long = " ".join(["word"] * (most - 2)), " ".join(["word"] * (most - 1))
    assert post(encoder, "/embed", inputs=fits).headers["x-compute-tokens"] == str(most)
    assert f"less than {most + 1} tokens" in refused(post(encoder, "/embed", inputs=too_long), 413, "Validation")
    assert post(encoder, "/embed", inputs=too_long, truncate=True).headers["x-compute-tokens"] == str(most)


# ---- keys ----

def test_asks_for_a_key_but_not_for_health(start_server, tmp_path):
    s = start_server("embed.model=hash", *admin_settings(tmp_path))
    refused(post(s, "/embed", inputs="x"), 401, "Unauthorized")
    refused(s.request("GET", "/info"), 401, "Unauthorized")
    assert s.request("GET", "/health").status_code == 200
    good = {"Authorization": f"Bearer {ADMIN}"}
    assert s.request("POST", "/embed", json={"inputs": "x"}, headers=good).status_code == 200
