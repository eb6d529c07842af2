#!/usr/bin/env python3
"""Do operators of com.microsoft give in Nibble what they give in ONNX Runtime?

    contrib_operators.py [--nibble build/bin/nibble] [NAME...]

Builds a small model of each with random numbers, runs it in both (ONNX Runtime without its optimizations) and compares
every output: integers within one code, reals within 1e-4 of the largest unless the row says otherwise. Needs numpy, onnx
and onnxruntime. Exit code 1 if one differs.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
RANDOM = np.random.default_rng(0)


def reals(*shape, scale=1.0):
    return (RANDOM.standard_normal(shape) * scale).astype(np.float32)


def codes(*shape, dtype=np.uint8, low=None, high=None):
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min if low is None else low, (limits.max if high is None else high) + 1, shape).astype(dtype)


def number(value, dtype=np.float32):
    return np.array(value, dtype)


class Case:
    """inputs: name -> array or None (left out); the names in `data` are inputs of the model, the others constants."""

    def __init__(self, op, data, inputs, outputs=1, domain="com.microsoft", model_opset=17, tolerance=1e-4, label="", **attributes):
        self.op, self.data, self.inputs, self.domain, self.opset = op, data.split(), inputs, domain, model_opset
        self.outputs = [f"y{i}" if wanted != "0" else "" for i, wanted in enumerate(outputs if isinstance(outputs, str) else "1" * outputs)]
        self.attributes, self.tolerance, self.name = attributes, tolerance, op + (f" ({label})" if label else "")

    def model(self):
        names = [name if array is not None else "" for name, array in self.inputs.items()]
        node = helper.make_node(self.op, names, self.outputs, name="node", domain=self.domain, **self.attributes)
        given = {name: array for name, array in self.inputs.items() if array is not None}
        inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(given[name].dtype), given[name].shape)
                  for name in self.data]
        constants = [numpy_helper.from_array(array, name) for name, array in given.items() if name not in self.data]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs if name]
        graph = helper.make_graph([node], "case", inputs, outputs, constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def feed(self):
        return {name: self.inputs[name] for name in self.data}


def coded(name, shape, scale, zero, dtype=np.uint8):
    return {name: codes(*shape, dtype=dtype), f"{name}_s": number(scale), f"{name}_z": number(zero, dtype)}


RESULT = {"ys": number(0.05), "yz": number(100, np.uint8)}


def qlinear():
    a, b = coded("a", (2, 3, 4), 0.02, 110), coded("b", (3, 4), 0.03, 90)
    yield Case("QLinearAdd", "a b", {**a, **b, **RESULT})
    yield Case("QLinearMul", "a b", {**a, **b, **RESULT})
    yield Case("QLinearSigmoid", "a", {**a, **RESULT})
    yield Case("QLinearLeakyRelu", "a", {**a, **RESULT}, alpha=0.2)
    for opset, axis in ((13, -1), (13, 1), (12, 2), (12, 1)):
        yield Case("QLinearSoftmax", "a", {**a, "ys": number(1 / 256), "yz": number(0, np.uint8)},
                   label=f"opset {opset}, axis {axis}", axis=axis, opset=opset)
    yield Case("QLinearWhere", "c a d", {"c": codes(2, 3, 4) > 100, **a, **coded("d", (2, 3, 4), 0.01, 3), **RESULT})
    yield Case("QLinearConcat", "a d", {**RESULT, **a, **coded("d", (2, 5, 4), 0.01, 3)}, axis=1)
    image = coded("a", (1, 3, 6, 6), 0.02, 110)
    yield Case("QLinearGlobalAveragePool", "a", {**image, **RESULT})
    yield Case("QLinearAveragePool", "a", {**image, **RESULT}, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    w = {"w": codes(5, 3, 3, 3, dtype=np.int8, low=-60, high=60), "ws": np.abs(reals(5, scale=0.01)) + np.float32(0.001), "wz": np.zeros(5, np.int8)}
    bias = {"bias": codes(5, dtype=np.int32, low=-3000, high=3000)}
    yield Case("QLinearConv", "a", {**image, **w, **RESULT, **bias}, domain="", pads=[1, 1, 1, 1])
    matrix = {"w": codes(4, 5, dtype=np.int8, low=-60, high=60), "ws": np.abs(reals(5, scale=0.01)) + np.float32(0.001), "wz": np.zeros(5, np.int8)}
    yield Case("QLinearMatMul", "a", {**a, **matrix, **RESULT}, domain="")
    rows = coded("a", (3, 4), 0.02, 110)
    yield Case("QGemm", "a", {**rows, **matrix, **bias, **RESULT}, alpha=1.0)
    yield Case("QGemm", "a", {**rows, **matrix, **bias}, label="real result", alpha=1.0)


def dynamic():
    w = {"w": codes(8, 5, dtype=np.int8, low=-60, high=60), "ws": np.abs(reals(5, scale=0.01)), "wz": np.zeros(5, np.int8)}
    bias = {"bias": reals(5)}
    yield Case("DynamicQuantizeMatMul", "x", {"x": reals(3, 8), **w, **bias})
    yield Case("MatMulIntegerToFloat", "a s z", {"a": codes(3, 8), "w": w["w"], "s": number(0.02), "ws": w["ws"],
                                                 "z": number(120, np.uint8), "wz": w["wz"], **bias})
    for count, direction in ((1, "forward"), (1, "reverse"), (2, "bidirectional")):
        weights = {"w": codes(count, 6, 32, dtype=np.int8, low=-60), "r": codes(count, 8, 32, dtype=np.int8, low=-60),
                   "bias": reals(count, 64, scale=0.2), "n": None, "h": None, "c": None, "p": None, "ws": np.full(count, 0.003, np.float32),
                   "wz": np.zeros(count, np.int8), "rs": np.full(count, 0.004, np.float32), "rz": np.zeros(count, np.int8)}
        # ONNX Runtime rounds data and states to 8 bits at each step; Nibble does not.
        yield Case("DynamicQuantizeLSTM", "x", {"x": reals(5, 2, 6), **weights}, outputs=3, tolerance=2e-2, label=direction,
                   hidden_size=8, direction=direction)


def blocks():
    for bits, size in ((4, 32), (8, 32), (4, 16)):
        rows, columns = 72, 6
        count = -(-rows // size)
        packed = {"b": codes(columns, count, size * bits // 8), "s": np.abs(reals(columns, count, scale=0.05))}
        settings = {"K": rows, "N": columns, "bits": bits, "block_size": size}
        zeros = codes(columns, -(-count * bits // 8))
        yield Case("MatMulNBits", "x", {"x": reals(2, 3, rows), **packed}, label=f"{bits} bits, blocks of {size}", **settings)
        yield Case("MatMulNBits", "x", {"x": reals(3, rows), **packed, "z": zeros, "g": None, "bias": reals(columns)},
                   label=f"{bits} bits, blocks of {size}, zero points", **settings)
    table = {"t": codes(7, 32), "i": codes(2, 3, dtype=np.int64, low=0, high=6), "s": np.abs(reals(7, 2, scale=0.05))}
    yield Case("GatherBlockQuantized", "i", table, block_size=32, bits=4)
    yield Case("GatherBlockQuantized", "i", {**table, "z": codes(7, 1)}, label="zero points", block_size=32, bits=4)
    yield Case("GatherBlockQuantized", "i", {**table, "s": np.abs(reals(7, 1, scale=0.05))}, label="8 bits", block_size=32, bits=8)


def fused():
    x, w, b = reals(1, 3, 6, 6), reals(4, 3, 3, 3), reals(4)
    for activation, parameters in (("Relu", None), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 0.7]), ("HardSigmoid", [0.3, 0.4]), ("Tanh", None), ("Sigmoid", None)):
        extra = {} if parameters is None else {"activation_params": parameters}
        yield Case("FusedConv", "x", {"x": x, "w": w, "b": b}, label=activation, activation=activation, pads=[1, 1, 1, 1], **extra)
    yield Case("FusedConv", "x z", {"x": x, "w": w, "b": b, "z": reals(1, 4, 4, 4)}, label="sum", activation="Relu")
    for ta, tb in ((0, 0), (1, 0), (0, 1), (1, 1)):
        left, right = (reals(2, 4, 3) if ta else reals(2, 3, 4)), (reals(2, 5, 4) if tb else reals(2, 4, 5))
        yield Case("FusedMatMul", "a b", {"a": left, "b": right}, label=f"{ta}{tb}", transA=ta, transB=tb, alpha=0.3)
        yield Case("FusedMatMul", "a", {"a": left[0], "b": right[0]}, label=f"matrices {ta}{tb}", transA=ta, transB=tb, alpha=0.3)
    yield Case("FusedMatMul", "a b", {"a": reals(3, 2, 4), "b": reals(4, 2, 5)}, label="batch behind", transBatchA=1, transBatchB=1)
    yield Case("FusedGemm", "a", {"a": reals(3, 4), "b": reals(5, 4), "c": reals(5)}, transB=1, alpha=0.5, beta=2.0, activation="Relu")
    for op in ("Gelu", "FastGelu", "QuickGelu"):
        yield Case(op, "x", {"x": reals(3, 5, scale=2)}, tolerance=5e-4)
    yield Case("BiasGelu", "x", {"x": reals(3, 5, scale=2), "b": reals(5)}, tolerance=5e-4)
    yield Case("FastGelu", "x", {"x": reals(3, 5, scale=2), "b": reals(5)}, label="bias", tolerance=5e-4)


def normalizations():
    x, skip = reals(2, 3, 8), reals(2, 3, 8)
    g, b, extra = reals(8), reals(8), reals(8)
    yield Case("SkipLayerNormalization", "x s", {"x": x, "s": skip, "g": g, "b": b, "e": extra}, outputs="1001", epsilon=1e-5)
    yield Case("SkipLayerNormalization", "x s", {"x": x, "s": skip, "g": g}, label="bare")
    yield Case("SkipLayerNormalization", "x", {"x": x, "s": reals(3, 8), "g": g, "b": b}, label="skip of all samples")
    yield Case("SkipSimplifiedLayerNormalization", "x s", {"x": x, "s": skip, "g": g, "e": extra}, outputs="1001", epsilon=1e-5)
    yield Case("SimplifiedLayerNormalization", "x", {"x": x, "g": g}, domain="", axis=-1, epsilon=1e-5)
    ids = codes(2, 3, dtype=np.int32, low=0, high=9)
    embedding = {"w": reals(10, 8), "p": reals(5, 8), "t": reals(2, 8), "g": g, "b": b}
    segments, mask = codes(2, 3, dtype=np.int32, low=0, high=1), np.array([[1, 1, 1], [1, 1, 0]], np.int32)
    yield Case("EmbedLayerNormalization", "i s m", {"i": ids, "s": segments, **embedding, "m": mask}, outputs=2)
    yield Case("EmbedLayerNormalization", "i", {"i": ids, "s": None, **embedding, "t": None}, outputs=2, label="bare")


def rotation(positions, width):
    angles = np.outer(np.arange(positions), 1 / 10 ** np.linspace(0, 1, width)).astype(np.float32)
    return {"cos": np.cos(angles), "sin": np.sin(angles)}


def attention():
    batch, tokens, heads, width = 2, 4, 2, 16
    hidden = heads * width
    x, w, b = reals(batch, tokens, 12), reals(12, 3 * hidden, scale=0.3), reals(3 * hidden)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], np.int32)
    base = {"x": x, "w": w, "b": b}
    yield Case("Attention", "x", base, num_heads=heads)
    yield Case("Attention", "x m", {**base, "m": mask}, label="mask", num_heads=heads)
    yield Case("Attention", "x m", {**base, "m": np.array([2, 4], np.int32)}, label="lengths", num_heads=heads)
    yield Case("Attention", "x m", {**base, "m": np.tril(np.ones((2, 4, 4), np.int32))}, label="mask of queries", num_heads=heads)
    yield Case("Attention", "x", base, label="causal", num_heads=heads, unidirectional=1, scale=0.2)
    past = {"m": None, "past": reals(2, batch, heads, 3, width)}
    yield Case("Attention", "x past", {**base, **past}, outputs=2, label="cache", num_heads=heads, unidirectional=1)
    yield Case("Attention", "x bias", {**base, "m": None, "past": None, "bias": reals(1, heads, 4, 4)}, label="bias", num_heads=heads)
    codes_of = {"x": codes(batch, tokens, 12), "w": codes(12, 3 * hidden, dtype=np.int8, low=-60, high=60), "b": b, "xs": number(0.02), "ws": number(0.004),
                "m": None, "xz": number(128, np.uint8), "wz": number(0, np.int8)}
    yield Case("QAttention", "x", codes_of, num_heads=heads)
    yield Case("QAttention", "x m", {**codes_of, "m": np.array([2, 4], np.int32)}, label="lengths", num_heads=heads)
    q, k, v = (reals(batch, tokens, hidden) for _ in range(3))
    qkv = {"q": q, "k": k, "v": v}
    yield Case("MultiHeadAttention", "q k v", qkv, num_heads=heads)
    yield Case("MultiHeadAttention", "q k v m a", {**qkv, "b": b, "m": mask, "a": reals(1, heads, 4, 4)}, label="bias, mask", num_heads=heads)
    yield Case("MultiHeadAttention", "q k v", {**qkv, "k": reals(batch, 6, hidden), "v": reals(batch, 6, hidden)}, label="across", num_heads=heads)
    cache = {"b": None, "m": None, "a": None, "pk": reals(batch, heads, 3, width), "pv": reals(batch, heads, 3, width)}
    yield Case("MultiHeadAttention", "q k v pk pv", {**qkv, **cache}, outputs=3, label="cache", num_heads=heads, unidirectional=1)
    yield Case("MultiHeadAttention", "q k v", {**qkv, "k": reals(batch, heads, 6, width), "v": reals(batch, heads, 6, width)}, label="keys in heads", num_heads=heads)
    positions = np.array([[0, 1, 2, 3], [2, 3, 4, 5]], np.int64)
    for interleaved in (0, 1):
        yield Case("RotaryEmbedding", "x p", {"x": q, "p": positions, **rotation(10, width // 2)}, label=f"interleaved {interleaved}", interleaved=interleaved)
        yield Case("RotaryEmbedding", "x p", {"x": reals(batch, heads, tokens, width), "p": np.array([3], np.int64), **rotation(10, width // 2)},
                   label=f"heads, offset, interleaved {interleaved}", interleaved=interleaved)
    yield Case("RotaryEmbedding", "x p", {"x": q, "p": positions, **rotation(10, 2)}, label="a part", num_heads=heads, rotary_embedding_dim=4)
    for label, settings in (("", {}), ("rotary", {"do_rotary": 1}), ("rotary interleaved", {"do_rotary": 1, "rotary_interleaved": 1}),
                            ("window", {"local_window_size": 2}), ("softcap", {"softcap": 2.0})):
        turn = rotation(10, width // 2) if "do_rotary" in settings else {}
        groups = {"q": reals(batch, tokens, 4 * width), "k": reals(batch, tokens, 2 * width), "v": reals(batch, tokens, 2 * width)}
        sizes = {"num_heads": 4, "kv_num_heads": 2, **settings}
        first = {"pk": None, "pv": None, "l": np.array([3, 3], np.int32), "t": number(4, np.int32), **turn}
        yield Case("GroupQueryAttention", "q k v l t", {**groups, **first}, outputs=3, label=f"prompt {label}", **sizes)
        packed = {"q": np.concatenate([groups[name] for name in "qkv"], axis=2), "k": None, "v": None}
        yield Case("GroupQueryAttention", "q l t", {**packed, **first}, outputs=3, label=f"packed {label}", **sizes)
        if not settings:
            more = {"c": None, "s": None, "p": None, "bias": reals(batch, 4, tokens, tokens), "sink": reals(4)}
            yield Case("GroupQueryAttention", "q k v l t", {**groups, **first, **more}, outputs=3, label="bias and sink of each head", **sizes)
            yield Case("GroupQueryAttention", "q k v l t", {**groups, **first}, outputs=3, label="smooth softmax", smooth_softmax=1, **sizes)
        one = {name: array[:, :1] for name, array in groups.items()}
        later = {"pk": reals(batch, 2, 5, width), "pv": reals(batch, 2, 5, width), "l": np.array([5, 5], np.int32), "t": number(6, np.int32), **turn}
        yield Case("GroupQueryAttention", "q k v pk pv l t", {**one, **later}, outputs=3, label=f"one more {label}", **sizes)


def renamed():
    x16 = {"x": reals(3, 4, scale=3), "s": number(0.001), "z": number(30000, np.uint16)}
    yield Case("QuantizeLinear", "x", x16)
    yield Case("DequantizeLinear", "x", {"x": codes(3, 4, dtype=np.uint16), "s": number(0.001), "z": number(30000, np.uint16)})
    yield Case("Pad", "x", {"x": reals(3, 4), "p": np.array([1, 0, 0, 2], np.int64), "v": number(-3)})
    yield Case("Trilu", "x", {"x": reals(3, 4)}, upper=0)
    yield Case("ExpandDims", "x", {"x": reals(3, 4), "a": number(1, np.int32)})


FAMILIES = [qlinear, dynamic, blocks, fused, normalizations, attention, renamed]


def run_onnxruntime(model, feed):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feed)))


def run_nibble(nibble, model, feed, folder):
    path = folder / "model.onnx"
    path.write_bytes(model)
    command = [nibble, "run", str(path), "-o", str(folder)]
    for name, array in feed.items():
        np.save(folder / f"in_{name}.npy", array)
        command += ["--input", f"{name}={folder}/in_{name}.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return lambda name: np.load(folder / f"{name}.npy")


def worst(have, want):
    """The difference in units of what is allowed: codes, or the largest real."""
    if have.shape != want.shape or have.dtype != want.dtype:
        raise RuntimeError(f"{have.dtype}{have.shape} instead of {want.dtype}{want.shape}")
    difference = np.abs(have.astype(np.float64) - want.astype(np.float64)).max(initial=0)
    return difference if want.dtype.kind in "iub" else difference / max(np.abs(want).max(initial=0), 1e-12)


def check(case, nibble):
    model = case.model().SerializeToString()
    try:
        wanted = run_onnxruntime(model, case.feed())
    except Exception as error:  # its exceptions have no common base class
        print(f"{case.name}: ONNX Runtime does not run it: {str(error).splitlines()[0][:150]}")
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            have = run_nibble(nibble, model, case.feed(), pathlib.Path(folder))
            differences = {name: worst(have(name), array) for name, array in wanted.items()}
        except (RuntimeError, OSError) as error:
            print(f"{case.name}: FAILED: {error}")
            return False
    allowed = {name: 1 if array.dtype.kind in "iub" else case.tolerance for name, array in wanted.items()}
    agrees = all(differences[name] <= allowed[name] for name in wanted)
    if not agrees:
        print(f"{case.name}: DIFFERS: {differences}")
    return agrees


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="operators; default: all")
    parser.add_argument("--nibble", default=str(ROOT / "build" / "bin" / "nibble"))
    arguments = parser.parse_args()
    onnxruntime.set_default_logger_severity(4)
    cases = [case for family in FAMILIES for case in family() if not arguments.names or case.op in arguments.names]
    agreed = [check(case, arguments.nibble) for case in cases]
    print(f"{sum(agreed)} of {len(agreed)} cases agree")
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
