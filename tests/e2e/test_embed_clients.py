# SPDX-License-Identifier: Apache-2.0
"""The public clients of the embedding routes, unmodified: OpenAI's for Python and Node, Hugging Face's."""
import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import pytest

openai = pytest.importorskip("openai", reason="needs tests/e2e/requirements-clients.txt: tools/pyenv.sh clients")
hub = pytest.importorskip("huggingface_hub", reason="needs tests/e2e/requirements-clients.txt: tools/pyenv.sh clients")

ADMIN = "admin-key-0123456789"
TEXTS = ["The cat sits outside", "A man is playing guitar", "The new movie is awesome"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from conftest import Server, stop_well
    folder = tmp_path_factory.mktemp("server")
    key = folder / "admin.key"
    key.write_text(ADMIN)
    key.chmod(0o600)
    s = Server(folder / "data", "embed.model=hash", "server.api_key_validation=true", f"server.admin_key_file={key}")
    yield s
    stop_well(s)


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key=ADMIN, max_retries=0)


@pytest.fixture
def inference(server):
    return hub.InferenceClient(server.url, token=ADMIN)


def check_unit(vector, dim=384):
    assert len(vector) == dim and abs(math.hypot(*[float(x) for x in vector]) - 1) < 1e-5


def test_openai_embeds_as_it_does_by_default(client):
    answer = client.embeddings.create(model="text-embedding-3-small", input=TEXTS)
    assert answer.model == "hash" and answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    assert [d.index for d in answer.data] == [0, 1, 2]
    for d in answer.data:
        check_unit(d.embedding)


def test_openai_gets_the_same_numbers_in_both_forms(client):
    packed = client.embeddings.create(model="hash", input=TEXTS[0])
    plain = client.embeddings.create(model="hash", input=TEXTS[0], encoding_format="float")
    assert all(abs(a - b) < 1e-7 for a, b in zip(packed.data[0].embedding, plain.data[0].embedding))
    check_unit(plain.data[0].embedding)
    check_unit(client.embeddings.create(model="hash", input=TEXTS[0], dimensions=192).data[0].embedding, 192)


def test_openai_sees_its_own_errors(client, server):
    with pytest.raises(openai.BadRequestError) as e:
        client.embeddings.create(model="hash", input="")
    assert e.value.param == "input" and e.value.type == "invalid_request_error" and e.value.request_id
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="hash", input=[[1, 2, 3]])
    with pytest.raises(openai.AuthenticationError) as e:
        openai.OpenAI(base_url=server.url + "/v1", api_key="wrong-key-wrong-key").embeddings.create(model="m", input="x")
    assert e.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as e:
        client.models.retrieve("gpt")
    assert e.value.code == "model_not_found"


def test_openai_lists_the_model(client):
    assert [m.id for m in client.models.list()] == ["hash"]
    assert client.models.retrieve("hash").owned_by == "memfuse"


def test_hugging_face_extracts_features(inference):
    one = inference.feature_extraction(TEXTS[0])
    assert one.shape == (1, 384)
    check_unit(one[0])
    many = inference.feature_extraction(TEXTS, normalize=True, truncate=True, truncation_direction="right")
    assert many.shape == (3, 384) and abs(many[0] - one[0]).max() < 1e-7


def test_hugging_face_sees_errors(inference):
    with pytest.raises(hub.errors.HfHubHTTPError) as e:
        inference.feature_extraction("")
    assert e.value.response.status_code == 400
    with pytest.raises(hub.errors.HfHubHTTPError) as e:
        inference.feature_extraction("x", prompt_name="none such")
    assert e.value.response.status_code == 422


NODE = """
import OpenAI from "openai";
const client = new OpenAI({baseURL: process.env.BASE, apiKey: process.env.KEY, maxRetries: 0});
const packed = await client.embeddings.create({model: "m", input: JSON.parse(process.env.TEXTS)});
const plain = await client.embeddings.create({model: "m", input: JSON.parse(process.env.TEXTS), encoding_format: "float"});
let error = null;
try { await client.embeddings.create({model: "m", input: ""}); } catch (e) { error = {status: e.status, param: e.param}; }
const models = [];
for await (const m of client.models.list()) models.push(m.id);
console.log(JSON.stringify({packed, plain, error, models}));
"""


def test_openai_for_node_embeds_as_it_does_by_default(server, tmp_path):
    modules = Path(os.environ.get("MF_NODE_MODULES") or "build/node/node_modules").resolve()
    if shutil.which("node") is None or not (modules / "openai").is_dir():
        pytest.skip("needs node and the package openai: tools/nodeenv.sh")
    (tmp_path / "node_modules").symlink_to(modules)
    script = tmp_path / "embed.mjs"
    script.write_text(NODE)
    env = {**os.environ, "BASE": server.url + "/v1", "KEY": ADMIN, "TEXTS": json.dumps(TEXTS)}
    run = subprocess.run(["node", str(script)], env=env, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["models"] == ["hash"] and said["error"] == {"status": 400, "param": "input"}
    for a, b in zip(said["packed"]["data"], said["plain"]["data"], strict=True):
        check_unit(a["embedding"])
        assert max(abs(x - y) for x, y in zip(a["embedding"], b["embedding"])) < 1e-7
