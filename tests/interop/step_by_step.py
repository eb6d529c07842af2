#!/usr/bin/env python3
"""Does every step of a quantized model give ONNX Runtime's codes, when it is given ONNX Runtime's codes?

usage: PYTHONPATH=build/python step_by_step.py MODEL=ARRAYS.npz...      (needs numpy, onnx, onnxruntime and the Python package)

Two runtimes that round alike may still end far apart: where f32 arithmetic between integers (LayerNormalization, Softmax) falls on
the other side of a half, one code differs, and the layers behind it amplify that. So the model is cut at its tensors of codes: each
is computed by nibble from those before it, as ONNX Runtime (optimizations off) computed them. Every code must be within one of ONNX
Runtime's. Prints for each model: steps, codes, share that differs at all, the largest difference.
"""
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

import nibble
from against_float import Feed

ort.set_default_logger_severity(4)
CODES = {onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.UINT16, onnx.TensorProto.INT16, onnx.TensorProto.INT4,
         onnx.TensorProto.UINT4}


class Cut:
    """The model's tensors of codes, and the steps between them."""

    def __init__(self, model):
        self.model = model
        graph = model.graph
        self.maker = {name: node for node in graph.node for name in node.output if name}
        self.constants = {c.name: c for c in graph.initializer}
        self.known = {}
        self.inputs = {i.name: i for i in graph.input if i.name not in self.constants}
        types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
        for node in graph.node:  # those of other domains, which shape inference does not know
            if node.op_type.startswith("QLinear") or node.op_type in ("QGemm", "QuantizeLinear"):
                zero_point = {"QuantizeLinear": 2, "QGemm": 8, "QLinearConv": 7, "QLinearMatMul": 7, "QLinearConcat": 1}.get(node.op_type, -1)
                if node.op_type.startswith("QLinear") and zero_point < 0:
                    zero_point = {"QLinearSoftmax": 4, "QLinearSigmoid": 4, "QLinearLeakyRelu": 4, "QLinearAveragePool": 4,
                                  "QLinearGlobalAveragePool": 4}.get(node.op_type, 7)
                name = node.input[zero_point] if zero_point < len(node.input) else ""
                types[node.output[0]] = self.constants[name].data_type if name in self.constants else onnx.TensorProto.UINT8
        # DynamicQuantizeLinear gives codes with their scale: no border.
        self.types = {name: t for name, t in types.items() if t in CODES and name in self.maker
                      and len(self.maker[name].output) == 1 and self.varies(name)}

    def varies(self, name):
        """Whether it depends on the model's inputs."""
        if name not in self.known:
            node = self.maker.get(name)
            self.known[name] = name in self.inputs or (node is not None and any(self.varies(i) for i in node.input if i))
        return self.known[name]

    def step(self, output):
        """The nodes that make `output` from codes and inputs, and what those are called."""
        nodes, borders, open_ = [], [], [output]
        while open_:
            name = open_.pop()
            node = self.maker.get(name)
            if node is None or any(node is n for n in nodes):
                continue
            nodes.append(node)
            for i in node.input:
                if i in self.types or i in self.inputs:
                    if i not in borders:
                        borders.append(i)
                elif i:
                    open_.append(i)
        kept = {id(n) for n in nodes}
        return [n for n in self.model.graph.node if id(n) in kept], borders

    def part(self, output, values):
        """The step as a model of its own."""
        nodes, borders = self.step(output)
        used = {i for n in nodes for i in n.input}
        inputs = [self.inputs.get(b) or helper.make_tensor_value_info(b, self.types[b], values[b].shape) for b in borders]
        graph = helper.make_graph(nodes, "step", inputs, [helper.make_tensor_value_info(output, self.types[output], None)],
                                  [c for name, c in self.constants.items() if name in used])
        return helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version,
                                 functions=self.model.functions), borders


def values_of(model, names, feed):
    """All codes as ONNX Runtime computes them."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    del whole.graph.output[:]
    whole.graph.output.extend(helper.make_tensor_value_info(n, t, None) for n, t in names.items())
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    runtime = ort.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, runtime.run(list(names), feed)))


def check(path, arrays):
    model = onnx.load(path)
    cut = Cut(model)
    feed = Feed(ort.InferenceSession(path), arrays, {}).sample(0)
    values = {**feed, **values_of(model, cut.types, feed)}
    codes = different = 0
    largest, worst = 0, ""
    for output in cut.types:
        part, borders = cut.part(output, values)
        got = nibble.Session(part.SerializeToString()).run(None, {b: values[b] for b in borders})[0]
        error = np.abs(got.astype(np.int64) - values[output].astype(np.int64))
        codes += error.size
        different += int(np.count_nonzero(error))
        if error.size and error.max() > largest:
            largest, worst = int(error.max()), output
    print(f"{path}: {len(cut.types)} steps, {codes:,} codes, {100 * different / max(codes, 1):.4f} % differ, by at most {largest} {worst}")
    return largest <= 1


def main():
    good = True
    for argument in sys.argv[1:]:
        path, arrays = argument.split("=")
        good = check(path, dict(np.load(arrays))) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
