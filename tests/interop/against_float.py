#!/usr/bin/env python3
"""How far is what nibble quantize writes from the float model, in ONNX Runtime and in nibble itself?

usage: against_float.py NIBBLE MODEL ARRAYS.npz [--carry OUTPUT=INPUT]... [--baseline] [-- QUANTIZE ARGUMENTS]

ARRAYS.npz holds [samples, ...] for every input that is no state, each row one run (a batch of one is added where the
model has one more dimension). States start from zeros and are fed back. Half the samples calibrate, the others are
judged: SQNR of every output against float in dB, over all judged samples, for

  W8A8   nibble quantize MODEL                                         (arguments behind -- replace --data)
  W4     nibble quantize MODEL --weights 4 --activations none          (without data)
  ORT    onnxruntime.quantization.quantize_static, QDQ, per channel (from opset 13 on), on the same samples, with --baseline

and how far nibble run is from ONNX Runtime (optimizations off) on the file, on 4 samples.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

ort.set_default_logger_severity(4)
TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8, "tensor(int32)": np.int32,
         "tensor(float16)": np.float16, "tensor(bool)": np.bool_}


class Feed:
    """Turns rows of arrays into runs of a session, carrying states."""

    def __init__(self, session, arrays, carry):
        self.inputs = session.get_inputs()
        self.outputs = [o.name for o in session.get_outputs()]
        self.arrays, self.carry = arrays, carry
        self.states = {i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], TYPES[i.type])
                       for i in self.inputs if i.name in carry}

    def sample(self, index):
        feed = dict(self.states)
        for i in self.inputs:
            if i.name in self.carry:
                continue
            row = self.arrays[i.name][index] if self.arrays[i.name].ndim else self.arrays[i.name]
            feed[i.name] = (row[None] if row.ndim < len(i.shape) else row).astype(TYPES[i.type])
        return feed

    def keep(self, results):
        for name, output in self.carry.items():
            self.states[name] = results[self.outputs.index(output)]


def session(path, optimize=True):
    options = ort.SessionOptions()
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options)


def run_all(path, arrays, carry, indices):
    s = session(path)
    feed, results = Feed(s, arrays, carry), []
    for index in indices:
        results.append(s.run(None, feed.sample(index)))
        feed.keep(results[-1])
    return [o.name for o in s.get_outputs()], results


def sqnr(reference, other):
    signal = noise = 0.0
    for a, b in zip(reference, other):
        if a.shape != b.shape:
            return float("nan")
        a, b = a.astype(np.float64), b.astype(np.float64)
        signal += float((a * a).sum())
        noise += float(((a - b) ** 2).sum())
    return float("inf") if noise == 0 else 10 * np.log10(max(signal, 1e-300) / noise)


def show(label, path, float_path, names, reference, arrays, carry, indices):
    _, results = run_all(path, arrays, carry, indices)
    text = "  ".join(f"{name} {sqnr([r[k] for r in reference], [r[k] for r in results]):.1f}" for k, name in enumerate(names))
    print(f"{label:5s} {Path(path).stat().st_size / Path(float_path).stat().st_size:.3f} of the size   SQNR dB: {text}", flush=True)


def agreement(nibble, path, arrays, carry, folder):
    """Worst SQNR of nibble run against ONNX Runtime on the same file, step by step."""
    s = session(path, optimize=False)
    feed, worst = Feed(s, arrays, carry), float("inf")
    for index in range(4):
        sample, command = feed.sample(index), [nibble, "run", path, "-o", folder / "out"]
        for name, value in sample.items():
            np.save(folder / f"in{len(command)}.npy", value)
            command += ["--input", f"{name}={folder / f'in{len(command)}.npy'}"]
        result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if result.returncode:
            return result.stderr.strip()
        expected = s.run(None, sample)
        feed.keep(expected)
        for name, value in zip(feed.outputs, expected):
            worst = min(worst, sqnr([value], [np.load(folder / "out" / (name.replace("/", "_").replace(":", "_") + ".npy"))]))
    return f"{worst:.1f} dB"


def baseline(model, arrays, carry, indices, path):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            s = session(model)
            feed, self.samples = Feed(s, arrays, carry), []
            for index in indices:
                self.samples.append(feed.sample(index))
                feed.keep(s.run(None, self.samples[-1]))
            self.samples.reverse()

        def get_next(self):
            return self.samples.pop() if self.samples else None

    opset = next(o.version for o in onnx.load(str(model)).opset_import if o.domain in ("", "ai.onnx"))
    quantize_static(str(model), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=opset >= 13,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)


def main():
    own = sys.argv[1:]
    extra = own[own.index("--") + 1:] if "--" in own else []
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("nibble")
    parser.add_argument("model")
    parser.add_argument("arrays")
    parser.add_argument("--carry", action="append", default=[])
    parser.add_argument("--baseline", action="store_true")
    arguments = parser.parse_args(own[:own.index("--")] if "--" in own else own)
    carry = {c.split("=", 1)[1]: c.split("=", 1)[0] for c in arguments.carry}
    arrays = dict(np.load(arguments.arrays))
    count = min(len(a) for a in arrays.values() if a.ndim)
    calibration, judged = range(count // 2), range(count // 2, count)
    names, reference = run_all(arguments.model, arrays, carry, judged)
    print(f"{Path(arguments.model).name}: {len(calibration)} samples to calibrate, {len(judged)} judged")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "out").mkdir()
        np.savez(folder / "calibration.npz", **{k: a[:count // 2] if a.ndim else a for k, a in arrays.items()})
        data = extra or ["--data", str(folder / "calibration.npz")] + [f"--carry={c}" for c in arguments.carry]
        jobs = {"W8A8": data, "W4": ["--weights", "4", "--activations", "none"]}
        for label, flags in jobs.items():
            path = folder / f"{label}.onnx"
            result = subprocess.run([arguments.nibble, "quantize", arguments.model, "-o", str(path)] + flags,
                                    capture_output=True, text=True)
            if result.returncode or not path.exists():
                print(f"{label:5s} {result.stderr.strip()}")
                continue
            onnx.checker.check_model(str(path), full_check=True)
            show(label, path, arguments.model, names, reference, arrays, carry, judged)
            print(f"      nibble run against ONNX Runtime: {agreement(arguments.nibble, path, arrays, carry, folder)}")
        if arguments.baseline:
            path = folder / "ort.onnx"
            try:
                baseline(arguments.model, arrays, carry, calibration, path)
                show("ORT", path, arguments.model, names, reference, arrays, carry, judged)
            except Exception as error:  # whatever its quantizer raises is its result
                print(f"ORT   {type(error).__name__}: {str(error)[:200]}")


if __name__ == "__main__":
    main()
