#!/usr/bin/env python3
"""Do ONNX Runtime and nibble agree on what nibble quantize makes of layers in bodies?

usage: bodies.py NIBBLE

Makes networks with If (nested, with a branch that is a constant, with weights cut from one that both branches capture),
Loop and Scan, quantizes them in every mode, and runs the files in both, ONNX Runtime with its optimizations off. A file
must pass onnx.checker; results may differ by 1e-4 of the largest value.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ort.set_default_logger_severity(4)
random = np.random.default_rng(0)
MODES = {"static": [], "4 bits": ["--weights", "4"], "4 bits of both": ["--weights", "4", "--activations", "4"],
         "weights": ["--weights", "4", "--activations", "none"], "2 bits": ["--weights", "2", "--activations", "none"],
         "dynamic": ["--dynamic"]}


def weight(name, *shape):
    return numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name)


def constant(name, value):
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value)))


def real(name, shape=None):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def body(nodes, outputs, inputs=(), initializers=()):
    return helper.make_graph(nodes, "body", list(inputs), list(outputs), list(initializers))


def model(nodes, initializers, rows, result):
    graph = helper.make_graph(nodes, "model", [real("x", rows)], [real("y", result)], initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def cut(stem, begin, end):
    """Columns begin to end of what is called W around the branch."""
    return [constant(stem + "_b", np.int64([begin])), constant(stem + "_e", np.int64([end])),
            constant(stem + "_a", np.int64([1])),
            helper.make_node("Slice", ["W", stem + "_b", stem + "_e", stem + "_a"], [stem])]


def branches():
    inner = {"then_branch": body([helper.make_node("MatMul", ["r", "W2"], ["t2"], name="deep")], [real("t2")],
                                 initializers=[weight("W2", 16, 16)]),
             "else_branch": body([constant("k", np.ones((1, 16), np.float32))], [real("k")])}
    then = cut("left", 0, 16) + [helper.make_node("MatMul", ["x", "left"], ["p"], name="first"),
                                 helper.make_node("Relu", ["p"], ["r"]),
                                 helper.make_node("Greater", ["s", "five"], ["c2"]),
                                 helper.make_node("If", ["c2"], ["q"], name="inner", **inner)]
    other = cut("right", 16, 32) + [helper.make_node("MatMul", ["x", "right"], ["o"], name="other")]
    nodes = [helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), helper.make_node("Greater", ["s", "zero"], ["c"]),
             helper.make_node("If", ["c"], ["z"], name="if", then_branch=body(then, [real("q")]),
                              else_branch=body(other, [real("o")])),
             helper.make_node("MatMul", ["z", "V"], ["y"], name="after")]
    numbers = [numpy_helper.from_array(np.float32(v), n) for v, n in ((0, "zero"), (5, "five"))]
    rows = random.normal(0, 1, (64, 16)).astype(np.float32)
    return model(nodes, [weight("W", 16, 32), weight("V", 16, 4)] + numbers, [1, 16], [1, 4]), rows


def loop():
    inner = body([helper.make_node("Identity", ["going"], ["kept"]),
                  helper.make_node("MatMul", ["state", "W"], ["m"], name="layer"),
                  helper.make_node("Add", ["m", "x"], ["a"]), helper.make_node("Tanh", ["a"], ["next"]),
                  helper.make_node("MatMul", ["next", "U"], ["row"], name="row")],
                 [helper.make_tensor_value_info("kept", TensorProto.BOOL, []), real("next", [1, 16]), real("row", [1, 4])],
                 [helper.make_tensor_value_info("i", TensorProto.INT64, []),
                  helper.make_tensor_value_info("going", TensorProto.BOOL, []), real("state", [1, 16])],
                 [weight("U", 16, 4)])
    nodes = [helper.make_node("Loop", ["trips", "", "x"], ["last", "rows"], name="loop", body=inner),
             helper.make_node("ReduceSum", ["rows"], ["sum"], keepdims=0),
             helper.make_node("MatMul", ["last", "V"], ["v"], name="after"), helper.make_node("Add", ["v", "sum"], ["y"])]
    rows = random.normal(0, 1, (64, 16)).astype(np.float32)
    trips = numpy_helper.from_array(np.int64(3), "trips")
    return model(nodes, [weight("W", 16, 16), weight("V", 16, 4), trips], [1, 16], [1, 4]), rows


def scan():
    inner = body([helper.make_node("Gemm", ["h", "W", "b"], ["g"], name="layer"), helper.make_node("Add", ["g", "t"], ["a"]),
                  helper.make_node("Tanh", ["a"], ["n"]), helper.make_node("Identity", ["n"], ["out"])],
                 [real("n", [1, 8]), real("out", [1, 8])], [real("h", [1, 8]), real("t", [1, 8])])
    nodes = [helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
             helper.make_node("Scan", ["h0", "steps"], ["hn", "all"], name="scan", body=inner, num_scan_inputs=1),
             helper.make_node("MatMul", ["all", "V"], ["y"], name="after")]
    rows = random.normal(0, 1, (64, 6, 8)).astype(np.float32)
    start = numpy_helper.from_array(np.zeros((1, 8), np.float32), "h0")
    return model(nodes, [weight("W", 8, 8), weight("b", 8), weight("V", 8, 4), start], [1, 6, 8], [6, 1, 4]), rows


def run(nibble, path, rows, folder):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options)
    worst = largest = 0.0
    for row in rows:
        x = row[None]
        wanted = session.run(None, {"x": x})[0]
        np.save(folder / "x.npy", x)
        subprocess.run([nibble, "run", path, "--input", f"x={folder / 'x.npy'}", "-o", folder / "out"], check=True,
                       capture_output=True)
        worst = max(worst, float(np.abs(np.load(folder / "out" / "y.npy") - wanted).max()))
        largest = max(largest, float(np.abs(wanted).max()))
    return worst / largest


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for make in (branches, loop, scan):
            made, rows = make()
            onnx.save(made, folder / "float.onnx")
            np.save(folder / "X.npy", rows)
            sums = rows.reshape(len(rows), -1).sum(1)
            some = rows[np.argsort(sums)[[0, len(rows) // 2, -1]]]  # by every branch
            for mode, arguments in MODES.items():
                subprocess.run([sys.argv[1], "quantize", folder / "float.onnx", "--data", folder / "X.npy", "-o",
                                folder / "small.onnx", *arguments], check=True, capture_output=True)
                onnx.checker.check_model(str(folder / "small.onnx"), full_check=True)
                difference = run(sys.argv[1], folder / "small.onnx", some, folder)
                bad += difference > 1e-4
                print(f"{make.__name__:10} {mode:15} {difference:.1e}{'  WRONG' if difference > 1e-4 else ''}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
