# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs of a BERT sentence encoder (all-MiniLM-L6-v2) from its published weights, for
ONNX Runtime as a peer.

    minilm_onnx.py MODEL_DIR OUT_DIR

plain       the operators of Hugging Face's export; the session's own optimizer fuses it
fused       ONNX Runtime's operators written down: EmbedLayerNormalization, Attention,
            SkipLayerNormalization, BiasGelu
fast        the same with FastGelu (tanh) instead
*_int8      each through quantize_dynamic, weights s8 a channel

Inputs input_ids, attention_mask (and token_type_ids): [texts, pieces]; output
last_hidden_state. Needs numpy, onnx, onnxruntime."""
import json
import math
import sys
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
MINUS_INFINITY = -10000.0  # as an addend of a score
ORT = "com.microsoft"


def read_safetensors(path):
    """{name: float32 array}"""
    raw = Path(path).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8:8 + size])
    out = {}
    for name, t in head.items():
        if name == "__metadata__" or t["dtype"] != "F32":
            continue
        begin, end = (8 + size + x for x in t["data_offsets"])
        out[name.removeprefix("bert.")] = numpy.frombuffer(
            raw[begin:end], "<f4").reshape(t["shape"])
    return out


class Graph:
    """Nodes one after the other; an initializer for each array."""

    def __init__(self, folder):
        self.weights = read_safetensors(Path(folder) / "model.safetensors")
        self.config = json.loads((Path(folder) / "config.json").read_text())
        self.hidden = self.config["hidden_size"]
        self.heads = self.config["num_attention_heads"]
        self.eps = self.config["layer_norm_eps"]
        self.nodes, self.initializers, self.n = [], [], 0

    def constant(self, array, name=None):
        name = name or f"c{self.n}"
        self.n += 1
        self.initializers.append(numpy_helper.from_array(numpy.asarray(array, order="C"), name))
        return name

    def node(self, op, inputs, domain="", n_outputs=1, out=None, **attributes):
        self.n += 1
        outputs = [out or f"{op}_{self.n}"] + [f"{op}_{self.n}_{i}" for i in range(1, n_outputs)]
        self.nodes.append(helper.make_node(op, inputs, outputs, f"{op}_{self.n}",
                                           domain=domain, **attributes))
        return outputs[0] if n_outputs == 1 else outputs

    def weight(self, name):
        return self.constant(self.weights[name], name)

    def turned(self, name):
        """A weight as MatMul wants it: inputs x outputs."""
        return self.constant(self.weights[name].T, name + ".T")

    def save(self, path, int_type, n_inputs):
        names = ["input_ids", "attention_mask", "token_type_ids"][:n_inputs]
        inputs = [helper.make_tensor_value_info(n, int_type, ["texts", "pieces"]) for n in names]
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT,
                                               ["texts", "pieces", self.hidden])
        graph = helper.make_graph(self.nodes, "encoder", inputs, [output], self.initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ORT, 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


# ---- as Hugging Face exports it

def dense(g, x, name):
    y = g.node("MatMul", [x, g.turned(name + ".weight")])
    return g.node("Add", [g.weight(name + ".bias"), y])


def norm(g, x, name, out=None):
    return g.node("LayerNormalization",
                  [x, g.weight(name + ".weight"), g.weight(name + ".bias")],
                  out=out, axis=-1, epsilon=g.eps)


def integers(g, *values):
    return g.constant(numpy.array(values, numpy.int64))


def plain_embeddings(g):
    at = "embeddings."
    shape = g.node("Shape", ["input_ids"])
    n = g.node("Gather", [shape, g.constant(numpy.array(1, numpy.int64))])
    until = g.node("Unsqueeze", [n, integers(g, 0)])
    all_positions = g.constant(numpy.arange(n_positions(g), dtype=numpy.int64)[None])
    positions = g.node("Slice", [all_positions, integers(g, 0), until, integers(g, 1)])
    words = g.node("Gather", [g.weight(at + "word_embeddings.weight"), "input_ids"])
    kinds = g.node("Gather", [g.weight(at + "token_type_embeddings.weight"), "token_type_ids"])
    places = g.node("Gather", [g.weight(at + "position_embeddings.weight"), positions])
    x = g.node("Add", [g.node("Add", [words, kinds]), places])
    return norm(g, x, at + "LayerNorm")


def n_positions(g):
    return g.weights["embeddings.position_embeddings.weight"].shape[0]


def plain_mask(g):
    mask = g.node("Unsqueeze", ["attention_mask", integers(g, 1)])
    mask = g.node("Cast", [g.node("Unsqueeze", [mask, integers(g, 2)])], to=TensorProto.FLOAT)
    hidden = g.node("Sub", [g.constant(numpy.float32(1)), mask])
    return g.node("Mul", [hidden, g.constant(numpy.float32(MINUS_INFINITY))])


def heads_of(g, x, perm):
    width = g.hidden // g.heads
    x = g.node("Reshape", [x, integers(g, 0, 0, g.heads, width)])
    return g.node("Transpose", [x], perm=perm)


def plain_attention(g, x, mask, name):
    q, k, v = (dense(g, x, f"{name}.self.{part}") for part in ("query", "key", "value"))
    q, v = (heads_of(g, y, [0, 2, 1, 3]) for y in (q, v))
    k = heads_of(g, k, [0, 2, 3, 1])
    root = g.constant(numpy.float32(math.sqrt(g.hidden // g.heads)))
    scores = g.node("Div", [g.node("MatMul", [q, k]), root])
    shares = g.node("Softmax", [g.node("Add", [scores, mask])], axis=-1)
    y = g.node("Transpose", [g.node("MatMul", [shares, v])], perm=[0, 2, 1, 3])
    y = g.node("Reshape", [y, integers(g, 0, 0, g.hidden)])
    y = g.node("Add", [dense(g, y, name + ".output.dense"), x])
    return norm(g, y, name + ".output.LayerNorm")


def plain_gelu(g, x):
    y = g.node("Erf", [g.node("Div", [x, g.constant(numpy.float32(math.sqrt(2)))])])
    y = g.node("Add", [y, g.constant(numpy.float32(1))])
    return g.node("Mul", [g.node("Mul", [x, y]), g.constant(numpy.float32(0.5))])


def plain(folder, path):
    g = Graph(folder)
    x, mask = plain_embeddings(g), plain_mask(g)
    n_layers = g.config["num_hidden_layers"]
    for i in range(n_layers):
        name = f"encoder.layer.{i}"
        x = plain_attention(g, x, mask, name + ".attention")
        y = plain_gelu(g, dense(g, x, name + ".intermediate.dense"))
        y = g.node("Add", [dense(g, y, name + ".output.dense"), x])
        x = norm(g, y, name + ".output.LayerNorm",
                 out="last_hidden_state" if i == n_layers - 1 else None)
    g.save(path, TensorProto.INT64, 3)


# ---- ONNX Runtime's own operators

def fused_embeddings(g):
    at = "embeddings."
    inputs = ["input_ids", "token_type_ids"]
    inputs += [g.weight(f"{at}{t}_embeddings.weight") for t in ("word", "position", "token_type")]
    inputs += [g.weight(at + "LayerNorm.weight"), g.weight(at + "LayerNorm.bias")]
    return g.node("EmbedLayerNormalization", inputs, ORT, n_outputs=2, epsilon=g.eps)[0]


def fused_attention(g, x, name):
    parts = [f"{name}.self.{part}" for part in ("query", "key", "value")]
    weight = numpy.concatenate([g.weights[p + ".weight"].T for p in parts], axis=1)
    bias = numpy.concatenate([g.weights[p + ".bias"] for p in parts])
    return g.node("Attention", [x, g.constant(weight), g.constant(bias), "attention_mask"], ORT,
                  num_heads=g.heads)


def fused_norm(g, x, residual, name, out=None):
    y = g.node("MatMul", [x, g.turned(name + ".dense.weight")])
    parts = [g.weight(f"{name}.{t}") for t in ("LayerNorm.weight", "LayerNorm.bias", "dense.bias")]
    return g.node("SkipLayerNormalization", [y, residual] + parts, ORT, out=out, epsilon=g.eps)


def fused(folder, path, gelu):
    g = Graph(folder)
    x = fused_embeddings(g)
    n_layers = g.config["num_hidden_layers"]
    for i in range(n_layers):
        name = f"encoder.layer.{i}"
        y = fused_attention(g, x, name + ".attention")
        x = fused_norm(g, y, x, name + ".attention.output")
        y = g.node("MatMul", [x, g.turned(name + ".intermediate.dense.weight")])
        y = g.node(gelu, [y, g.weight(name + ".intermediate.dense.bias")], ORT)
        x = fused_norm(g, y, x, name + ".output",
                       out="last_hidden_state" if i == n_layers - 1 else None)
    g.save(path, TensorProto.INT32, 3)


def quantize(path, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(path), str(out), per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"MatMulConstBOnly": True,
                                    "DefaultTensorType": TensorProto.FLOAT})


def make_all(folder, out):
    """{"f32": [paths], "int8": [paths]}"""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    plain(folder, out / "plain.onnx")
    fused(folder, out / "fused.onnx", "BiasGelu")
    fused(folder, out / "fast.onnx", "FastGelu")
    f32 = [out / f"{name}.onnx" for name in ("plain", "fused", "fast")]
    int8 = [p.with_name(p.stem + "_int8.onnx") for p in f32]
    for source, quantized in zip(f32, int8):
        quantize(source, quantized)
    return {"f32": f32, "int8": int8}


if __name__ == "__main__":
    make_all(sys.argv[1], sys.argv[2])
