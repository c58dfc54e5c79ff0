# SPDX-License-Identifier: Apache-2.0
"""A tiny sentence encoder as it is published, and a hub on loopback that hands it out, well or badly."""
import hashlib
import json
import math
import ssl
import struct
import subprocess
import threading
from array import array
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "makers/tiny"
COMMIT = "8b3219a92973c328a8e22fadcfa821b5dc75636a"
HIDDEN, FFN, WORDS = 8, 16, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "green", "bi", "##ke"]


def write_tiny(folder):
    for path, data in tiny_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def safetensors(shapes, numbers=lambda name, at, n: [i / 9999 for i in range(at, at + n)]):
    """numbers(name, at, n): the n of a tensor, behind `at` others."""
    header, at, data = {}, 0, b""
    for name, shape in shapes.items():
        values = array("f", numbers(name, at // 4, math.prod(shape)))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * len(values)]}
        at += 4 * len(values)
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def bert_shapes(n_words, hidden, ffn, n_positions):
    """The tensors of an encoder of one layer."""
    shapes = {"embeddings.word_embeddings.weight": [n_words, hidden],
              "embeddings.position_embeddings.weight": [n_positions, hidden],
              "embeddings.token_type_embeddings.weight": [2, hidden]}
    layer = "encoder.layer.0."
    for name, out, into in (("attention.self.query", hidden, hidden), ("attention.self.key", hidden, hidden),
                            ("attention.self.value", hidden, hidden), ("attention.output.dense", hidden, hidden),
                            ("intermediate.dense", ffn, hidden), ("output.dense", hidden, ffn)):
        shapes[f"{layer}{name}.weight"], shapes[f"{layer}{name}.bias"] = [out, into], [out]
    for name in ("embeddings", f"{layer}attention.output", f"{layer}output"):
        shapes[f"{name}.LayerNorm.weight"], shapes[f"{name}.LayerNorm.bias"] = [hidden], [hidden]
    return shapes


def bert_texts(n_words, hidden, ffn, n_positions, window):
    """The files beside its tensors and its words."""
    return {
        "config.json": {"model_type": "bert", "hidden_size": hidden, "num_hidden_layers": 1, "num_attention_heads": 2,
                        "intermediate_size": ffn, "vocab_size": n_words, "max_position_embeddings": n_positions,
                        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"},
        "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                         {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}],
        "1_Pooling/config.json": {"word_embedding_dimension": hidden, "pooling_mode_cls_token": False,
                                  "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": window, "do_lower_case": False},
        "tokenizer_config.json": {"do_lower_case": True, "tokenizer_class": "BertTokenizer"},
    }


def tiny_files():
    texts = bert_texts(len(WORDS), HIDDEN, FFN, 32, 16)
    files = {path: json.dumps(text).encode() for path, text in texts.items()}
    files["vocab.txt"] = "".join(word + "\n" for word in WORDS).encode()
    files["model.safetensors"] = safetensors(bert_shapes(len(WORDS), HIDDEN, FFN, 32))
    files["pytorch_model.bin"] = b"nobody asks for this"
    return files


def certificate(folder):
    """A file with a key and a certificate for 127.0.0.1 that nobody knows."""
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "hub.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hub", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


class Hub:
    """Fields are what a test changes; `asked` is what came: (path, Range or None)."""

    def __init__(self, certificate=None):
        self.files = tiny_files()
        self.commit = COMMIT
        self.more_names = []       # listed beside the files
        self.sums = True           # the listing tells sums and sizes
        self.headers = {}          # path -> headers added to its answer
        self.failures = {}         # path -> list of statuses that come before the file
        self.cut = {}              # path -> bytes sent before the connection breaks, once
        self.redirects = {}        # path -> address
        self.chunked = set()       # sent without a length
        self.listing = None        # bytes instead of the listing
        self.asked = []
        self.slow = None           # path: stops in the middle until `go` is set
        self.go = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server.server_port}"
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def paths_asked(self):
        return [path for path, _ in self.asked]

    def listing_of_files(self):
        siblings = []
        for path, data in self.files.items():
            entry = {"rfilename": path}
            if self.sums:
                entry["size"] = len(data)
                if path == "model.safetensors":
                    entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        siblings += [{"rfilename": name} for name in self.more_names]
        told = {"id": NAME, "siblings": siblings}
        if self.commit:
            told["sha"] = self.commit
        return json.dumps(told).encode()

    def close(self):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None

    def log_message(self, *_):
        pass

    def answer(self, status, data=b"", headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        hub = self.hub
        path = self.path.split("?")[0]
        if path.startswith(f"/api/models/{NAME}/revision/"):
            hub.asked.append(("listing", None))
            status = hub.failures.get("listing")
            if status:
                return self.answer(status.pop(0))
            return self.answer(200, hub.listing or hub.listing_of_files())
        prefix = f"/{NAME}/resolve/{hub.commit or 'main'}/"
        if path.startswith("/elsewhere/"):
            return self.send_file(path.removeprefix("/elsewhere/"))
        if path.startswith(prefix) and path.removeprefix(prefix) in hub.files:
            return self.resolve(path.removeprefix(prefix))
        hub.asked.append((path, None))
        return self.answer(404, b"Repository not found")

    def resolve(self, path):
        hub = self.hub
        hub.asked.append((path, self.headers.get("Range")))
        if hub.failures.get(path):
            return self.answer(hub.failures[path].pop(0), b"not now")
        if path in hub.redirects:
            return self.answer(302, b"", {"Location": hub.redirects[path], **hub.headers.get(path, {})})
        return self.send_file(path, hub.headers.get(path, {}))

    def send_file(self, path, headers=()):
        hub, data, status = self.hub, self.hub.files[path], 200
        headers = dict(headers)
        asked = self.headers.get("Range")
        if asked:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data, status = data[start:], 206
        if path in hub.chunked:
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
            return None
        if path in hub.cut or path == hub.slow:
            return self.send_part(path, status, data, headers)
        return self.answer(status, data, headers)

    def send_part(self, path, status, data, headers):
        hub = self.hub
        n = hub.cut.pop(path, len(data) // 2)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:n])
        self.wfile.flush()
        if path == hub.slow:
            hub.go.wait(30)
        self.close_connection = True
