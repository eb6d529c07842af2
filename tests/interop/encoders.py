#!/usr/bin/env python3
"""Makes a BERT encoder and a vision transformer with seeded weights, as exporters write them, and samples for them.

usage: encoders.py FOLDER      (needs numpy and onnx)

FOLDER/bert.onnx      six layers, 256 wide, 4 heads; input_ids, attention_mask, token_type_ids int64[N,S];
                      last_hidden_state f32[N,S,256], pooled f32[N,256]
FOLDER/bert.npz       64 sentences of 24 ids, some of them padded
FOLDER/vit.onnx       four layers, 192 wide, 3 heads; image f32[N,3,64,64] in patches of 8; logits f32[N,10]
FOLDER/vit-pre.onnx   the same with normalizations before attention and perceptron, and two loud channels in the sum that runs through
FOLDER/vit.npz        64 smooth images, of both

Weights are normal with outlying channels in the normalizations, as trained encoders have them.
"""
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save


class Net:
    """Appends nodes; every method returns the name of what it computes."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, array, name):
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op, *inputs, **attributes):
        self.count += 1
        output = f"{op}_{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output + "_node", **attributes))
        return output

    def ints(self, *values):
        return self.constant(np.array(values, np.int64), f"ints_{len(self.constants)}")

    def number(self, value):
        return self.constant(np.float32(value), f"number_{len(self.constants)}")

    def linear(self, x, inputs, outputs, name):
        weight = self.rng.normal(0, inputs ** -0.5, (inputs, outputs)).astype(np.float32)
        bias = self.rng.normal(0, 0.02, outputs).astype(np.float32)
        product = self.add("MatMul", x, self.constant(weight, name + ".weight"))
        return self.add("Add", product, self.constant(bias, name + ".bias"))

    def norm(self, x, width, name):
        scale = self.rng.normal(1, 0.1, width).astype(np.float32)
        scale[self.rng.choice(width, 2, replace=False)] *= 4
        shift = self.rng.normal(0, 0.1, width).astype(np.float32)
        return self.add("LayerNormalization", x, self.constant(scale, name + ".scale"),
                        self.constant(shift, name + ".shift"), axis=-1, epsilon=1e-5)

    def gelu(self, x):
        half = self.add("Mul", x, self.number(0.5))
        erf = self.add("Erf", self.add("Div", x, self.number(2 ** 0.5)))
        return self.add("Mul", half, self.add("Add", erf, self.number(1)))

    def attention(self, x, width, heads, mask, name):
        def split(y, perm):
            return self.add("Transpose", self.add("Reshape", y, self.ints(0, -1, heads, width // heads)), perm=perm)
        q = split(self.linear(x, width, width, name + ".q"), [0, 2, 1, 3])
        k = split(self.linear(x, width, width, name + ".k"), [0, 2, 3, 1])
        v = split(self.linear(x, width, width, name + ".v"), [0, 2, 1, 3])
        scores = self.add("Div", self.add("MatMul", q, k), self.number((width // heads) ** 0.5))
        if mask:
            scores = self.add("Add", scores, mask)
        context = self.add("MatMul", self.add("Softmax", scores, axis=-1), v)
        merged = self.add("Reshape", self.add("Transpose", context, perm=[0, 2, 1, 3]), self.ints(0, -1, width))
        return self.linear(merged, width, width, name + ".out")

    def layer(self, x, width, heads, mask, name):
        x = self.norm(self.add("Add", x, self.attention(x, width, heads, mask, name)), width, name + ".norm1")
        hidden = self.gelu(self.linear(x, width, 4 * width, name + ".up"))
        return self.norm(self.add("Add", x, self.linear(hidden, 4 * width, width, name + ".down")), width, name + ".norm2")

    def layer_behind_norms(self, x, width, heads, name):
        x = self.add("Add", x, self.attention(self.norm(x, width, name + ".norm1"), width, heads, None, name))
        hidden = self.gelu(self.linear(self.norm(x, width, name + ".norm2"), width, 4 * width, name + ".up"))
        return self.add("Add", x, self.linear(hidden, 4 * width, width, name + ".down"))

    def save(self, path, inputs, outputs):
        info = lambda v: helper.make_tensor_value_info(*v)
        graph = helper.make_graph(self.nodes, path.stem, [info(v) for v in inputs], [info(v) for v in outputs],
                                  self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        checker.check_model(model, full_check=True)
        save(model, path)


def bert(folder, width=256, heads=4, layers=6, vocabulary=2000, longest=64):
    net = Net(1)
    table = lambda rows, name: net.constant(net.rng.normal(0, 0.05, (rows, width)).astype(np.float32), name)
    words = net.add("Gather", table(vocabulary, "words"), "input_ids")
    kinds = net.add("Gather", table(2, "kinds"), "token_type_ids")
    length = net.add("Slice", net.add("Shape", "input_ids"), net.ints(1), net.ints(2))
    places = net.add("Unsqueeze", net.add("Slice", table(longest, "places"), net.ints(0), length, net.ints(0)), net.ints(0))
    x = net.norm(net.add("Add", net.add("Add", words, kinds), places), width, "embedding.norm")
    seen = net.add("Cast", net.add("Unsqueeze", "attention_mask", net.ints(1, 2)), to=TensorProto.FLOAT)
    mask = net.add("Mul", net.add("Sub", net.number(1), seen), net.number(np.finfo(np.float32).min))
    for i in range(layers):
        x = net.layer(x, width, heads, mask, f"layer{i}")
    net.nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"]))
    first = net.add("Gather", x, net.constant(np.int64(0), "first"), axis=1)
    net.nodes.append(helper.make_node("Tanh", [net.linear(first, width, width, "pooler")], ["pooled"]))
    ids = [(n, TensorProto.INT64, ["N", "S"]) for n in ("input_ids", "attention_mask", "token_type_ids")]
    net.save(folder / "bert.onnx", ids, [("last_hidden_state", TensorProto.FLOAT, ["N", "S", width]),
                                         ("pooled", TensorProto.FLOAT, ["N", width])])
    rng = np.random.default_rng(2)
    shape, lengths = (64, 24), rng.integers(8, 25, 64)
    mask = (np.arange(24) < lengths[:, None]).astype(np.int64)
    kinds = ((np.arange(24) >= lengths[:, None] // 2) & (mask == 1)).astype(np.int64)
    ids = rng.zipf(1.3, shape) % vocabulary * mask
    np.savez(folder / "bert.npz", input_ids=ids, attention_mask=mask, token_type_ids=kinds)


def vit(folder, width=192, heads=3, layers=4, size=64, patch=8, norms_before=False):
    net = Net(3)
    weight = net.rng.normal(0, (3 * patch * patch) ** -0.5, (width, 3, patch, patch)).astype(np.float32)
    patches = net.add("Conv", "image", net.constant(weight, "patches.weight"), strides=[patch, patch], kernel_shape=[patch, patch])
    tokens = net.add("Transpose", net.add("Reshape", patches, net.ints(0, width, -1)), perm=[0, 2, 1])
    batch = net.add("Slice", net.add("Shape", "image"), net.ints(0), net.ints(1))
    token = net.constant(net.rng.normal(0, 0.02, (1, 1, width)).astype(np.float32), "class.token")
    one = net.add("Expand", token, net.add("Concat", batch, net.ints(1, width), axis=0))
    x = net.add("Concat", one, tokens, axis=1)
    places = net.rng.normal(0, 0.02, (1, (size // patch) ** 2 + 1, width)).astype(np.float32)
    if norms_before:
        places[..., net.rng.choice(width, 2, replace=False)] += 12
    x = net.add("Add", x, net.constant(places, "places"))
    for i in range(layers):
        x = net.layer_behind_norms(x, width, heads, f"layer{i}") if norms_before else net.layer(x, width, heads, None, f"layer{i}")
    if norms_before:
        x = net.norm(x, width, "norm")
    first = net.add("Gather", x, net.constant(np.int64(0), "first"), axis=1)
    net.nodes.append(helper.make_node("Identity", [net.linear(first, width, 10, "head")], ["logits"]))
    net.save(folder / ("vit-pre.onnx" if norms_before else "vit.onnx"), [("image", TensorProto.FLOAT, ["N", 3, size, size])],
             [("logits", TensorProto.FLOAT, ["N", 10])])
    rng = np.random.default_rng(4)
    coarse = rng.normal(0, 1, (64, 3, 9, 9))
    at = np.linspace(0, 7.999, size)
    low, part = at.astype(int), at - at.astype(int)
    rows = coarse[:, :, low] * (1 - part)[:, None] + coarse[:, :, low + 1] * part[:, None]
    image = rows[..., low] * (1 - part) + rows[..., low + 1] * part
    np.savez(folder / "vit.npz", image=image.astype(np.float32))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    bert(target)
    vit(target)
    vit(target, norms_before=True)
