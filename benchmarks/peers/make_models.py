#!/usr/bin/env python3
"""Networks of known shapes with seeded weights, for measurements of speed, memory and loading:

    benchmarks/peers/make_models.py FOLDER [resnet20 resnet50 mobilenetv2 bert-base ...]

writes NAME.onnx for each. Nothing is trained, so no accuracy can be told with them; but ranges are those of trained networks:
weights have He's variance and channels of different strength, the statistics of batch normalisations are those that the
network has on noise, and a few channels of BERT's layer normalisations are ten times the others'. The same seed gives the
same bytes. Needs onnx, onnxruntime and NumPy.
"""
import argparse
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

EPSILON = 1e-5


class Builder:
    """A graph being written, with weights drawn in the order in which they are asked for."""

    def __init__(self, seed: int, statistics: dict[str, np.ndarray] | None = None):
        self.random = np.random.default_rng(seed)
        self.statistics = statistics  # of batch normalisations; None: the graph measures them
        self.measured: list[str] = []
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, array: np.ndarray, dtype=np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name

    def node(self, op: str, *inputs: str, **attributes) -> str:
        self.count += 1
        name = f"{op.lower()}{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [name + "_out"], name, **attributes))
        return name + "_out"

    def weight(self, *shape: int, fan_in: int) -> str:
        strength = self.random.lognormal(0, 0.3, (shape[0], *[1] * (len(shape) - 1)))
        return self.constant(self.random.normal(0, np.sqrt(2 / fan_in), shape) * strength)

    def conv(self, x: str, inputs: int, outputs: int, kernel: int, stride=1, group=1, act: str | None = "Relu", gain=1.0) -> str:
        """Convolution, batch normalisation, activation."""
        w = self.weight(outputs, inputs // group, kernel, kernel, fan_in=inputs // group * kernel * kernel)
        pad = kernel // 2
        x = self.node("Conv", x, w, group=group, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)
        x = self.normalized(x, outputs, gain)
        if act == "Relu6":
            return self.node("Clip", x, self.constant(0.0), self.constant(6.0))
        return self.node(act, x) if act else x

    def normalized(self, x: str, channels: int, gain: float) -> str:
        scale = self.random.uniform(0.5, 1.5, channels) * gain
        shift = self.random.normal(0, 0.3, channels)
        if self.statistics is not None:
            mean, variance = self.statistics[f"{x}/mean"], self.statistics[f"{x}/variance"]
            constants = [self.constant(array.ravel()) for array in (scale, shift, mean, variance)]
            return self.node("BatchNormalization", x, *constants, epsilon=EPSILON)
        self.count += 1  # that of the node above, so that both graphs name the rest alike
        axes, column = [0, 2, 3], (1, channels, 1, 1)

        def add(op, out, *inputs, **attributes):
            self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
            return out

        mean = add("ReduceMean", f"{x}/mean", x, axes=axes)
        centred = add("Sub", f"{x}/centred", x, mean)
        variance = add("ReduceMean", f"{x}/variance", add("Mul", f"{x}/square", centred, centred), axes=axes)
        self.measured += [mean, variance]
        unit = add("Div", f"{x}/unit", centred, add("Sqrt", f"{x}/deviation", variance))
        shifted = add("Mul", f"{x}/scaled", unit, self.constant(scale.reshape(column)))
        return add("Add", f"batchnormalization{self.count}_out", shifted, self.constant(shift.reshape(column)))

    def linear(self, x: str, inputs: int, outputs: int, deviation: float) -> str:
        """x times a matrix, plus a bias, on the last axis."""
        w = self.constant(self.random.normal(0, deviation, (inputs, outputs)))
        return self.node("Add", self.node("MatMul", x, w), self.constant(self.random.normal(0, 0.02, outputs)))

    def classifier(self, x: str, channels: int, classes: int) -> str:
        x = self.node("Flatten", self.node("GlobalAveragePool", x))
        w = self.weight(classes, channels, fan_in=2 * channels)
        return self.node("Gemm", x, w, self.constant(self.random.normal(0, 0.05, classes)), transB=1)

    def model(self, name: str, inputs: list, output: str, outputs=None) -> onnx.ModelProto:
        found = [helper.make_tensor_value_info(out, TensorProto.FLOAT, None) for out in outputs or [output]]
        graph = helper.make_graph(self.nodes, name, inputs, found, self.constants)
        opset = helper.make_opsetid("", 17)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="make_models")


def resnet20(b: Builder, x: str) -> str:
    x, channels = b.conv(x, 3, 16, 3), 16
    for stage in range(3):
        for block in range(3):
            width, stride = 16 << stage, 2 if stage > 0 and block == 0 else 1
            y = b.conv(b.conv(x, channels, width, 3, stride), width, width, 3, act=None)
            short = x if channels == width else b.conv(x, channels, width, 1, stride, act=None)
            x, channels = b.node("Relu", b.node("Add", y, short)), width
    return b.classifier(x, channels, 10)


def resnet50(b: Builder, x: str) -> str:
    x, channels = b.node("MaxPool", b.conv(x, 3, 64, 7, 2), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            width, stride = 64 << stage, 2 if stage > 0 and block == 0 else 1
            y = b.conv(b.conv(x, channels, width, 1), width, width, 3, stride)
            y = b.conv(y, width, 4 * width, 1, act=None, gain=0.5)
            short = x if block > 0 else b.conv(x, channels, 4 * width, 1, stride, act=None)
            x, channels = b.node("Relu", b.node("Add", y, short)), 4 * width
    return b.classifier(x, channels, 1000)


def mobilenetv2(b: Builder, x: str) -> str:
    x, channels = b.conv(x, 3, 32, 3, 2, act="Relu6"), 32
    for expand, width, blocks, first in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(blocks):
            stride, inner = first if block == 0 else 1, channels * expand
            y = b.conv(x, channels, inner, 1, act="Relu6") if expand > 1 else x
            y = b.conv(y, inner, inner, 3, stride, group=inner, act="Relu6")
            y = b.conv(y, inner, width, 1, act=None)
            x, channels = b.node("Add", x, y) if stride == 1 and channels == width else y, width
    return b.classifier(b.conv(x, channels, 1280, 1, act="Relu6"), 1280, 1000)


def layer_norm(b: Builder, x: str, width: int) -> str:
    scale, shift = b.random.normal(0.9, 0.05, width), b.random.normal(0, 0.1, width)
    strong = b.random.choice(width, 4, replace=False)
    scale[strong] *= 10
    return b.node("LayerNormalization", x, b.constant(scale), b.constant(shift), axis=-1, epsilon=1e-12)


def bert_base(b: Builder) -> str:
    width, heads, words = 768, 12, 30522
    table = b.constant(b.random.normal(0, 0.04, (words, width)))
    places = b.constant(b.random.normal(0, 0.02, (1, 128, width)))
    x = layer_norm(b, b.node("Add", b.node("Gather", table, "input_ids"), places), width)
    mask = b.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = b.node("Mul", b.node("Sub", b.constant(1.0), mask), b.constant(-10000.0))
    mask = b.node("Unsqueeze", mask, b.constant([1, 2], np.int64))
    split = b.constant([0, 0, heads, width // heads], np.int64)
    join = b.constant([0, 0, width], np.int64)

    def head(y, order):
        return b.node("Transpose", b.node("Reshape", y, split), perm=order)

    for _ in range(12):
        q = head(b.linear(x, width, width, 0.04), [0, 2, 1, 3])
        k = head(b.linear(x, width, width, 0.04), [0, 2, 3, 1])
        v = head(b.linear(x, width, width, 0.03), [0, 2, 1, 3])
        scores = b.node("Div", b.node("MatMul", q, k), b.constant(np.sqrt(width // heads)))
        scores = b.node("Softmax", b.node("Add", scores, mask), axis=-1)
        y = b.node("Reshape", b.node("Transpose", b.node("MatMul", scores, v), perm=[0, 2, 1, 3]), join)
        x = layer_norm(b, b.node("Add", x, b.linear(y, width, width, 0.03)), width)
        y = b.linear(x, width, 4 * width, 0.03)
        erf = b.node("Erf", b.node("Div", y, b.constant(np.sqrt(2))))
        y = b.node("Mul", b.node("Mul", y, b.node("Add", erf, b.constant(1.0))), b.constant(0.5))
        x = layer_norm(b, b.node("Add", x, b.linear(y, 4 * width, width, 0.03)), width)
    first = b.node("Gather", x, b.constant(0, np.int64), axis=1)
    return b.linear(b.node("Tanh", b.linear(first, width, width, 0.04)), width, 2, 0.04)


def image_model(name: str, build, side: int, seed: int) -> onnx.ModelProto:
    def make(batch: int, statistics=None):
        builder = Builder(seed, statistics)
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, side, side])
        output = build(builder, "image")
        return builder, builder.model(name, [image], output, None if statistics else builder.measured)

    builder, measuring = make(2)
    session = onnxruntime.InferenceSession(measuring.SerializeToString(), providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(seed).normal(0, 1, (2, 3, side, side)).astype(np.float32)
    found = session.run(builder.measured, {"image": noise})
    return make(1, dict(zip(builder.measured, found)))[1]


def text_model(name: str, build, seed: int) -> onnx.ModelProto:
    builder = Builder(seed)
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, [1, 128]) for n in ("input_ids", "attention_mask")]
    return builder.model(name, inputs, build(builder))


MODELS = {
    "resnet20": lambda seed: image_model("resnet20", resnet20, 32, seed),
    "resnet50": lambda seed: image_model("resnet50", resnet50, 224, seed),
    "mobilenetv2": lambda seed: image_model("mobilenetv2", mobilenetv2, 224, seed),
    "bert-base": lambda seed: text_model("bert-base", bert_base, seed),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}; default: all")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MODELS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}: there are {', '.join(MODELS)}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or MODELS:
        path = arguments.folder / f"{name}.onnx"
        onnx.save(MODELS[name](arguments.seed), path)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
